"""Realtime's frames, as the stand-in sends them: protocol version 1.0.0 of the Phoenix channels.
Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from bench.rows import Record, Row, record, timestamp

CHANGES_TOPIC = "realtime:relay:changes"
HEARTBEATS = "relay_heartbeats"
TYPES = {
    "id": "int8",
    "event_id": "int8",
    "n": "int8",
    "t": "int8",
    "tx": "int8",
    "version": "int4",
    "baseline_co2": "float8",
    "percent_above": "float8",
    "predicted_co2": "float8",
    "changed_at": "timestamptz",
    "created_at": "timestamptz",
    "resolved_at": "timestamptz",
    "seen_at": "timestamptz",
    "started_at": "timestamptz",
}


def reply(asked: Mapping[str, Any], response: Mapping[str, Any]) -> str:
    """The answer `ok` to what a client asked."""
    payload = {"status": "ok", "response": response}
    return _frame(asked["topic"], "phx_reply", json.dumps(payload), asked.get("ref"))


def subscribed(topic: str) -> str:
    """What comes when the database accepted the bindings of a channel."""
    message = {
        "message": "Subscribed to PostgreSQL",
        "status": "ok",
        "extension": "postgres_changes",
        "channel": topic.removeprefix("realtime:"),
    }
    return _frame(topic, "system", json.dumps(message))


def rows_changed(rows: Iterable[Row]) -> Iterable[tuple[str, Record, float]]:
    """Inserted rows, as `announcement` and `change` take them."""
    return (("hotspots", record(row), row.written) for row in rows)


def beaten(instance: str, beat: int, now: float) -> tuple[str, Record, float]:
    """A relay's heartbeat row, likewise."""
    row: Record = {
        "beat": beat,
        "seen_at": timestamp(now),
        "instance": instance,
        "started_at": timestamp(now),
    }
    return HEARTBEATS, row, now


def announcement(changes: Iterable[tuple[str, Record, float]]) -> str:
    """One broadcast with all of them, as the announcing triggers send it."""
    entries = [
        {"table": table, "record": row, "schema": "public", "operation": "INSERT"}
        | {"old_record": None}
        for table, row, _ in changes
    ]
    name = str(uuid.uuid4())
    payload = {
        "event": "changes",
        "meta": {"id": name},
        "payload": {"id": name, "changes": entries},
        "type": "broadcast",
    }
    return _frame(CHANGES_TOPIC, "broadcast", json.dumps(payload))


def change(topic: str, binding: int, changed: tuple[str, Record, float]) -> str:
    """One row for a channel with postgres_changes; `binding` is the id that it was given."""
    table, row, written = changed
    data = {
        "table": table,
        "type": "INSERT",
        "record": row,
        "columns": [{"name": name, "type": TYPES.get(name, "text")} for name in row],
        "errors": None,
        "schema": "public",
        "commit_timestamp": timestamp(written)[:23] + "Z",
    }
    payload = json.dumps({"data": data, "ids": [binding]})
    return _frame(topic, "postgres_changes", payload)


def _frame(topic: str, event: str, payload: str, ref: object = None) -> str:
    head = f'{{"ref":{json.dumps(ref)},"event":{json.dumps(event)},"payload":'
    return f'{head}{payload},"topic":{json.dumps(topic)}}}'
