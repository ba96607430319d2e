"""The decoder of the replication protocol, on bytes made by hand."""

from __future__ import annotations

import struct

import pytest

from emulator.realtime import pgoutput
from emulator.realtime.pgoutput import UNCHANGED, Column, Relation, decode

RELATION = (
    b"R" + struct.pack(">I", 16400) + b"public\0hotspots\0d" + struct.pack(">H", 2)
    + b"\x01id\0" + struct.pack(">Ii", 20, -1)
    + b"\x00name\0" + struct.pack(">Ii", 25, -1)
)  # fmt: skip


def row(*values: bytes | str | None) -> bytes:
    """A tuple: bytes are texts, None is null, "u" an unchanged large value."""
    parts = [struct.pack(">H", len(values))]
    for value in values:
        if value is None:
            parts.append(b"n")
        elif isinstance(value, str):
            parts.append(b"u")
        else:
            parts.append(b"t" + struct.pack(">I", len(value)) + value)
    return b"".join(parts)


def test_a_relation_names_its_key_columns() -> None:
    columns = (Column("id", 20, True), Column("name", 25, False))
    assert decode(RELATION) == Relation(16400, "public", "hotspots", "d", columns)


def test_the_catalog_schema_is_sent_as_an_empty_name() -> None:
    relation = decode(RELATION.replace(b"public\0", b"\0"))
    assert isinstance(relation, Relation)
    assert relation.schema == "pg_catalog"


def test_times_are_counted_from_1970() -> None:
    """2026-11-23T06:28:37.780Z, counted from 2000-01-01 in the frame."""
    frame = b"B" + struct.pack(">QqI", 7, 848_730_517_780_000, 42)
    assert decode(frame) == pgoutput.Begin(7, 1_795_415_317_780_000, 42)


def test_a_commit_ends_a_transaction() -> None:
    frame = b"C\0" + struct.pack(">QQq", 7, 9, 0)
    assert decode(frame) == pgoutput.Commit(7, 9, 946_684_800_000_000)


def test_an_insert_has_texts_and_nulls() -> None:
    frame = b"I" + struct.pack(">I", 16400) + b"N" + row(b"1", None, "é".encode())
    assert decode(frame) == pgoutput.Insert(16400, ("1", None, "é"))


def test_an_update_may_come_without_the_old_row_and_without_large_values() -> None:
    frame = b"U" + struct.pack(">I", 16400) + b"N" + row(b"1", "u")
    assert decode(frame) == pgoutput.Update(16400, None, ("1", UNCHANGED))


@pytest.mark.parametrize("tag", [b"K", b"O"])
def test_an_update_may_bring_the_old_key_or_row(tag: bytes) -> None:
    frame = b"U" + struct.pack(">I", 16400) + tag + row(b"1", None) + b"N" + row(b"2", b"x")
    assert decode(frame) == pgoutput.Update(16400, ("1", None), ("2", "x"))


def test_a_delete_brings_the_old_key() -> None:
    frame = b"D" + struct.pack(">I", 16400) + b"K" + row(b"1", None)
    assert decode(frame) == pgoutput.Delete(16400, ("1", None))


def test_a_truncate_lists_its_tables() -> None:
    frame = b"T" + struct.pack(">IBII", 2, 0, 5, 6)
    assert decode(frame) == pgoutput.Truncate((5, 6))


def test_types_origins_and_messages_are_understood() -> None:
    kind = b"Y" + struct.pack(">I", 16999) + b"public\0mood\0"
    origin = b"O" + struct.pack(">Q", 1) + b"other\0"
    message = b"M\x01" + struct.pack(">Q", 1) + b"prefix\0" + struct.pack(">I", 2) + b"hi"
    assert decode(kind) == pgoutput.Type(16999, "public", "mood")
    assert decode(origin) == pgoutput.Origin("other")
    assert decode(message) == pgoutput.LogicalMessage(True, "prefix", b"hi")


@pytest.mark.parametrize(
    "frame", [b"", b"?", b"I\0\0", RELATION[:-3], b"U" + struct.pack(">I", 1) + b"X"]
)
def test_what_is_no_message_is_an_error(frame: bytes) -> None:
    with pytest.raises(pgoutput.ProtocolError):
        decode(frame)
