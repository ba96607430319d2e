"""One line at the end of a run: how many recordings were compared, and how."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.emulator.realtime import recordings

_TEST = re.compile(r"::test_transcript_(is_replayed|has_this_shape)(?:_apart)?\[(\w+)\]$")
_TREATMENTS = {"is_replayed": "replayed", "has_this_shape": "shape"}


def compared(terminalreporter: Any) -> dict[str, set[str]]:
    """The recordings whose test passed, by treatment; with xdist those of all workers."""
    found: dict[str, set[str]] = {"replayed": set(), "shape": set()}
    for report in terminalreporter.stats.get("passed", ()):
        if report.when == "call" and (match := _TEST.search(report.nodeid)):
            found[_TREATMENTS[match[1]]].add(match[2])
    return found


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print it when any of the tests ran."""
    found = compared(terminalreporter)
    if any(found.values()):
        excluded = len(recordings.listed("excluded"))
        line = f"replayed {len(found['replayed'])}, shape only {len(found['shape'])}"
        terminalreporter.write_line(f"transcripts: {line}, excluded {excluded}")
