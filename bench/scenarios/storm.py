"""10,000 clients lose their connections and come back at once with their cursors, while changes
flow on and others stay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench import machine, usage
from bench.contestants.relay import Upstream, relay, upstream
from bench.delivery.crowd import EVENTS, RESUMED
from bench.follower import Place, following
from bench.load import load
from bench.processes import Failed
from bench.scenarios.fanout import Figures

CLIENTS, STAYING = 10_000, 100
ROWS_PER_SECOND = 100
ROWS = 2500
BEFORE_SECONDS = 7.0  # a cursor or two
PATIENCE_SECONDS = 90.0
# All at once, and each is back when it has been greeted.
AT_ONCE = ("--inflight", "20000", "--preamble", "1", "--conn-timeout", "60")


async def measure(clients: int = CLIENTS) -> Figures:
    """Return seconds until all were back and up to date, and the changes lost.

    Raises:
        Failed: Not all of them came back, or something was lost.
    """
    port = machine.free_port()
    async with (
        upstream() as supabase,
        relay(supabase.url, supabase.key, port) as program,
        following(port) as follower,
        _publishing(supabase, port, clients) as published,
    ):
        place = await follower.place()
        used = usage.processor_us([program.pid])
        figures = await _come_back(port, place, published, clients)
        used = usage.processor_us([program.pid]) - used
    return figures | {"relay_processor_s": used / 1e6}


@asynccontextmanager
async def _publishing(
    supabase: Upstream, port: int, clients: int
) -> AsyncIterator[asyncio.Task[None]]:
    """Rows flow; the clients were connected for a while and have just lost their connections."""
    async with load(port, clients, ("-u", "/ws/hotspots?last=0", *EVENTS)):
        rows = asyncio.create_task(supabase.publish(ROWS, ROWS_PER_SECOND), name="rows")
        await asyncio.sleep(BEFORE_SECONDS)
    try:
        yield rows
    finally:
        rows.cancel()
        await asyncio.gather(rows, return_exceptions=True)


async def _come_back(
    port: int, place: Place, published: asyncio.Task[None], clients: int
) -> Figures:
    path = ("-u", f"/ws/hotspots?cursor={place.cursor}")
    wanted = ("--first", str(place.next), "--last", str(ROWS - 1))
    async with load(port, STAYING, ("-u", "/ws/hotspots", "--last", str(ROWS - 1))) as others:
        began = time.monotonic()
        async with load(port, clients, (*path, *EVENTS, *RESUMED, *AT_ONCE, *wanted)) as back:
            greeted = time.monotonic()
            await published
            ended = time.monotonic()
            complete = await back.complete(PATIENCE_SECONDS)
            whole = time.monotonic()
            stayed, got = await others.end(), await back.end()
    lost = sum(int(got[name]) + int(stayed[name]) for name in ("gaps", "out_of_order", "missing"))
    if not complete or lost or got["closed_by_server"] or got["counted"] < clients:
        raise Failed(f"not all came back whole: {got}, those who stayed: {stayed}")
    return {
        "clients": clients,
        "greeted_s": greeted - began,
        "whole_after_last_row_s": whole - max(ended, greeted),
        "lost": lost,
        "staying_p99_ms": stayed["lat_us"]["p99"] / 1000,
        "staying_max_ms": stayed["lat_us"]["max"] / 1000,
    }
