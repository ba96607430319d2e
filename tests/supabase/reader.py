"""A reader that knows nothing but `changes_since`, and a ledger of what it was given."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.supabase.servers import Connection

Key = tuple[int, int]  # table number, id
Page = dict[str, Any]


def fetch(
    connection: Connection,
    since: str | None,
    upto: str | None = None,
    after: tuple[int, int, int] = (0, 0, 0),
    page: int = 500,
    epoch: str | None = None,
    tables: list[int] | None = None,
) -> Page:
    """One call of `changes_since`."""
    row = connection.execute(
        "select public.changes_since("
        "%s::pg_snapshot, %s, %s::pg_snapshot, %s, %s, %s, %s, %s) as page",
        (since, epoch, upto, *after, page, tables),
    ).fetchone()
    assert row is not None
    answer: Page = row["page"]
    return answer


def pages(
    connection: Connection,
    since: str | None,
    sizes: Iterator[int],
    epoch: str | None = None,
    tables: list[int] | None = None,
) -> Iterator[Page]:
    """Every page from `since` to what the first one's snapshot shows."""
    answer = fetch(connection, since, page=next(sizes), epoch=epoch, tables=tables)
    yield answer
    upto = answer["snapshot"]
    while answer["more"]:
        last = answer["rows"][-1]
        after = (last["tx"], last["t"], last["id"])
        answer = fetch(connection, since, upto, after, next(sizes), epoch, tables)
        assert answer["snapshot"] == upto
        yield answer


def constantly(size: int) -> Iterator[int]:
    """The same page size for ever."""
    while True:
        yield size


def randomly(seed: int, low: int, high: int) -> Iterator[int]:
    """Page sizes from `low` to `high`."""
    random_ = random.Random(seed)
    while True:
        yield random_.randint(low, high)


@dataclass
class Ledger:
    """Every delivery to one reader, and what was wrong with it."""

    versions: dict[Key, int] = field(default_factory=dict)
    records: dict[Key, dict[str, Any]] = field(default_factory=dict)
    deleted: dict[Key, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    deliveries: int = 0
    polls: int = 0
    paged_polls: int = 0

    def take(self, row: dict[str, Any]) -> None:
        """Enter one row of a page."""
        key = (row["t"], row["id"])
        self.deliveries += 1
        if key in self.deleted:
            self.faults.append(f"{key} came after its deletion")
        if row["deleted_version"] is not None:
            version = row["deleted_version"]
            self.deleted[key] = version
            self.records.pop(key, None)
        else:
            version = row["record"]["version"]
            self.records[key] = row["record"]
        if version <= self.versions.get(key, 0):
            self.faults.append(f"{key}: version {version} came after {self.versions[key]}")
        self.versions[key] = version

    def missing(self, truth: Ledger) -> list[str]:
        """What the tables hold and this reader does not, or the other way round."""
        problems = [
            f"{key}: {self.records.get(key)} instead of {record}"
            for key, record in truth.records.items()
            if self.records.get(key) != record
        ]
        problems += [
            f"{key}: deletion with version {version} was not seen"
            for key, version in truth.deleted.items()
            if self.deleted.get(key) != version
        ]
        problems += [f"{key} does not exist" for key in self.records.keys() - truth.records.keys()]
        return problems


@dataclass
class Reader:
    """Follows the changes from the beginning, page by page."""

    connection: Connection
    sizes: Iterator[int]
    cursor: str | None = None
    ledger: Ledger = field(default_factory=Ledger)

    def poll(self) -> int:
        """Read up to now; the number of rows that came."""
        count, before = 0, self.ledger.deliveries
        answer: Page = {}
        for answer in pages(self.connection, self.cursor, self.sizes):
            count += 1
            for row in answer["rows"]:
                self.ledger.take(row)
        self.ledger.polls += 1
        self.ledger.paged_polls += count > 1
        self.cursor = self.next_cursor(answer["snapshot"])
        return self.ledger.deliveries - before

    def next_cursor(self, snapshot: str) -> str:
        """The `since` of the next poll."""
        return snapshot


class ApartReader(Reader):
    """Asks for each table by itself, and keeps a place for each."""

    cursors: dict[int, str | None]

    def __init__(self, connection: Connection, sizes: Iterator[int]) -> None:
        super().__init__(connection, sizes)
        self.cursors = {1: None, 2: None, 3: None}

    def poll(self) -> int:
        """Read each table up to now; the number of rows that came."""
        before = self.ledger.deliveries
        for table, since in self.cursors.items():
            answers = list(pages(self.connection, since, self.sizes, tables=[table]))
            for answer in answers:
                for row in answer["rows"]:
                    self.ledger.take(row)
            self.ledger.paged_polls += len(answers) > 1
            self.cursors[table] = answers[-1]["upto"]
        self.ledger.polls += 1
        return self.ledger.deliveries - before


class NaiveReader(Reader):
    """Remembers the end of what it saw, as if transactions ended in the order of their ids."""

    def next_cursor(self, snapshot: str) -> str:
        """Everything below the end counts as seen: no transaction is remembered as running."""
        end = snapshot.split(":")[1]
        return f"{end}:{end}:"


def truth(connection: Connection) -> Ledger:
    """What the tables hold now."""
    ledger = Ledger()
    found = connection.execute(
        "select 1 as t, id, to_jsonb(h) as record from public.hotspots h"
        " union all select 2, id, to_jsonb(a) from public.alerts a"
        " union all select 3, id, to_jsonb(r) from public.recommendations r"
    )
    ledger.records = {(row["t"], row["id"]): row["record"] for row in found}
    gone = connection.execute("select t, id, version from public.deletions")
    ledger.deleted = {(row["t"], row["id"]): row["version"] for row in gone}
    return ledger
