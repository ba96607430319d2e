"""What the check of a token costs the relay, by how it is signed."""

from __future__ import annotations

import json
import sys

from bench import machine
from bench.processes import started
from bench.scenarios.fanout import Figures


async def measure() -> Figures:
    """Microseconds for one check, on the core of the servers.

    Raises:
        Failed: There is no result.
    """
    command = [sys.executable, "-m", "bench.token_check"]
    async with started("token_check", command, core=machine.cores()[0], piped=True) as program:
        found: dict[str, float] = json.loads(await program.line())
    return {f"{algorithm.lower()}_us": found[algorithm] for algorithm in found}
