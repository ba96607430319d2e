"""100,000 changes while a relay is stopped: delivered to the clients that resume on its successor.

Uses the benchmark's own upstream.
"""

from __future__ import annotations

import asyncio
import time

from bench import machine, usage
from bench.contestants.relay import counted, relay, upstream
from bench.delivery.crowd import Group, resume
from bench.follower import following
from bench.processes import Failed
from bench.scenarios.fanout import SETTLE_SECONDS, Figures

CLIENTS = 100
MISSED = 100_000
ROWS_PER_TRANSACTION = 1000


async def measure(clients: int = CLIENTS, missed: int = MISSED) -> Figures:
    """How long it takes until all have all, and by how much the relay grows.

    Raises:
        Failed: Somebody did not resume, or missed a change.
    """
    async with upstream() as supabase:
        port = machine.free_port()
        async with relay(supabase.url, supabase.key, port), following(port) as follower:
            await supabase.publish(1, 0)
            place = await follower.place(count=2)  # the first one is of before that row
        for _ in range(0, missed, ROWS_PER_TRANSACTION):
            await supabase.publish(ROWS_PER_TRANSACTION, 0)
        port = machine.free_port()
        async with relay(supabase.url, supabase.key, port) as program:
            await asyncio.sleep(SETTLE_SECONDS)
            async with usage.growth(usage.family(program.pid)) as memory:
                began = time.monotonic()
                got = await resume(port, [Group(place, clients)], missed)
                seconds = time.monotonic() - began
            reads = await counted(port, "relay_resume_reads_total")
    if got.lost or got.resumed < clients:
        raise Failed(f"{got.resumed} of {clients} resumed, {got.lost} changes lost")
    return {
        "clients": clients,
        "changes": missed,
        "seconds": seconds,
        "growth_mb": memory.kib * 1024 / 1e6,
        "reads": reads,
    }
