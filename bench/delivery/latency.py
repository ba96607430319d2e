"""What the relay adds to Realtime's own delivery, and how long a row takes from its commit to 100
clients: against the embedded Supabase, whose PostgreSQL is a real one."""

from __future__ import annotations

import asyncio
import statistics
import time

import psycopg

from bench import machine
from bench.contestants.relay import relay
from bench.delivery.arrivals import arriving, directly, relayed
from bench.emulated import Supabase, supabase
from bench.load import load
from bench.processes import Failed
from bench.scenarios.fanout import SETTLE_SECONDS, Figures

ROWS, ROWS_PER_SECOND = 400, 40
CLIENTS = 100
PATIENCE_SECONDS = 20.0
# The time of the write travels in a column that nothing depends on.
WRITE = """
insert into public.hotspots
  (entity, entity_type, event_type, predicted_co2, baseline_co2, percent_above, severity, event_id)
values (%s, 'supplier', 'logistics', 566.15625, 412.5, 37.25, 'warn', %s)
"""


async def added(rows: int = ROWS) -> Figures:
    """By how much later a row arrives over the relay than at a subscriber of Realtime itself, with
    one client, in milliseconds.

    Raises:
        Failed: A row did not arrive at one of them.
    """
    port = machine.free_port()
    async with supabase() as project, relay(project.url, project.key, port):
        direct, over = directly(project.url, project.key), relayed(port)
        async with arriving(direct) as first, arriving(over) as second:
            await asyncio.sleep(SETTLE_SECONDS)
            writing = await _write(project, rows)
            await asyncio.gather(*(each.whole(rows, PATIENCE_SECONDS) for each in (first, second)))
    later = [(second.at[id] - first.at[id]) * 1e3 for id in first.at]
    written = zip(sorted(first.at), writing, strict=True)  # ids count the rows in their order
    alone = [(first.at[id] - began) * 1e3 for id, began in written]
    return {
        "rows": rows,
        "added_p50_ms": statistics.median(later),
        "added_p99_ms": _percentile(later, 99),
        "realtime_p50_ms": statistics.median(alone),
    }


async def to_socket(rows: int = ROWS, clients: int = CLIENTS) -> Figures:
    """From before the INSERT, which its transaction commits, to the clients, in milliseconds.

    Raises:
        Failed: A row did not arrive.
    """
    port = machine.free_port()
    keys = ("--seq-key", "id", "--time-key", "event_id", "-e", str(rows))
    async with (
        supabase() as project,
        relay(project.url, project.key, port),
        load(port, clients, ("-u", "/ws/hotspots", *keys)) as running,
    ):
        await asyncio.sleep(SETTLE_SECONDS)
        began = await _write(project, rows)
        complete = await running.complete(PATIENCE_SECONDS)
        got = await running.end()
    if not complete or got["gaps"] or got["out_of_order"]:
        raise Failed(f"not delivered as written: {got}")
    return {
        "rows": len(began),
        "clients": clients,
        "to_socket_p50_ms": got["lat_us"]["p50"] / 1000,
        "to_socket_p99_ms": got["lat_us"]["p99"] / 1000,
    }


async def _write(project: Supabase, rows: int) -> list[float]:
    """Write so many rows, one to a transaction; when each was begun."""
    began: list[float] = []
    async with await psycopg.AsyncConnection.connect(project.dsn, autocommit=True) as connection:
        start = time.monotonic()
        for number in range(rows):
            await asyncio.sleep(max(0.0, start + number / ROWS_PER_SECOND - time.monotonic()))
            now = time.monotonic_ns()
            began.append(now / 1e9)
            await connection.execute(WRITE, (f"SUP-{number}", now))
    return began


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]
