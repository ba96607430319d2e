"""What the stamps, the check of versions and the announcements cost an insert into a table."""

from __future__ import annotations

import statistics
import time

import psycopg

from bench.emulated import supabase
from bench.processes import Failed
from bench.scenarios.fanout import Figures

ROWS = 500  # one statement each, and then as many by a single one
ROUNDS = 6  # of both tables in turn
COLUMNS = "(entity, entity_type, event_type, predicted_co2, baseline_co2, percent_above, severity)"
VALUES = "select 'SUP-' || n, 'supplier', 'logistics', 12.5, 10, 25, 'warn'"
BARE = "bare_hotspots"


async def measure() -> Figures:
    """Microseconds for a row, in the table as it is and in one like it without triggers.

    Raises:
        Failed: The database refuses something.
    """
    async with supabase() as running:
        try:
            async with await psycopg.AsyncConnection.connect(
                running.dsn, autocommit=True
            ) as connection:
                return await _measure(connection)
        except psycopg.Error as exc:
            raise Failed(str(exc)) from exc


async def _measure(connection: psycopg.AsyncConnection) -> Figures:
    await connection.execute(f"create table {BARE} (like public.hotspots including all)".encode())
    taken: dict[str, list[float]] = {}
    first = 0  # an episode that is open already is refused
    for round in range(ROUNDS):
        for name, table in (("bare", BARE), ("stamped", "public.hotspots")):
            single = await _each_by_itself(connection, table, first)
            bulk = await _all_at_once(connection, table, first + ROWS)
            first += 2 * ROWS
            if round:  # the first one warms up
                taken.setdefault(f"{name}_single_us", []).append(single)
                taken.setdefault(f"{name}_bulk_us", []).append(bulk)
    found = {name: statistics.median(values) for name, values in taken.items()}
    for way in ("single", "bulk"):
        found[f"{way}_extra_us"] = found[f"stamped_{way}_us"] - found[f"bare_{way}_us"]
    return found


async def _each_by_itself(connection: psycopg.AsyncConnection, table: str, first: int) -> float:
    statement = f"insert into {table} {COLUMNS} {VALUES} from (values (%s::int)) as v (n)".encode()
    began = time.monotonic()
    for number in range(first, first + ROWS):
        await connection.execute(statement, (number,))
    return (time.monotonic() - began) * 1e6 / ROWS


async def _all_at_once(connection: psycopg.AsyncConnection, table: str, first: int) -> float:
    rows = f"generate_series({first}, {first + ROWS - 1}) n"
    statement = f"insert into {table} {COLUMNS} {VALUES} from {rows}".encode()
    began = time.monotonic()
    await connection.execute(statement)
    return (time.monotonic() - began) * 1e6 / ROWS
