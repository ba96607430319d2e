"""Nothing is lost or disordered under load. How fast it is, only the benchmark says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def load(*options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.emulator_load", "--json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_many_changes_reach_many_subscribers_in_order_and_memory_stays() -> None:
    result = load("--seconds", "10", "--rate", "2000", "--subscribers", "20")
    assert result["rows"] > 5000
    assert (result["lost"], result["out of order or twice"]) == (0, 0)
    # One sample a second: a kilobyte kept for each row would be 14 MB from the third on. A busy
    # machine has some of what it has not sent yet in memory.
    memory = result["memory MB"]
    assert max(memory[3:]) - memory[3] < 10


@pytest.mark.timeout(180)
def test_a_transaction_of_a_hundred_thousand_rows_arrives_whole() -> None:
    result = load("--burst", "100000", "--subscribers", "1", "--poll-ms", "0")
    assert (result["rows"], result["lost"], result["out of order or twice"]) == (100_000, 0, 0)
    assert result["memory MB"][-1] - result["memory MB"][0] < 60
