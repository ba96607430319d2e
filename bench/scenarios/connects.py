"""What a connection costs the relay, with and without the check of a token."""

from __future__ import annotations

import asyncio

from bench import usage
from bench.contestant import Contestant
from bench.load import load
from bench.scenarios.fanout import SETTLE_SECONDS, Figures

CLIENTS = 2000


async def measure(contestant: Contestant) -> Figures:
    """Clients that connect, 256 at a time, and say nothing.

    Raises:
        Failed: One of them is refused.
    """
    async with contestant.running() as server:
        await asyncio.sleep(SETTLE_SECONDS)
        pids = server.pids
        used = usage.processor_us(pids)
        async with load(server.port, CLIENTS, server.options) as running:
            used = usage.processor_us(pids) - used
    return {
        "clients": CLIENTS,
        "connects_per_s": running.ready["connect_per_s"],
        "connect_us": used / CLIENTS,
    }
