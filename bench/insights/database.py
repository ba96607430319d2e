"""A database with a year of many suppliers, as ingest and scan leave it.

A few suppliers go through `worker ingest` and `worker scan`. All rows that this leaves are then
copied under other names, so that every copy is what the worker would have written; rollups of the
copies are made by the database's own triggers.
"""

from __future__ import annotations

import asyncio
import csv
import math
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench.emulated import Supabase
from bench.processes import Failed

DAYS = 365
RAISED_DAYS = 20  # of the newest ones, so that each key ends in an open hotspot
COLUMNS = (
    "timestamp", "supplier_id", "event_type", "distance_km", "planned_distance_km", "load_kg",
    "vehicle_type", "vehicle_class", "fuel_type", "delivery_count", "energy_kwh",
    "output_quantity", "output_unit", "country",
)  # fmt: skip
# Copied in this order. Rollups are not: they follow from predictions.
TABLES = (
    "suppliers", "events_normalized", "predictions", "periods", "detectors", "detector_keys",
    "hotspots", "alerts", "recommendations", "notices",
)  # fmt: skip
NAMES = ("entity", "supplier_id")
EVENTS, HOTSPOTS = "events_normalized", "hotspots"
# Columns that get another number in each copy, by the table whose ids they hold.
NUMBERS = {
    (EVENTS, "id"): EVENTS,
    ("predictions", "event_id"): EVENTS,
    ("periods", "event_id"): EVENTS,
    (HOTSPOTS, "event_id"): EVENTS,
    ("notices", "event_id"): EVENTS,
    (HOTSPOTS, "id"): HOTSPOTS,
    (HOTSPOTS, "previous_id"): HOTSPOTS,
    ("alerts", "hotspot_id"): HOTSPOTS,
    ("recommendations", "hotspot_id"): HOTSPOTS,
}
Connection = psycopg.AsyncConnection[Any]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is in it; each supplier has one kind of work and one open hotspot."""

    suppliers: int
    events_each: int
    templates: int = 10

    @property
    def copies(self) -> int:
        """How often the templates are there, the original included."""
        return self.suppliers // self.templates


def write_file(path: Path, size: Size, until: datetime) -> None:
    """Write the events of the templates, the newest days with more kilograms than usual."""
    rng = random.Random(16)  # noqa: S311 - sample data, no secret
    rows = []
    for supplier in range(size.templates):
        make = (_trip, _shift, _store, _tour)[supplier % 4]
        for number in range(size.events_each):
            age = DAYS * (1 - (number + rng.random()) / size.events_each)
            raised = 1.6 if age < RAISED_DAYS else 1.0
            row = make(rng, raised * math.exp(rng.gauss(0, 0.04)))
            at = until - timedelta(days=age)
            rows.append({"timestamp": at.isoformat(), "supplier_id": f"Template {supplier}", **row})
    rows.sort(key=lambda row: row["timestamp"])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _trip(rng: random.Random, factor: float) -> dict[str, Any]:
    planned = rng.uniform(60, 200)
    return {
        "event_type": "logistics",
        "planned_distance_km": f"{planned:.1f}",
        "distance_km": f"{planned * factor:.1f}",
        "load_kg": round(rng.uniform(500, 1500)),
        "vehicle_type": "truck",
        "vehicle_class": "rigid_7_5",
        "fuel_type": "diesel",
    }


def _tour(rng: random.Random, factor: float) -> dict[str, Any]:
    stops = rng.randrange(30, 120)
    return {
        "event_type": "delivery",
        "delivery_count": stops,
        "distance_km": f"{stops * 0.4 * factor:.1f}",
        "vehicle_type": "van",
        "fuel_type": "diesel",
    }


def _shift(rng: random.Random, factor: float) -> dict[str, Any]:
    tonnes = rng.uniform(20, 40)
    return {
        "event_type": "factory",
        "energy_kwh": f"{tonnes * 40 * factor:.1f}",
        "output_quantity": f"{tonnes:.2f}",
        "output_unit": "t",
        "country": "GBR",
    }


def _store(rng: random.Random, factor: float) -> dict[str, Any]:
    """Nothing is said of what was moved: such days are judged as a whole."""
    return {
        "event_type": "warehouse",
        "energy_kwh": f"{rng.uniform(270, 300) * factor:.1f}",
        "country": "DEU",
    }


async def fill(project: Supabase, size: Size, folder: Path, tell: Tell) -> None:
    """Fill an empty database.

    Raises:
        Failed: The worker failed, or did not find one hotspot for each supplier.
    """
    file = folder / "templates.csv"
    write_file(file, size, datetime.now(UTC))
    environment = {"SUPABASE_URL": project.url, "SUPABASE_SECRET_KEY": project.key}
    for command in (["ingest", str(file)], ["scan"]):
        tell(f"worker {command[0]}: {size.templates * size.events_each:,} events")
        await _run_worker(command, environment)
    async with await psycopg.AsyncConnection.connect(project.dsn, autocommit=True) as connection:
        opened = await _number(
            connection, "count(*)", HOTSPOTS, "status = 'active' and entity like 'Template %'"
        )
        if opened != size.templates:
            raise Failed(f"{opened} hotspots are open of {size.templates} suppliers")
        await _copy(connection, size, tell)
        tell("vacuum analyze, which autovacuum does in life")
        await connection.execute("vacuum analyze")


async def _run_worker(command: list[str], environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", *command,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise Failed(f"worker {command[0]}: {output.decode()[-800:]}")


async def _copy(connection: Connection, size: Size, tell: Tell) -> None:
    above = {table: await _number(connection, "max(id)", table) for table in (EVENTS, HOTSPOTS)}
    names = sql.SQL(", ").join(
        sql.Literal(f"Template {supplier}") for supplier in range(size.templates)
    )
    statements = [await _statement(connection, table, above, names) for table in TABLES]
    # What is copied was scanned: nothing of it waits.
    await connection.execute("alter table events_normalized disable trigger enqueue_events")
    for copy in range(1, size.copies):
        if copy % max(1, size.copies // 10) == 0:
            tell(f"{(copy + 1) * size.templates * size.events_each:,} predictions")
        async with connection.transaction():
            for statement in statements:
                await connection.execute(statement, {"copy": copy})
    await connection.execute("alter table events_normalized enable trigger enqueue_events")
    for table in above:
        await connection.execute(
            sql.SQL("select setval(pg_get_serial_sequence({}, 'id'), (select max(id) from {}))")
            .format(sql.Literal(table), sql.Identifier(table))
        )  # fmt: skip


async def _statement(
    connection: Connection, table: str, above: dict[str, int], names: sql.Composed
) -> sql.Composed:
    """Insert the rows of the templates once more, under the names and numbers of a copy."""
    cursor = await connection.execute(
        "select attname, attidentity <> '' from pg_attribute where attrelid = %s::regclass"
        " and attnum > 0 and not attisdropped",
        (table,),
    )
    columns, values = [], []
    for column, is_identity in await cursor.fetchall():
        value: sql.Composable = sql.Identifier(column)
        if column in NAMES:
            value = sql.SQL("{} || ' of ' || %(copy)s::text").format(value)
        elif column == "source_key":
            value = sql.SQL("{} || '-' || %(copy)s::text").format(value)
        elif (table, column) in NUMBERS:
            step = sql.Literal(above[NUMBERS[table, column]])
            value = sql.SQL("{} + %(copy)s::bigint * {}").format(value, step)
        elif is_identity:
            continue
        columns.append(sql.Identifier(column))
        values.append(value)
    named = next((name for name in NAMES if sql.Identifier(name) in columns), None)
    if named is None:
        of = sql.SQL("hotspot_id in (select id from hotspots where entity in ({}))")
        where = of.format(names)
    else:
        where = sql.SQL("{} in ({})").format(sql.Identifier(named), names)
    return sql.SQL("insert into {} ({}) overriding system value select {} from {} where {}").format(
        sql.Identifier(table), sql.SQL(", ").join(columns), sql.SQL(", ").join(values),
        sql.Identifier(table), where,
    )  # fmt: skip


async def _number(connection: Connection, what: str, table: str, where: str = "true") -> int:
    query = sql.SQL("select {} from {} where {}").format(*map(sql.SQL, (what, table, where)))
    cursor = await connection.execute(query)
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
