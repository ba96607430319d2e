"""LOG_FORMAT decides how relay, worker and emulator write their log lines."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
ENVIRONMENT = {"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_SECRET_KEY": "sb_secret_x"}
SETTINGS = f"Settings.from_env({ENVIRONMENT} | {{'LOG_FORMAT': sys.argv[1]}})"
CONFIGURE = {
    "relay": f"from relay.logs import configure; from relay.settings import Settings;"
    f" configure({SETTINGS}.server.log_format)",
    "worker": f"from worker.logs import configure; from worker.settings import Settings;"
    f" settings = {SETTINGS}; configure(settings.log_format, settings.log_level)",
    "emulator": f"from emulator.logs import configure; from emulator.settings import Settings;"
    f" configure({SETTINGS}.log_format)",
}


def line(program: str, format: str) -> str:
    """The line that the program writes to standard error."""
    code = f"import logging, sys; {CONFIGURE[program]};"
    code += " logging.getLogger('x.y').warning('lost %d%% client=%s reason=%r', 2, 7, 'a b')"
    done = subprocess.run(
        [sys.executable, "-c", code, format],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


@pytest.mark.parametrize("program", CONFIGURE)
def test_json_is_one_object_a_line(program: str) -> None:
    written = json.loads(line(program, "json"))
    assert written.pop("time")
    assert written == {
        "level": "WARNING", "name": "x.y", "message": "lost 2% client=7 reason='a b'",
        "client": 7, "reason": "a b",
    }  # fmt: skip


@pytest.mark.parametrize("program", CONFIGURE)
def test_text_has_time_level_logger_and_message(program: str) -> None:
    assert line(program, "text").endswith(" WARNING x.y: lost 2% client=7 reason='a b'\n")
