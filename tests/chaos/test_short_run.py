"""A short run of the harness: processes, PostgreSQL and sockets as in the long one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chaos.catalog import KINDS
from chaos.run import Run
from chaos.schedule import Planned
from chaos.stage import Size, staged

SEED = 20261123
# Speed is not judged here: a bound that only a relay misses which lost something for good.
SIZE = Size(
    clients=24,
    changes_per_second=60.0,
    catch_up_seconds=1.0,
    bound=30.0,
    recovery=10.0,
    longest_pause=2.0,
)


def planned(start: float, seconds: float, name: str, **options: Any) -> Planned:
    return Planned(start, seconds, KINDS[name], options)


PLAN = (
    planned(0.5, 3.0, "withhold", lane="all"),
    planned(2.0, 1.5, "rest-error", status=503),
    planned(4.0, 1.5, "client-stall", share=0.3, seed=1),
    planned(4.2, 1.5, "client-move", share=0.5, seed=2),
    planned(4.5, 1.0, "relay-kill", relay=0, away=0.5),
    planned(6.0, 0.5, "client-cut", share=0.3, seed=3),
    planned(4.6, 2.0, "put-back", table="recommendations"),
    planned(7.0, 2.5, "standby-away", share=0.5, seed=4),
    planned(10.0, 1.0, "promotion"),
)


@pytest.mark.timeout(180)
async def test_nothing_is_lost_or_comes_twice_whatever_happens() -> None:
    asked: Mapping[str, int] = {each.kind.name: 1 for each in PLAN}
    async with staged(SIZE, SEED) as stage:
        verdict = await Run(stage, lambda text: None).work_off(PLAN, asked)
    assert verdict.failures == ()
    assert verdict.committed > 300
    assert verdict.deliveries > verdict.committed
    assert verdict.resumes > 0
    assert verdict.resets_by_epoch > 0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "chaos", "--clients", "6", *arguments]


@pytest.mark.timeout(120)
def test_interrupted_it_leaves_nothing_behind() -> None:
    process = subprocess.Popen(
        command("--seconds", "60", "--seed", "1"),
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first == "seed 1\n"
    while (found := re.search(r"logs in (\S+)", line := process.stdout.readline())) is None:
        assert line, "it ended before it was ready"
    directory = Path(found[1])
    assert directory.is_dir()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert not directory.exists()
    assert not any(str(directory) in each for each in command_lines())


def command_lines() -> list[str]:
    """Of all processes, those that are just ending included."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found
