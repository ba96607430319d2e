"""Reads texts as `ingest` reads files."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from worker.ingest.files import BadRow, CsvRecords, decoded, lines
from worker.ingest.header import known_columns
from worker.ingest.rows import EventRows, GoodRow, Reading
from worker.ingest.times import Times

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def times(**options: Any) -> Times:
    """Times on a day that does not move."""
    return Times(clock=lambda: NOW, **options)


def events(
    text: str | bytes, reading: Reading | None = None, encoding: str | None = None
) -> EventRows:
    """The events of a whole file."""
    reading = reading or Reading(times=times())
    raw = text.encode() if isinstance(text, str) else text
    source = CsvRecords(
        lines(decoded(io.BytesIO(raw), encoding)),
        lambda header: known_columns(header, reading.renamed),
    )
    return EventRows(source, reading)


def rows(text: str | bytes, **options: Any) -> list[GoodRow | BadRow]:
    return list(events(text, **options))


def values(text: str | bytes, **options: Any) -> list[dict[str, Any]]:
    """What the rows say; none of them may be bad."""
    found = rows(text, **options)
    assert all(isinstance(row, GoodRow) for row in found), found
    return [row.values for row in found if isinstance(row, GoodRow)]
