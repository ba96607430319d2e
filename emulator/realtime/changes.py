"""A committed change and the `data` of the message that announces it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from emulator.realtime.filters import Action
from emulator.realtime.pgoutput import (
    UNCHANGED,
    Begin,
    Delete,
    Insert,
    Message,
    ProtocolError,
    Relation,
    Row,
    Unchanged,
    Update,
)
from emulator.realtime.tables import Table
from emulator.realtime.values import quoted, sort_key

MAX_RECORD_BYTES = 1024 * 1024
MAX_BYTES_IN_TRUNCATED = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Rendered = Callable[[int, str], str]  # (type oid, text of the value) -> JSON


@dataclass(frozen=True, slots=True)
class Change:
    """A row that was inserted, updated or deleted; `old` and `new` as the stream had them."""

    action: Action
    relation: Relation
    xid: int
    commit_micros: int
    new: Row | None = None
    old: Row | None = None

    def values(self) -> Iterator[tuple[int, str]]:
        """Type and text of every value that is not null."""
        for row in (self.new, self.old):
            for column, value in zip(self.relation.columns, row or (), strict=False):
                if isinstance(value, str):
                    yield column.type_oid, value

    def current(self, name: str) -> str | Unchanged | None:
        """The value of a column after an INSERT or UPDATE; UNCHANGED also where there is none."""
        return self._value(self.new, name)

    def identity(self, name: str) -> str | Unchanged | None:
        """The value of a column of the replica identity before; UNCHANGED where there is none."""
        column = next((c for c in self.relation.columns if c.name == name and c.key), None)
        if column is None or self.action == "INSERT":
            return UNCHANGED
        # PostgreSQL repeats the key only when it changed.
        return self._value(self.old or self.new, name)

    def _value(self, row: Row | None, name: str) -> str | Unchanged | None:
        if row is None:
            return UNCHANGED
        names = (column.name for column in self.relation.columns)
        return next((v for n, v in zip(names, row, strict=False) if n == name), UNCHANGED)

    def too_large(self) -> bool:
        """Whether its form in wal2json, which the real server measures, is over 1 MiB."""
        texts = [text for _, text in self.values()]
        if sum(map(len, texts)) * 6 < MAX_RECORD_BYTES // 2:
            return False
        overhead = 200 + sum(60 + len(c.name) for c in self.relation.columns)
        return overhead + sum(len(quoted(text).encode()) for text in texts) > MAX_RECORD_BYTES


@dataclass(slots=True)
class Transactions:
    """Joins the messages of the stream to changes."""

    relations: dict[int, Relation] = field(default_factory=dict)
    begin: Begin | None = None

    def change(self, message: Message) -> Change | None:
        """The change that `message` is, if it is one. Raises ProtocolError."""
        match message:
            case Begin():
                self.begin = message
            case Relation():
                self.relations[message.oid] = message
            case Insert(oid, new):
                return self._made("INSERT", oid, new, None)
            case Update(oid, old, new):
                return self._made("UPDATE", oid, new, old)
            case Delete(oid, old):
                return self._made("DELETE", oid, None, old)
            case _:
                pass  # TRUNCATE and the rest reach no subscriber
        return None

    def _made(self, action: Action, oid: int, new: Row | None, old: Row | None) -> Change:
        if self.begin is None or oid not in self.relations:
            raise ProtocolError(f"{action} of a table or transaction that was not announced")
        begin, relation = self.begin, self.relations[oid]
        return Change(action, relation, begin.xid, begin.commit_micros, new, old)


def timestamp(micros: int) -> str:
    """Microseconds since 1970 as the payload has them: UTC, milliseconds, `Z`."""
    moment = _EPOCH + timedelta(microseconds=micros)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def refused(change: Change, error: str) -> str:
    """The `data` for a subscriber that gets an error instead of the row."""
    body = {"type": quoted(change.action)}
    if change.action != "DELETE":
        body["record"] = "{}"
    body |= {"columns": "[]", "errors": f"[{quoted(error)}]"}
    body |= {"schema": quoted(change.relation.schema), "commit_timestamp": "null"}
    if change.action != "INSERT":
        body["old_record"] = "{}"
    return _object(change, body)


class Shape:
    """Renders the changes of one table for one role and one selection of columns."""

    def __init__(
        self, relation: Relation, table: Table, role: str, select: tuple[str, ...] | None
    ) -> None:
        keys = table.keys
        visible = table.selectable[role]
        if select is not None:
            visible &= {*select, *keys}
        self._columns = table.columns_json(visible)
        self._schema = quoted(relation.schema)
        described = [
            (index, column, f"{quoted(column.name)}: ")
            for index, column in enumerate(relation.columns)
            if column.name in visible
        ]
        self._record = sorted(described, key=lambda entry: sort_key(entry[1].name))
        self._identity = [entry for entry in self._record if entry[1].key]
        # Without row level security on a deleted row, the real server shows only its key.
        self._deleted = [
            entry for entry in self._identity if not table.rls or entry[1].name in keys
        ]

    def data(self, change: Change, rendered: Rendered) -> str:
        """The JSON text of `data`, keys and spacing as the real server sends them."""
        large = change.too_large()
        body = {"type": quoted(change.action)}
        if change.new is not None:
            body["record"] = self._rendered_record(change, rendered, large)
        body["columns"] = self._columns
        body["errors"] = '["Error 413: Payload Too Large"]' if large else "null"
        body["schema"] = self._schema
        body["commit_timestamp"] = quoted(timestamp(change.commit_micros))
        if change.action != "INSERT":
            body["old_record"] = self._rendered_identity(change, rendered, large)
        return _object(change, body)

    def _rendered_record(self, change: Change, rendered: Rendered, large: bool) -> str:
        new, old = change.new or (), change.old
        parts: list[str] = []
        for index, column, key in self._record:
            value = new[index]
            if isinstance(value, Unchanged):
                # Full identity brings the old value along, which is the current one.
                value = old[index] if old is not None and column.key else UNCHANGED
                if large:
                    continue
            _append(parts, key, value, column.type_oid, rendered, large)
        return "{" + ", ".join(parts) + "}"

    def _rendered_identity(self, change: Change, rendered: Rendered, large: bool) -> str:
        row = change.old or change.new or ()
        entries = self._deleted if change.action == "DELETE" else self._identity
        parts: list[str] = []
        for index, column, key in entries:
            _append(parts, key, row[index], column.type_oid, rendered, large)
        return "{" + ", ".join(parts) + "}"


def _append(
    parts: list[str],
    key: str,
    value: str | Unchanged | None,
    type_oid: int,
    rendered: Rendered,
    large: bool,
) -> None:
    """A row over the limit keeps what is short and not null."""
    if isinstance(value, Unchanged):
        return
    text = "null" if value is None else rendered(type_oid, value)
    if not large or (text != "null" and len(text.encode()) <= MAX_BYTES_IN_TRUNCATED):
        parts.append(key + text)


def _object(change: Change, body: dict[str, str]) -> str:
    fields = "".join(f',"{name}":{text}' for name, text in body.items())
    return f'{{"table":{quoted(change.relation.table)}{fields}}}'
