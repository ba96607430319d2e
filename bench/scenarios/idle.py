"""What connections hold of the relay's memory while nothing happens, with and without tokens."""

from __future__ import annotations

import asyncio

from bench import usage
from bench.contestant import Contestant
from bench.load import load
from bench.processes import Failed
from bench.scenarios.fanout import SETTLE_SECONDS, Figures

CLIENTS = 10_000
# Each has been pinged once by then, and has answered.
IDLE_SECONDS = 28.0
# What docs/security.md says that a connection takes at most.
DOCUMENTED_KIB = 5.0


async def measure(
    contestant: Contestant,
    clients: int = CLIENTS,
    idle_seconds: float = IDLE_SECONDS,
    most_kib: float = DOCUMENTED_KIB,
) -> Figures:
    """Memory for each connection when all have come, and after a while.

    Raises:
        Failed: One of them is refused or ended, or they take more than `most_kib` each.
    """
    async with contestant.running() as server:
        await asyncio.sleep(SETTLE_SECONDS)
        before = usage.memory_kib(server.pids)
        async with load(server.port, clients, server.options) as running:
            await asyncio.sleep(SETTLE_SECONDS)
            opened = (usage.memory_kib(server.pids) - before) / clients
            await asyncio.sleep(idle_seconds)
            idle = (usage.memory_kib(server.pids) - before) / clients
            got = await running.end()
    if got["closed_by_server"]:
        raise Failed(f"{got['closed_by_server']} idle connections were closed")
    if max(opened, idle) > most_kib:
        raise Failed(f"a connection takes {max(opened, idle):.1f} KiB, not {most_kib:g} at most")
    return {"clients": clients, "opened_kib": opened, "idle_kib": idle, "pings": got["pings"]}
