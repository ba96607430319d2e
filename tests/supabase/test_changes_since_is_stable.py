"""Why `changes_since` is STABLE: all that it looks at is of one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import LiteralString

import pytest

from tests.supabase import rows
from tests.supabase.reader import fetch
from tests.supabase.servers import Connection, Database, one

LOCK = 7
SOURCE: LiteralString = (
    "select pg_get_functiondef(oid) from pg_proc where proname = 'changes_since'"
)
WAITING: LiteralString = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


@pytest.fixture
def restored(database: Database) -> Iterator[Database]:
    """A database whose function is afterwards as the migration made it."""
    with database.connect() as owner:
        source: str = one(owner, SOURCE)
    yield database
    with database.connect() as owner:
        owner.execute(source.encode())


def make_it_wait(owner: Connection, volatility: str) -> None:
    """Let the function wait for a lock before it searches, and be of that volatility."""
    source: str = one(owner, SOURCE)
    search, patience = "  if tables is null then", "'100ms'"  # of locks, and so of this one
    assert [source.count(text) for text in (" STABLE\n", search, patience)] == [1, 1, 1]
    wait = f"  perform pg_catalog.pg_advisory_xact_lock_shared({LOCK});\n{search}"
    source = source.replace(" STABLE\n", f" {volatility}\n").replace(search, wait)
    owner.execute(source.replace(patience, "'60s'").encode())


def deletions_found(database: Database, volatility: str) -> list[int]:
    """The deletions in an answer that was under way while they were pruned."""
    owner, reader = database.connect(), database.connect("authenticated")
    alert = rows.insert(owner, "alerts")
    since = fetch(reader, None)["snapshot"]
    rows.delete(owner, "alerts", alert)
    make_it_wait(owner, volatility)
    with ThreadPoolExecutor(1) as pool:
        with owner.transaction():
            owner.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
            answer = pool.submit(fetch, reader, since)
            with database.connect() as other:
                while not one(other, WAITING):
                    assert not answer.done()
                assert one(other, "select public.prune('0')")["deletions"] == 1
        found = [row["id"] for row in answer.result()["rows"]]
    assert fetch(reader, since)["reset"] == "expired"
    return [each for each in found if each == alert]


def test_a_deletion_that_is_pruned_meanwhile_is_in_the_answer(restored: Database) -> None:
    assert len(deletions_found(restored, "STABLE")) == 1


def test_with_a_snapshot_for_each_query_it_would_be_missed(restored: Database) -> None:
    assert deletions_found(restored, "VOLATILE") == []
