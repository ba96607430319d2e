"""A relay dies with its clients connected: all of them resume on another one.

Uses the benchmark's own upstream, which counts what it is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack

from bench import machine
from bench.contestants.relay import Upstream, counted, relay, upstream
from bench.delivery.crowd import EVENTS, groups, resume
from bench.follower import Place, following
from bench.load import load
from bench.processes import Failed
from bench.scenarios.fanout import Figures

CLIENTS = 10_000
PLACES = 5  # clients hold one of the newest so many cursors
MISSED = 1000
ROWS_PER_SECOND = 10
CATCH_UP_SECONDS = 5


async def measure(clients: int = CLIENTS, *, cold: bool) -> Figures:
    """How long it takes until all are back and what the database is asked; `cold`: the other relay
    starts only when the first one is dead, so that it remembers nothing.

    Raises:
        Failed: Somebody did not resume, or missed a change.
    """
    async with upstream() as supabase, AsyncExitStack() as relays:
        other = machine.free_port()
        if not cold:
            await relays.enter_async_context(relay(supabase.url, supabase.key, other))
        places = await _live_and_die(supabase, clients)
        await supabase.publish(MISSED, 0)
        if cold:
            await relays.enter_async_context(relay(supabase.url, supabase.key, other))
        await asyncio.sleep(1)  # what the relay asks for itself at its start
        before, began = Counter(await supabase.asked()), time.monotonic()
        last = ROWS_PER_SECOND * CATCH_UP_SECONDS * PLACES + MISSED - 1
        got = await resume(other, groups(places, clients), last)
        seconds = time.monotonic() - began
        asked = Counter(await supabase.asked()) - before
        reads = await counted(other, "relay_resume_reads_total")
    if got.lost or got.resumed < clients:
        raise Failed(f"{got.resumed} of {clients} resumed, {got.lost} changes lost")
    return {
        "clients": clients,
        "seconds": seconds,
        "reads": sum(asked.values()),
        "reads_for_clients": reads + asked["relay_heartbeats"],
    }


async def _live_and_die(supabase: Upstream, clients: int) -> list[Place]:
    port = machine.free_port()
    async with (
        relay(supabase.url, supabase.key, port) as program,
        following(port) as follower,
        load(port, clients, ("-u", "/ws/hotspots?last=0", *EVENTS)),
    ):
        # Cursors are handed out after each catch-up that brought something.
        rows = ROWS_PER_SECOND * CATCH_UP_SECONDS * PLACES
        await supabase.publish(rows, ROWS_PER_SECOND)
        await follower.reached(rows, 10)
        await follower.place(count=PLACES)
        program.kill()
    return follower.places[-PLACES:]
