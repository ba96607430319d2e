"""One contestant with so many clients: how fast they connect, what idle ones cost, what a row
costs in a burst and when rows come one by one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from bench import usage
from bench.contestant import Contestant, Server
from bench.load import Load, load
from bench.processes import Failed

SETTLE_SECONDS = 0.7
PATIENCE_SECONDS = 90.0

Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """A run: how many clients, rows of the burst, and paced rows at that rate."""

    clients: int
    burst_rows: int
    paced_rows: int
    per_second: float


def size(clients: int, *, joins: bool) -> Size:
    """What is sent to so many clients: a server that writes once for each row and client would
    take minutes for the bursts of one that joins them."""
    per_second, paced = (50.0, 100) if clients < 5000 else (10.0, 30)
    if joins:
        burst = 1000 if clients <= 1000 else 1_000_000 // clients
    else:
        burst = min(1000, max(20, 200_000 // clients))
    return Size(clients, burst, paced, per_second)


async def measure(contestant: Contestant, wanted: Size) -> Figures:
    """Everything about it at that size, with fresh connections for each part.

    Raises:
        Failed: It did not deliver everything in order, or counted otherwise than its clients.
    """
    async with contestant.running() as server:
        counted = await server.deliveries() if server.deliveries else 0
        figures, received = await _connect_and_burst(server, wanted)
        paced, more = await _paced(server, wanted)
        if server.deliveries:
            counted = await server.deliveries() - counted
            if counted != received + more:
                raise Failed(f"it counts {counted} deliveries, its clients {received + more}")
    return figures | paced


async def deliver(
    server: Server, running: Load, rows: int, per_second: float
) -> tuple[float, dict[str, Any]]:
    """Publishes; microseconds of processor time until all was delivered, and what clients got.

    Raises:
        Failed: Something is missing, out of order or twice.
    """
    pids = server.pids
    before = usage.processor_us(pids)
    await server.publish(rows, per_second)
    complete = await running.complete(PATIENCE_SECONDS)
    used = usage.processor_us(pids) - before
    got = await running.end()
    wrong = {
        name: got[name]
        for name in ("missing", "gaps", "out_of_order", "surplus", "closed_by_server")
        if got[name]
    }
    if wrong or not complete:
        raise Failed(f"not delivered as published: {wrong or got['end']}")
    return used, got


async def _connect_and_burst(server: Server, wanted: Size) -> tuple[Figures, int]:
    await asyncio.sleep(SETTLE_SECONDS)
    pids = server.pids
    memory, used = usage.memory_kib(pids), usage.processor_us(pids)
    options = (*server.options, "-e", str(wanted.burst_rows))
    async with load(server.port, wanted.clients, options) as running:
        connecting = usage.processor_us(pids) - used
        await asyncio.sleep(SETTLE_SECONDS)
        memory = usage.memory_kib(pids) - memory
        burst, got = await deliver(server, running, wanted.burst_rows, 0)
    figures = {
        "connects_per_s": running.ready["connect_per_s"],
        "connect_us": connecting / wanted.clients,
        "kib_per_idle_connection": memory / wanted.clients,
        "burst_us": burst / got["msgs"],
        "burst_per_s": got["span_deliveries_per_s"],
    }
    return figures, got["msgs"]


async def _paced(server: Server, wanted: Size) -> tuple[Figures, int]:
    options = (*server.options, "-e", str(wanted.paced_rows))
    async with load(server.port, wanted.clients, options) as running:
        await asyncio.sleep(SETTLE_SECONDS)
        used, got = await deliver(server, running, wanted.paced_rows, wanted.per_second)
    latency = got["lat_us"]
    figures = {
        "paced_us": used / got["msgs"],
        "paced_p50_ms": latency["p50"] / 1000,
        "paced_p99_ms": latency["p99"] / 1000,
        # Above 1 where rows wait for each other and are written at once, on a busy machine.
        "paced_rows_per_read": got["msgs"] / got["reads"],
        "loader_busy": got["client"]["busy"],
    }
    return figures, got["msgs"]
