"""LOG_FORMAT decides how relay and worker write their log lines."""

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
    "worker": f"from worker.__main__ import _configure_logs; from worker.settings import Settings;"
    f" _configure_logs({SETTINGS})",
}


def line(program: str, format: str) -> str:
    """The line that the program writes to standard error."""
    code = f"import logging, sys; {CONFIGURE[program]};"
    code += " logging.getLogger('x.y').warning('lost client=%s', 7)"
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
    assert written == {"level": "WARNING", "name": "x.y", "message": "lost client=7"}


@pytest.mark.parametrize("program", CONFIGURE)
def test_text_has_time_level_logger_and_message(program: str) -> None:
    assert line(program, "text").endswith(" WARNING x.y: lost client=7\n")
