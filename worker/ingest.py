"""Writing the events of a CSV file: in batches, with a report, and repeatable."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from worker.csv_rows import MAX_LINE_CHARACTERS, BadRow, CsvEvents
from worker.row_key import RowKeys

logger = logging.getLogger(__name__)

BATCH_ROWS = 500
BATCH_BYTES = 1_000_000
PROGRESS_SECONDS = 5.0


class Table(Protocol):
    """Where events are added; the answer is how many were new."""

    async def add_events(self, rows: list[dict[str, Any]], /) -> int: ...


class Report(Protocol):
    """Who is told what happens, while it happens."""

    def bad_row(self, row: BadRow) -> None: ...

    def progress(self, summary: Ingested) -> None: ...


@dataclass(slots=True)
class Ingested:
    """How many rows of a file were written, were there already, or are bad."""

    written: int = 0
    already_there: int = 0
    bad: int = 0

    def __str__(self) -> str:
        return f"written={self.written} already_there={self.already_there} bad={self.bad}"


@dataclass(slots=True)
class _Batch:
    rows: list[dict[str, Any]] = field(default_factory=list)
    size: int = 2  # bytes of the JSON array

    def has_room_for(self, size: int) -> bool:
        return len(self.rows) < BATCH_ROWS and self.size + size <= BATCH_BYTES


async def ingest(table: Table, events: CsvEvents, report: Report) -> Ingested:
    """Write every good row once, however often the file is repeated, and report every bad one.

    Memory does not grow with the file, but for 16 bytes and a dict entry per distinct row. Raises
    Unavailable or Rejected; what was written until then stays and is skipped next time.
    """
    done, keys, batch = Ingested(), RowKeys(), _Batch()
    told = time.monotonic()
    for row in events:
        if isinstance(row, BadRow):
            done.bad += 1
            report.bad_row(row)
            continue
        keyed = {"source_key": keys.key(row.values), **row.values}
        size = len(json.dumps(keyed)) + 2
        if not batch.has_room_for(size):
            await _write(table, batch, done)
            batch = _Batch()
            if time.monotonic() - told >= PROGRESS_SECONDS:
                report.progress(done)
                told = time.monotonic()
        batch.rows.append(keyed)
        batch.size += size
    await _write(table, batch, done)
    return done


async def _write(table: Table, batch: _Batch, done: Ingested) -> None:
    if batch.rows:
        new = await table.add_events(batch.rows)
        done.written += new
        done.already_there += len(batch.rows) - new


def lines(file: TextIO) -> Iterator[str]:
    """Give the lines of a file that was opened with newline="", none longer than the limit.

    The rest of a longer line is skipped, so that a file without line ends fits into memory.
    """
    while line := file.readline(MAX_LINE_CHARACTERS):
        yield line
        while len(line) == MAX_LINE_CHARACTERS and not line.endswith(("\n", "\r")):
            line = file.readline(MAX_LINE_CHARACTERS)
