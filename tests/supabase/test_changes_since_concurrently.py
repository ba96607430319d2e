"""Readers that only call `changes_since` end up with what the tables hold, whatever writers do."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import LiteralString

from tests.supabase.reader import ApartReader, Ledger, NaiveReader, Reader, randomly, truth
from tests.supabase.servers import Database
from tests.supabase.writer import Writer

WRITERS = 8
READERS = 4
SHAPES = ("short", "long", "savepoints", "rolled_back", "prepared", "repeatable")
MOST_SECONDS = 240
PREPARED: LiteralString = "select 1 from pg_prepared_xacts where database = current_database()"


def run(
    database: Database, kinds: Sequence[type[Reader]], seconds: float
) -> tuple[list[Ledger], Ledger, Counter[str]]:
    """Let all of them work for a time, on a busy machine until each has done something.

    Returns:
        What each reader got, what is there, what was done.
    """
    stop, quiet = threading.Event(), threading.Event()
    writers = [Writer(n, database.connect("service_role"), stop) for n in range(WRITERS)]
    readers = [
        kind(database.connect("authenticated"), randomly(n, 3, 50))
        for kind in kinds
        for n in range(READERS)
    ]
    with ThreadPoolExecutor(len(writers) + len(readers)) as pool:
        reading = [pool.submit(follow, reader, quiet) for reader in readers]
        writing = [pool.submit(writer.run) for writer in writers]
        try:
            until = time.monotonic() + MOST_SECONDS
            failed = wait([*reading, *writing], seconds, FIRST_EXCEPTION).done
            while not (failed or enough(writers, readers) or time.monotonic() > until):
                failed = wait([*reading, *writing], 1, FIRST_EXCEPTION).done
        finally:
            stop.set()
            wait(writing)
            quiet.set()
        for future in [*writing, *reading]:
            future.result()
    done = sum((writer.done for writer in writers), Counter[str]())
    with database.connect("service_role") as connection:
        connection.execute("set timezone = 'UTC'")
        assert connection.execute(PREPARED).fetchall() == []
        return [reader.ledger for reader in readers], truth(connection), done


def enough(writers: Sequence[Writer], readers: Sequence[Reader]) -> bool:
    """Say whether there was enough of everything for a test to mean something."""
    done = Counter[str]()
    for writer in writers:
        done.update(dict(writer.done))  # a copy: its thread goes on counting
    ledgers = [reader.ledger for reader in readers]
    polled = all(ledger.polls > 30 and ledger.paged_polls > 5 for ledger in ledgers)
    return polled and all(done[shape] > 5 for shape in SHAPES)


def follow(reader: Reader, quiet: threading.Event) -> None:
    """Poll until nobody writes any more, and once again after that."""
    while not quiet.wait(next(reader.sizes) / 2000):  # leaves the writers some of the machine
        reader.poll()
    reader.poll()
    assert reader.poll() == 0


def test_nothing_is_lost_repeated_or_turned_round(database: Database) -> None:
    ledgers, there, done = run(database, [Reader, ApartReader], seconds=15)
    assert all(done[shape] > 5 for shape in SHAPES), done
    assert len(there.records) > 300
    assert len(there.deleted) > 100
    for ledger in ledgers:
        assert ledger.faults == []
        assert ledger.missing(there) == []
        assert ledger.polls > 30
        assert ledger.paged_polls > 5


def test_the_same_load_finds_a_reader_that_trusts_the_order_of_ids(database: Database) -> None:
    """Without the list of running transactions rows are lost: the test above can fail."""
    ledgers, there, _ = run(database, [NaiveReader], seconds=3)
    assert all(ledger.missing(there) for ledger in ledgers)
