"""Writing the events of a file: in the order of event time, in batches, and repeatable."""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from worker.ingest.files import BadRow
from worker.ingest.order import EventOrder
from worker.ingest.rows import GoodRow

BATCH_ROWS = 2000
BATCH_BYTES = 1_000_000
COLLECTED_BATCHES = 20
"""httpx leaves each request, with its body, in a cycle of references: by itself the garbage
collector lets so many pile up that memory grows with the file.
"""
PROGRESS_SECONDS = 5.0
PROGRESS_ROWS = 500
"""So many rows are read between looks at the clock."""

Key = tuple[str, str]
"""Supplier and event type."""

Check = Callable[[Mapping[str, Any]], str | None]
"""Gives the reason for which the worker will put an event into quarantine, None for none."""


class Table(Protocol):
    """Where events are added; the answer is how many were new."""

    async def add_events(self, rows: Sequence[Mapping[str, Any]], /) -> int: ...


class Report(Protocol):
    """Who is told what happens, while it happens."""

    def refused(self, row: BadRow) -> None: ...

    def quarantined(self, line: int, reason: str) -> None: ...

    def reading(self, rows: int) -> None: ...

    def writing(self, done: Ingested) -> None: ...


@dataclass(slots=True)
class Ingested:
    """What became of the rows of a file: each is counted as written, repeated or refused.

    Of those written and repeated, `quarantined` are implausible or have no emission factor: the
    worker stores them with the reason and does not judge them.
    """

    written: int = 0
    repeated: int = 0
    refused: int = 0
    quarantined: int = 0
    usable: Counter[Key] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        return self.written + self.repeated + self.refused

    def __str__(self) -> str:
        return (
            f"written={self.written} repeated={self.repeated} refused={self.refused} "
            f"quarantined={self.quarantined}"
        )


def read(
    rows: Iterable[GoodRow | BadRow], order: EventOrder, report: Report, check: Check
) -> Ingested:
    """Put the good rows of a file into order and report the others; nothing is written yet."""
    done, told, number = Ingested(), time.monotonic(), 0
    for number, row in enumerate(rows, start=1):
        if number % PROGRESS_ROWS == 0 and time.monotonic() - told >= PROGRESS_SECONDS:
            report.reading(number)
            told = time.monotonic()
        if isinstance(row, BadRow):
            done.refused += 1
            report.refused(row)
            continue
        if (reason := check(row.values)) is not None:
            done.quarantined += 1
            report.quarantined(row.line, reason)
        else:
            done.usable[row.values["supplier_id"], row.values["event_type"]] += 1
        order.add(row.values["timestamp"], row.line, content_of(row.values))
    return done


async def write(table: Table, order: EventOrder, done: Ingested, report: Report) -> None:
    """Write the rows in order, each once however often the file is repeated; counts into `done`.

    Raises Unavailable or Rejected; what was written until then stays and is skipped next time.
    """
    batch: list[dict[str, Any]] = []
    size, batches, told = 2, 0, time.monotonic()
    occurrences: Counter[bytes] = Counter()
    now = ""
    for timestamp, _, content in order:
        if timestamp != now:  # only rows of the same time can be equal
            occurrences.clear()
            now = timestamp
        row = json.loads(content)
        row["source_key"] = source_key(content, occurrences)
        length = len(content) + 64
        if len(batch) == BATCH_ROWS or size + length > BATCH_BYTES:
            await _add(table, batch, done)
            batch, size, batches = [], 2, batches + 1
            if batches % COLLECTED_BATCHES == 0:
                gc.collect()
            if time.monotonic() - told >= PROGRESS_SECONDS:
                report.writing(done)
                told = time.monotonic()
        batch.append(row)
        size += length
    await _add(table, batch, done)


async def _add(table: Table, batch: list[dict[str, Any]], done: Ingested) -> None:
    if batch:
        new = await table.add_events(batch)
        done.written += new
        done.repeated += len(batch) - new


def content_of(values: Mapping[str, Any]) -> str:
    """The canonical text of a row, the same for all spellings and orders of its cells."""
    return json.dumps(values, sort_keys=True, ensure_ascii=True, allow_nan=False)


def source_key(content: str, occurrences: Counter[bytes]) -> str:
    """The key by which a repeated import of the same rows adds nothing.

    It is the hash of the content and how often the same content came before: two identical rows of
    a file are two events, and the same file again, in whatever order, has the same keys.
    """
    digest = hashlib.sha256(content.encode()).digest()[:16]
    occurrences[digest] += 1
    return f"{digest.hex()}-{occurrences[digest]}"
