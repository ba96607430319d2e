"""Decoder of PostgreSQL's logical replication protocol (pgoutput, version 1, text values)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

# Both count from 2000-01-01; the protocol gives microseconds.
POSTGRES_EPOCH_SECONDS = 946_684_800


class Unchanged(Enum):
    """A large value that an UPDATE did not touch and that PostgreSQL therefore does not send."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED
Value = str | None | Unchanged
Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it was when the change was written; `key`: part of the replica identity."""

    name: str
    type_oid: int
    key: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as it was when the change was written; `identity`: d, n, f or i."""

    oid: int
    schema: str
    table: str
    identity: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """Start of a transaction; `commit_micros` since the Unix epoch."""

    commit_lsn: int
    commit_micros: int
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    """End of a transaction; its changes were all sent between Begin and this."""

    commit_lsn: int
    end_lsn: int
    commit_micros: int


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row."""

    relation: int
    new: Row


@dataclass(frozen=True, slots=True)
class Update:
    """A changed row; `old` is None unless the key changed or the identity is full."""

    relation: int
    old: Row | None
    new: Row


@dataclass(frozen=True, slots=True)
class Delete:
    """A deleted row; `old` has None in every column outside the replica identity."""

    relation: int
    old: Row


@dataclass(frozen=True, slots=True)
class Truncate:
    """Emptied tables."""

    relations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Type:
    """Name of a type that is not built in."""

    oid: int
    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class Origin:
    """The transaction was replicated from another server."""

    name: str


@dataclass(frozen=True, slots=True)
class LogicalMessage:
    """What pg_logical_emit_message wrote."""

    transactional: bool
    prefix: str
    content: bytes


Message = (
    Relation | Begin | Commit | Insert | Update | Delete | Truncate | Type | Origin | LogicalMessage
)


class ProtocolError(Exception):
    """The stream holds something that protocol version 1 does not know."""


def decode(frame: bytes) -> Message:
    """The one message in `frame`.

    Raises:
        ProtocolError: It is none.
    """
    reader = _Reader(frame)
    try:
        return _decode(reader)
    except (struct.error, ValueError, IndexError) as exc:
        raise ProtocolError(f"malformed message {frame[:1]!r}: {exc}") from exc


def _decode(reader: _Reader) -> Message:
    match reader.letter():
        case "I":
            return Insert(reader.int32(), _tagged_row(reader, "N"))
        case "U":
            return _update(reader)
        case "D":
            return Delete(reader.int32(), _tagged_row(reader, "KO"))
        case "B":
            return Begin(reader.int64(), reader.micros(), reader.int32())
        case "C":
            reader.int8()
            return Commit(reader.int64(), reader.int64(), reader.micros())
        case "R":
            return _relation(reader)
        case "T":
            count, _options = reader.int32(), reader.int8()
            return Truncate(tuple(reader.int32() for _ in range(count)))
        case "Y":
            return Type(reader.int32(), reader.text(), reader.text())
        case "O":
            reader.int64()
            return Origin(reader.text())
        case "M":
            transactional, _lsn = bool(reader.int8()), reader.int64()
            return LogicalMessage(transactional, reader.text(), reader.take(reader.int32()))
        case other:
            raise ProtocolError(f"unknown message {other!r}")


def _relation(reader: _Reader) -> Relation:
    oid, schema, table = reader.int32(), reader.text(), reader.text()
    identity, count = reader.letter(), reader.int16()
    columns = tuple(_column(reader) for _ in range(count))
    # PostgreSQL writes pg_catalog as an empty name.
    return Relation(oid, schema or "pg_catalog", table, identity, columns)


def _column(reader: _Reader) -> Column:
    flags, name, type_oid, _typmod = reader.int8(), reader.text(), reader.int32(), reader.int32()
    return Column(name, type_oid, bool(flags & 1))


def _update(reader: _Reader) -> Update:
    relation, tag = reader.int32(), reader.letter()
    if tag in "KO":
        old: Row | None = reader.row()
        tag = reader.letter()
    else:
        old = None
    if tag != "N":
        raise ProtocolError(f"UPDATE without a new row: {tag!r}")
    return Update(relation, old, reader.row())


def _tagged_row(reader: _Reader, tags: str) -> Row:
    tag = reader.letter()
    if tag not in tags:
        raise ProtocolError(f"unexpected row {tag!r}")
    return reader.row()


_TEXT, _NULL, _UNCHANGED = b"tnu"


class _Reader:
    __slots__ = ("_at", "_frame")

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        self._at = 0

    def take(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        if self._at > len(self._frame):
            raise ValueError("too short")
        return self._frame[start : self._at]

    def letter(self) -> str:
        return chr(self.take(1)[0])

    def text(self) -> str:
        end = self._frame.index(0, self._at)
        start, self._at = self._at, end + 1
        return self._frame[start:end].decode()

    def row(self) -> Row:
        """The values of a row; without calls per value, for most of the stream is values."""
        frame = self._frame
        values: list[Value] = []
        count, at = self.int16(), self._at
        for _ in range(count):
            kind = frame[at]
            at += 1
            if kind == _TEXT:
                start = at + 4
                at = start + int.from_bytes(frame[at:start], "big")
                values.append(frame[start:at].decode())
            elif kind == _NULL:
                values.append(None)
            elif kind == _UNCHANGED:
                values.append(UNCHANGED)
            else:
                raise ProtocolError(f"unknown kind of value {chr(kind)!r}")
        if at > len(frame):
            raise ValueError("too short")
        self._at = at
        return tuple(values)

    def int8(self) -> int:
        return self.take(1)[0]

    def int16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def int32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def int64(self) -> int:
        return int.from_bytes(self.take(8), "big")

    def micros(self) -> int:
        since_2000: int = struct.unpack(">q", self.take(8))[0]
        return since_2000 + POSTGRES_EPOCH_SECONDS * 1_000_000
