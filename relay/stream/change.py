"""The three endpoints, and the change of one row as Realtime and changes_since bring it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pydantic_core


@dataclass(frozen=True)
class Column:
    """A column that a query parameter filters on; `values` are all that it can have, None when any
    text is possible."""

    name: str
    values: frozenset[str] | None = None


@dataclass(frozen=True)
class Endpoint:
    """A table and the stream of its changes; `number` is its `t` in changes_since and deletions."""

    name: str
    number: int
    filters: Mapping[str, Column] = field(hash=False)
    open_column: str
    open_value: str | bool

    def is_open(self, record: Mapping[str, object]) -> bool:
        """Whether the row still waits for something to happen, so that every client gets it."""
        return record.get(self.open_column) == self.open_value


SEVERITIES: Final = frozenset({"info", "warn", "critical"})

HOTSPOTS: Final = Endpoint(
    name="hotspots",
    number=1,
    filters=MappingProxyType(
        {
            "severity": Column("severity", SEVERITIES),
            "status": Column("status", frozenset({"active", "resolved", "ignored"})),
            "entity": Column("entity"),
        }
    ),
    open_column="status",
    open_value="active",
)
ALERTS: Final = Endpoint(
    name="alerts",
    number=2,
    filters=MappingProxyType({"severity": Column("level", SEVERITIES)}),
    open_column="acknowledged",
    open_value=False,
)
RECOMMENDATIONS: Final = Endpoint(
    name="recommendations",
    number=3,
    filters=MappingProxyType(
        {"status": Column("status", frozenset({"pending", "approved", "rejected", "implemented"}))}
    ),
    open_column="status",
    open_value="pending",
)
ENDPOINTS: Final = (HOTSPOTS, ALERTS, RECOMMENDATIONS)
BY_NAME: Final = MappingProxyType({endpoint.name: endpoint for endpoint in ENDPOINTS})
BY_NUMBER: Final = MappingProxyType({endpoint.number: endpoint for endpoint in ENDPOINTS})


ROW_BYTES: Final = 1500  # what a row takes in memory beside its texts
STAMPS: Final = ("version", "tx", "changed_at")


class Change(NamedTuple):
    """A row version, or a deletion (`record` is None); `tx` is the transaction that wrote it."""

    endpoint: Endpoint
    id: int
    version: int
    tx: int
    record: Mapping[str, Any] | None
    changed_at: str | None = None

    def size(self) -> int:
        """Roughly how many bytes of memory it takes: for limits."""
        texts = () if self.record is None else self.record.values()
        return ROW_BYTES + sum(len(text) for text in texts if type(text) is str)


def by_endpoint(changes: Iterable[Change]) -> dict[int, list[Change]]:
    """The changes by endpoint number, in their order."""
    found: dict[int, list[Change]] = {}
    for change in changes:
        found.setdefault(change.endpoint.number, []).append(change)
    return found


class Incomplete(Exception):
    """The message does not hold the whole row: it has to be read from the database."""


def encode(value: object) -> str:
    """Compact JSON, with text and numbers as they are."""
    return pydantic_core.to_json(value).decode()


def from_row(endpoint: Endpoint, row: Mapping[str, Any]) -> Change:
    """The change that a whole row, stamps included, stands for.

    Raises:
        Incomplete: A stamp or the id is missing.
    """
    record = dict(row)
    changed_at = record.pop("changed_at", None)
    version, tx = _integer(row, "version"), _integer(row, "tx")
    del record["version"], record["tx"]
    return Change(endpoint, _integer(row, "id"), version, tx, record, changed_at)


def from_caught(entry: Mapping[str, Any]) -> Change:
    """The change in one entry of changes_since.

    Raises:
        Incomplete: The entry is not what changes_since returns.
    """
    endpoint = BY_NUMBER.get(entry.get("t", 0))
    if endpoint is None:
        raise Incomplete(f"unknown table number {entry.get('t')}")
    if entry.get("deleted_version") is None:
        return from_row(endpoint, entry.get("record") or {})
    row_id, version, tx = (_integer(entry, name) for name in ("id", "deleted_version", "tx"))
    return Change(endpoint, row_id, version, tx, None)


def from_live(message: Mapping[str, Any]) -> Change:
    """The change in the `data` of a postgres_changes message.

    Raises:
        Incomplete: The message names errors, lacks a column (an unchanged large value is left
            out), or is a deletion, which carries no version.
    """
    endpoint = _endpoint(message)
    if message.get("errors"):
        raise Incomplete(f"{endpoint.name}: {message['errors']}")
    record = message.get("record")
    if message.get("type") == "DELETE" or not record:
        raise Incomplete(f"{endpoint.name}: {message.get('type')} without a record")
    missing = {column["name"] for column in message.get("columns", ())} - record.keys()
    if missing:
        raise Incomplete(
            f"{endpoint.name} {record.get('id')}: without {', '.join(sorted(missing))}"
        )
    return from_row(endpoint, record)


def from_announced(entry: Mapping[str, Any]) -> Change:
    """The change in one entry of a broadcast.

    Raises:
        Incomplete: The entry is not what our triggers send.
    """
    endpoint = _endpoint(entry)
    if entry.get("operation") != "DELETE":
        return from_row(endpoint, entry.get("record") or {})
    key = entry.get("old_record") or {}
    row_id, version, tx = (_integer(key, name) for name in ("id", "version", "tx"))
    return Change(endpoint, row_id, version, tx, None)


def _endpoint(message: Mapping[str, Any]) -> Endpoint:
    endpoint = BY_NAME.get(message.get("table", ""))
    if endpoint is None:
        raise Incomplete(f"unknown table {message.get('table')}")
    return endpoint


def _integer(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    if not isinstance(value, int):
        raise Incomplete(f"{name} is {value!r}")
    return value
