"""1,000 clients with a filter of their own each, beside as many that share one.

Every filter lets all rows pass, so that both get the same; what the filters cost is the difference.
"""

from __future__ import annotations

import asyncio

from bench import rows, usage
from bench.contestant import Contestant
from bench.load import load
from bench.scenarios.fanout import SETTLE_SECONDS, Figures, Size, deliver

CLIENTS = 1000
BEFORE = 5000  # rows that the relay keeps when the clients come
SIZE = Size(clients=CLIENTS, burst_rows=1000, paced_rows=100, per_second=50.0)
EVERY = ",".join(rows.ENTITIES)
SHARED = f"/ws/hotspots?entity={EVERY}"
DISTINCT = f"{SHARED},own-{{i}}"
MOST_KIB = 20 * 1024
MOST_RATIO = 2.0


async def measure(contestant: Contestant) -> Figures:
    """What filters cost beside a single one, each on a fresh server.

    Raises:
        Failed: Somebody did not get everything in order.
    """
    one = await _run(contestant, SHARED)
    many = await _run(contestant, DISTINCT)
    return {
        "clients": CLIENTS,
        **{f"{name}_one": value for name, value in one.items()},
        **many,
        "paced_ratio": many["paced_us"] / one["paced_us"],
        "burst_ratio": many["burst_us"] / one["burst_us"],
        "filters_kib": many["growth_kib"] - one["growth_kib"],
    }


async def _run(contestant: Contestant, path: str) -> Figures:
    async with contestant.running() as server:
        await server.publish(BEFORE, 0)
        await asyncio.sleep(SETTLE_SECONDS)
        options = (*server.options, "-u", path)
        async with usage.growth(server.pids) as memory:
            async with load(server.port, CLIENTS, (*options, "-e", str(SIZE.burst_rows))) as all:
                burst, got = await deliver(server, all, SIZE.burst_rows, 0)
            async with load(server.port, CLIENTS, (*options, "-e", str(SIZE.paced_rows))) as all:
                await asyncio.sleep(SETTLE_SECONDS)
                paced, more = await deliver(server, all, SIZE.paced_rows, SIZE.per_second)
    return {
        "burst_us": burst / got["msgs"],
        "paced_us": paced / more["msgs"],
        "paced_p99_ms": more["lat_us"]["p99"] / 1000,
        "growth_kib": memory.kib,
    }
