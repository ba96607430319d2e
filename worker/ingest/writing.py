"""Writing the events of a file: in the order of event time, in batches, and repeatable."""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from worker.detection.series import Identity
from worker.ingest.files import BadRow
from worker.ingest.forecast import Foreseen
from worker.ingest.order import EventOrder
from worker.ingest.readiness import Key
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

Check = Callable[[Mapping[str, Any]], Foreseen]
"""Says what the worker will make of an event."""

Learn = Callable[[Mapping[str, Any], Identity | None], None]
"""Takes a new event and the detector that will learn from it."""

ZERO_IS_A_VALUE = frozenset(("temperature", "empty_km"))
"""Columns that may be 0 throughout and mean it."""


class Table(Protocol):
    """Where events are added; the answer has the `source_key` of those that were new."""

    async def add_events(self, rows: Sequence[Mapping[str, Any]], /) -> Collection[str]: ...


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
    worker stores them with the reason and does not judge them. `good` rows were read, and `keys`
    counts them by supplier and activity. `zeros` are the columns that are 0 in all rows of an event
    type: they are taken as missing there.
    """

    written: int = 0
    repeated: int = 0
    refused: int = 0
    quarantined: int = 0
    good: int = 0
    keys: Counter[Key] = field(default_factory=Counter)
    zeros: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return self.written + self.repeated + self.refused

    def __str__(self) -> str:
        return (
            f"written={self.written} repeated={self.repeated} refused={self.refused} "
            f"quarantined={self.quarantined}"
        )


class Zeros:
    """Finds the columns that are 0 in every row of an event type: gaps that a program filled."""

    def __init__(self) -> None:
        self._zeros: dict[str, set[str]] = {}
        self._others: dict[str, set[str]] = {}

    def see(self, values: Mapping[str, Any]) -> None:
        """Take a row."""
        kind = values["event_type"]
        if kind not in self._zeros:
            self._zeros[kind], self._others[kind] = set(), set(ZERO_IS_A_VALUE)
        others = self._others[kind]
        if others.issuperset(values):
            return
        for name in values.keys() - others:
            value = values[name]
            if value == 0 and isinstance(value, float):
                self._zeros[kind].add(name)
            else:
                others.add(name)

    def columns(self) -> dict[str, frozenset[str]]:
        """Give the columns of each event type that was seen."""
        return {kind: frozenset(found - self._others[kind]) for kind, found in self._zeros.items()}


def read(rows: Iterable[GoodRow | BadRow], order: EventOrder, report: Report) -> Ingested:
    """Put the good rows of a file into order and report the others; nothing is written yet."""
    done, told, number = Ingested(), time.monotonic(), 0
    zeros = Zeros()
    for number, row in enumerate(rows, start=1):
        if number % PROGRESS_ROWS == 0 and time.monotonic() - told >= PROGRESS_SECONDS:
            report.reading(number)
            told = time.monotonic()
        if isinstance(row, BadRow):
            done.refused += 1
            report.refused(row)
            continue
        values = row.values
        done.keys[values["supplier_id"], values["event_type"]] += 1
        zeros.see(values)
        order.add(values["timestamp"], row.line, content_of(values))
    done.good = done.keys.total()
    done.zeros = zeros.columns()
    return done


class Settled(NamedTuple):
    """A row as it is stored, and the detector that will learn from it."""

    row: dict[str, Any]
    length: int
    identity: Identity | None


def settle(order: EventOrder, done: Ingested, report: Report, check: Check) -> Iterator[Settled]:
    """Give the rows in the order of their time, and report those that will be quarantined.

    The key of a row is that of its cells: it is the same whatever other rows the file has.
    """
    occurrences: Counter[bytes] = Counter()
    now = ""
    for timestamp, line, content in order:
        if timestamp != now:  # only rows of the same time can be equal
            occurrences.clear()
            now = timestamp
        row = json.loads(content)
        for name in done.zeros[row["event_type"]]:
            row.pop(name, None)
        reason, identity = check(row)
        if reason is not None:
            done.quarantined += 1
            report.quarantined(line, reason)
        row["source_key"] = source_key(content, occurrences)
        yield Settled(row, len(content) + 64, identity)


async def write(
    table: Table, rows: Iterable[Settled], done: Ingested, report: Report, learn: Learn
) -> None:
    """Write the rows, each once however often the file is repeated; counts into `done`.

    Raises Unavailable or Rejected; what was written until then stays and is skipped next time.
    """
    batch: list[Settled] = []
    size, batches, told = 2, 0, time.monotonic()
    for settled in rows:
        if len(batch) == BATCH_ROWS or size + settled.length > BATCH_BYTES:
            await _add(table, batch, done, learn)
            batch, size, batches = [], 2, batches + 1
            if batches % COLLECTED_BATCHES == 0:
                gc.collect()
            if time.monotonic() - told >= PROGRESS_SECONDS:
                report.writing(done)
                told = time.monotonic()
        batch.append(settled)
        size += settled.length
    await _add(table, batch, done, learn)


async def _add(table: Table, batch: list[Settled], done: Ingested, learn: Learn) -> None:
    if not batch:
        return
    new = await table.add_events([settled.row for settled in batch])
    done.written += len(new)
    done.repeated += len(batch) - len(new)
    for settled in batch:
        if settled.row["source_key"] in new:
            learn(settled.row, settled.identity)


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
