"""What relays send, read once however many clients get it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from chaos.ledger import Row

CHANGES = ("INSERT", "UPDATE", "DELETE", "LEAVE")
FILTERABLE = {
    "hotspots": ("severity", "status", "entity"),
    "alerts": ("level",),
    "recommendations": ("status",),
}
# Without the stamps: nothing else belongs into a row, and nothing may be missing.
COLUMNS = {
    "hotspots": {
        *("id", "entity", "entity_type", "event_type", "predicted_co2", "baseline_co2"),
        *("percent_above", "severity", "status", "event_id", "created_at", "resolved_at"),
        *("phase", "series", "rule", "excess_kg", "reason", "occurred_at", "last_seen_at"),
        *("drivers", "announced", "resolution", "peak_severity", "previous_id", "held"),
        "acknowledged_at",
    },
    "alerts": {
        *("id", "hotspot_id", "kind", "level", "message", "acknowledged", "acknowledged_at"),
        *("created_at", "occurred_at", "reason"),
    },
    "recommendations": {
        *("id", "hotspot_id", "action", "co2_reduction", "root_cause", "source", "status"),
        *("rule", "driver", "actual", "usual", "unit", "co2_reduction_month", "created_at"),
    },
}


@dataclass(frozen=True, slots=True)
class Message:
    """A frame of relay.v1 that is about the stream itself."""

    type: str
    members: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A frame about a row; `row` is None for a deletion, whose `version` is 0 in bare rows."""

    type: str
    id: int
    version: int
    row: Row | None


class BadFrame(Exception):
    """A frame that the protocol does not know, or one that contradicts itself."""


@lru_cache(maxsize=8192)
def event(table: str, text: str) -> Message | Change:
    """A frame of relay.v1. Raises BadFrame."""
    found = json.loads(text)
    if found["type"] not in CHANGES:
        return Message(found["type"], found)
    if found["table"] != table:
        raise BadFrame(f"{found['table']} on the endpoint of {table}: {text[:200]}")
    if found["type"] == "LEAVE":
        return Change("LEAVE", found["id"], found["version"], None)
    if found["type"] == "DELETE":
        return Change("DELETE", found["old_record"]["id"], found["version"], None)
    change = _whole(table, found["record"], text)
    if change.version != found["version"]:
        raise BadFrame(f"version {found['version']} with the content of another: {text[:200]}")
    return change


@lru_cache(maxsize=8192)
def bare(table: str, text: str) -> Change:
    """A frame of the rows format. Raises BadFrame."""
    found = json.loads(text)
    if found.get("deleted") is True:
        return Change("DELETE", found["id"], 0, None)
    return _whole(table, found, text)


def _whole(table: str, record: Mapping[str, Any], text: str) -> Change:
    """The writers put the version into the content, so that neither can be right alone."""
    if odd := record.keys() ^ COLUMNS[table]:
        raise BadFrame(f"{sorted(odd)} missing or too much in a row of {table}: {text[:200]}")
    try:
        row = {column: record[column] for column in FILTERABLE[table]}
        return Change("ROW", record["id"], _version(table, record), row)
    except (TypeError, ValueError) as exc:
        raise BadFrame(f"not a row of {table}: {text[:200]}") from exc


def _version(table: str, record: Mapping[str, Any]) -> int:
    match table:
        case "hotspots":
            return int(record["predicted_co2"])
        case "alerts":
            return int(record["message"])
        case _:
            return int(record["co2_reduction"])
