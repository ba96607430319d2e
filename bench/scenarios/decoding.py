"""What a row costs the relay before anybody is sent it: bursts with a single client."""

from __future__ import annotations

from bench.contestant import Contestant
from bench.load import load
from bench.scenarios.fanout import Figures, deliver

ROWS = 1000


async def measure(contestant: Contestant) -> Figures:
    """Processor time per row of the second burst; the first one warms up.

    Raises:
        Failed: It did not deliver everything in order.
    """
    async with contestant.running() as server:
        for _ in range(2):
            async with load(server.port, 1, (*server.options, "-e", str(ROWS))) as running:
                used, got = await deliver(server, running, ROWS, 0)
    return {"us_per_row": used / got["msgs"], "clients": 1}
