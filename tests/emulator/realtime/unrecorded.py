"""Changes that recordings show without the statement: rows of others, or of a cut recording."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tests.emulator.realtime.conftest import Server

SAME_SECONDS = 0.05


def mentions(statement: str, data: dict[str, Any]) -> bool:
    """Whether the statement names the row's table and one of its values."""
    if not re.search(rf"\b{data['table']}\b", statement):
        return False
    row = data.get("record") or data.get("old_record") or {}
    values = [row.get(name) for name in ("name", "message", "title", "en", "nu", "v", "b", "id")]
    said = [value for value in values if value is not None]
    return not said or any(re.search(_literal(value), statement) for value in said)


def _literal(value: object) -> str:
    if isinstance(value, str):
        return re.escape("'" + value.replace("'", "''") + "'")
    return rf"(?<![\w']){re.escape(str(value))}(?![\w'])"


def committed(data: dict[str, Any]) -> float | None:
    """Seconds since 1970."""
    moment = data.get("commit_timestamp")
    return datetime.fromisoformat(moment).timestamp() if moment else None


def identity(data: dict[str, Any]) -> str:
    row = data.get("record") or data.get("old_record")
    return json.dumps([data["table"], data["type"], row, data.get("commit_timestamp")])


async def make(server: Server, data: dict[str, Any]) -> None:
    """Do to the tables what the frame tells of, for what was done was not recorded."""
    table, record, old = data["table"], data.get("record"), data.get("old_record") or {}
    row = f"jsonb_populate_record(null::{table}, %s::jsonb)"
    match data["type"]:
        case "INSERT":
            into = f"insert into {table} overriding system value select * from {row}"  # noqa: S608
            await server.sql(into, json.dumps(record))
        case "UPDATE":
            names = ", ".join(record or {})
            values = ", ".join(f"new.{name}" for name in record or {})
            change = f"update {table} t set ({names}) = row({values})"  # noqa: S608
            await server.sql(
                f"{change} from {row} new where t.id = %s", json.dumps(record), old["id"]
            )
        case "DELETE":
            await server.sql(f"delete from {table} where id = %s", old["id"])  # noqa: S608


async def make_former(server: Server, changes: Iterable[dict[str, Any]]) -> None:
    """Insert the rows that were there before the first of these changes."""
    made: set[tuple[str, Any]] = set()
    for data in changes:
        old = data.get("old_record") or {}
        table, row = data["table"], data.get("record") or old
        if old and (table, old["id"]) not in made:
            await server.sql(f"insert into {table} (id) values (%s)", old["id"])  # noqa: S608
        made.add((table, row.get("id")))


def start(causes: Iterable[tuple[float, str]], changes: Iterable[dict[str, Any]]) -> float | None:
    """When the recording began, by statements with their times and what they led to."""
    said = [*causes]
    clocks = [
        moment - at
        for data in changes
        if (moment := committed(data)) is not None
        for at, statement in said
        if mentions(statement, data)
    ]
    # A statement can seem to lead to what others did: most agree.
    return max(
        clocks, key=lambda clock: sum(abs(clock - c) < SAME_SECONDS for c in clocks), default=None
    )
