"""Ten of 100 readers stop reading: what that does to the others, to memory, and to the ten."""

from __future__ import annotations

import asyncio

from bench import usage
from bench.contestant import Contestant, Server
from bench.load import load
from bench.scenarios.fanout import SETTLE_SECONDS, Figures

CLIENTS, BLOCKED = 100, 10
ROWS, ROWS_PER_SECOND = 20_000, 1_000
# A server may wait for a while before it gives a client up; the relay does so for 20 s.
AFTERWARDS_SECONDS = 25
DRAIN_SECONDS = 4
PATIENCE_SECONDS = 120.0


async def measure(contestant: Contestant) -> Figures:
    """The others' latency with and without the blocked ones, each on a fresh server.

    Raises:
        Failed: There was no result at all.
    """
    async with contestant.running() as server:
        alone = await _run(server, CLIENTS - BLOCKED, 0)
    async with contestant.running() as server:
        beside = await _run(server, CLIENTS, BLOCKED)
    return {
        "clients": CLIENTS,
        "p50_without_ms": alone["p50_ms"],
        "p99_without_ms": alone["p99_ms"],
        "p50_ms": beside["p50_ms"],
        "p99_ms": beside["p99_ms"],
        "p99_ratio": beside["p99_ms"] / alone["p99_ms"],
        "missing": beside["missing"],
        "growth_without_kib": alone["growth_kib"],
        "growth_kib": beside["growth_kib"],
        "blocked_closed": beside["blocked_closed"],
        "blocked_complete": beside["blocked_complete"],
    }


async def _run(server: Server, clients: int, blocked: int) -> Figures:
    options = (*server.options, "-e", str(ROWS), "--slow", str(blocked), "--slow-rcvbuf", "4096")
    wait = AFTERWARDS_SECONDS if blocked else 1
    drain = ("--slow-drain", str(DRAIN_SECONDS), "--linger", str(wait), "-t", str(PATIENCE_SECONDS))
    async with load(server.port, clients, (*options, *drain)) as running:
        await asyncio.sleep(SETTLE_SECONDS)
        async with usage.growth(server.pids) as memory:
            await server.publish(ROWS, ROWS_PER_SECOND)
            await running.complete(PATIENCE_SECONDS)
            got = await running.rest(PATIENCE_SECONDS)
    return {
        "p50_ms": got["lat_us"]["p50"] / 1000,
        "p99_ms": got["lat_us"]["p99"] / 1000,
        "missing": got["missing"],
        "growth_kib": memory.kib,
        "blocked_closed": got["slow"]["closed"],
        "blocked_complete": got["slow"]["complete"],
    }
