"""Plain statements on the three tables that the relay carries."""

from __future__ import annotations

import itertools
from typing import Any, Literal, LiteralString

from psycopg.types.json import Jsonb

from tests.supabase.servers import Connection, one

Table = Literal["hotspots", "alerts", "recommendations"]
TABLES: tuple[Table, ...] = ("hotspots", "alerts", "recommendations")
Queries = dict[Table, LiteralString]

_entities = itertools.count(1)


def per_table(statement: LiteralString) -> Queries:
    """The statement for each table: `{t}` is the table, `{n}` its number that tests may change."""
    numbers: Queries = {
        "hotspots": "predicted_co2",
        "alerts": "message",
        "recommendations": "co2_reduction",
    }
    return {
        table: statement.replace("{t}", table).replace("{n}", number)
        for table, number in numbers.items()
    }


stamps_of = per_table("select version, tx from public.{t} where id = %s")
whole = per_table("select * from public.{t} where id = %s")
fresh_enough = per_table(
    "select changed_at > now() - interval '1 minute' from public.{t} where id = %s"
)
_copy = per_table("select to_jsonb(x) from public.{t} x where id = %s")
_put_back = per_table(
    "insert into public.{t} overriding system value"
    " select * from jsonb_populate_record(null::public.{t}, %s)"
)
_change = per_table("update public.{t} set {n} = %s where id = %s")
_forge = per_table(
    "update public.{t} set version = 7, tx = 7, changed_at = '2001-01-01' where id = %s"
)
_renumber = per_table("update public.{t} set id = default where id = %s")
_delete = per_table("delete from public.{t} where id = %s")


def insert(connection: Connection, table: Table, hotspot: int | None = None) -> int:
    """Insert a row, for alerts and recommendations with a new hotspot unless given one; its id."""
    if table == "hotspots":
        entity = f"supplier-{next(_entities)}"
        row = one(
            connection,
            "insert into public.hotspots (entity, entity_type, event_type, predicted_co2,"
            " baseline_co2, percent_above, severity)"
            " values (%s, 'supplier', 'factory', 130, 100, 30, 'warn') returning id",
            entity,
        )
    elif table == "alerts":
        row = one(
            connection,
            "insert into public.alerts (hotspot_id, level, message)"
            " values (%s, 'warn', '') returning id",
            insert(connection, "hotspots") if hotspot is None else hotspot,
        )
    else:
        row = one(
            connection,
            "insert into public.recommendations (hotspot_id, action, co2_reduction)"
            " values (%s, 'Fill the trucks', 0) returning id",
            insert(connection, "hotspots") if hotspot is None else hotspot,
        )
    assert isinstance(row, int)
    return row


def insert_forged(connection: Connection, table: Table) -> int:
    """Insert a row whose writer claims version 7 of transaction 7, long ago; its id."""
    statements: Queries = {
        "hotspots": "insert into public.hotspots (entity, entity_type, event_type, predicted_co2,"
        " baseline_co2, percent_above, severity, version, tx, changed_at) select 'forger',"
        " 'supplier', 'factory', id, 1, 1, 'info', 7, 7, '2001-01-01' from public.hotspots"
        " where id = %s returning id",
        "alerts": "insert into public.alerts (hotspot_id, level, message, version, tx, changed_at)"
        " values (%s, 'info', '', 7, 7, '2001-01-01') returning id",
        "recommendations": "insert into public.recommendations (hotspot_id, action, co2_reduction,"
        " version, tx, changed_at) values (%s, '', 1, 7, 7, '2001-01-01') returning id",
    }
    row = one(connection, statements[table], insert(connection, "hotspots"))
    assert isinstance(row, int)
    return row


def change(connection: Connection, table: Table, row: int, value: float) -> None:
    """Set the row's free column to `value`."""
    connection.execute(_change[table], (str(value) if table == "alerts" else value, row))


def forge(connection: Connection, table: Table, row: int) -> None:
    """Try to set nothing but the stamps."""
    connection.execute(_forge[table], (row,))


def renumber(connection: Connection, table: Table, row: int) -> None:
    """Try to give the row another id."""
    connection.execute(_renumber[table], (row,))


def delete(connection: Connection, table: Table, row: int) -> None:
    """Delete the row."""
    connection.execute(_delete[table], (row,))


def copy(connection: Connection, table: Table, row: int) -> dict[str, Any]:
    """The whole row, to be put back later."""
    found: dict[str, Any] = one(connection, _copy[table], row)
    return found


def put_back(connection: Connection, table: Table, copied: dict[str, Any]) -> None:
    """Insert a row under the id that it had."""
    connection.execute(_put_back[table], (Jsonb(copied),))
