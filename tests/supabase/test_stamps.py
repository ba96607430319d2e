"""The columns that order row versions and let readers ask for changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest

from tests.supabase import rows
from tests.supabase.rows import TABLES, Table
from tests.supabase.servers import Connection, Database, one

each_table = pytest.mark.parametrize("table", TABLES, ids=str)


@pytest.fixture
def worker(shared: Database) -> Iterator[Connection]:
    """A connection as the role that writes the three tables."""
    with shared.connect("service_role") as connection:
        yield connection


def stamps(connection: Connection, table: Table, row: int) -> tuple[int, int]:
    found = connection.execute(rows.stamps_of[table], (row,)).fetchone()
    assert found is not None
    return found["version"], found["tx"]


@each_table
def test_versions_count_from_one(worker: Connection, table: Table) -> None:
    row = rows.insert(worker, table)
    first = stamps(worker, table, row)
    rows.change(worker, table, row, 1.0)
    second = stamps(worker, table, row)
    rows.change(worker, table, row, 2.0)
    third = stamps(worker, table, row)
    assert [version for version, _ in (first, second, third)] == [1, 2, 3]
    assert first[1] < second[1] < third[1]


@each_table
def test_tx_is_the_writing_transaction(worker: Connection, table: Table) -> None:
    with worker.transaction():
        row = rows.insert(worker, table)
        transaction = one(worker, "select pg_current_xact_id()::text::bigint")
    assert stamps(worker, table, row) == (1, transaction)


@each_table
def test_savepoints_carry_the_id_of_the_outer_transaction(worker: Connection, table: Table) -> None:
    with worker.transaction():
        transaction = one(worker, "select pg_current_xact_id()::text::bigint")
        with worker.transaction():
            row = rows.insert(worker, table)
    assert stamps(worker, table, row) == (1, transaction)


@each_table
def test_an_update_that_changes_nothing_leaves_the_stamps(worker: Connection, table: Table) -> None:
    row = rows.insert(worker, table)
    rows.change(worker, table, row, 5.0)
    before = worker.execute(rows.whole[table], (row,)).fetchone()
    rows.change(worker, table, row, 5.0)
    assert worker.execute(rows.whole[table], (row,)).fetchone() == before


@each_table
def test_several_updates_in_one_transaction_count_each(worker: Connection, table: Table) -> None:
    with worker.transaction():
        row = rows.insert(worker, table)
        for value in (1.0, 2.0, 2.0, 3.0):
            rows.change(worker, table, row, value)
        transaction = one(worker, "select pg_current_xact_id()::text::bigint")
    assert stamps(worker, table, row) == (4, transaction)


@each_table
def test_a_change_that_is_rolled_back_leaves_the_stamps(worker: Connection, table: Table) -> None:
    row = rows.insert(worker, table)
    before = stamps(worker, table, row)
    with worker.transaction():
        rows.change(worker, table, row, 1.0)
        raise psycopg.Rollback
    assert stamps(worker, table, row) == before
    rows.change(worker, table, row, 2.0)
    assert stamps(worker, table, row)[0] == 2


@each_table
def test_stamps_that_a_writer_sends_are_ignored(worker: Connection, table: Table) -> None:
    row = rows.insert(worker, table)
    rows.forge(worker, table, row)
    version, transaction = stamps(worker, table, row)
    assert (version, transaction) == (1, stamps(worker, table, row)[1])
    assert transaction != 7
    forged = rows.insert_forged(worker, table)
    version, transaction = stamps(worker, table, forged)
    assert version == 1
    assert transaction != 7
    assert one(worker, rows.fresh_enough[table], forged)


@each_table
def test_an_id_never_changes(worker: Connection, table: Table) -> None:
    row = rows.insert(worker, table)
    with pytest.raises(psycopg.errors.RestrictViolation, match="id never changes"):
        rows.renumber(worker, table, row)


@each_table
def test_truncate_is_refused_even_to_the_owner(shared: Database, table: Table) -> None:
    owner = shared.connect()
    rows.insert(owner, table)
    truncate: dict[str, LiteralString] = {
        "hotspots": "truncate public.hotspots cascade",
        "alerts": "truncate public.alerts",
        "recommendations": "truncate public.recommendations",
    }
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="delete the rows"):
        owner.execute(truncate[table])


@each_table
def test_a_deletion_leaves_a_row_with_the_next_version(worker: Connection, table: Table) -> None:
    row = rows.insert(worker, table)
    rows.change(worker, table, row, 1.0)
    with worker.transaction():
        rows.delete(worker, table, row)
        transaction = one(worker, "select pg_current_xact_id()::text::bigint")
    assert deletions(worker, transaction) == [(TABLES.index(table) + 1, row, 3)]


def test_a_cascade_leaves_a_deletion_for_every_row(worker: Connection) -> None:
    kept = rows.insert(worker, "hotspots")
    hotspot = rows.insert(worker, "hotspots")
    alerts = [rows.insert(worker, "alerts", hotspot) for _ in range(3)]
    recommendations = [rows.insert(worker, "recommendations", hotspot) for _ in range(2)]
    rows.insert(worker, "alerts", kept)
    with worker.transaction():
        rows.delete(worker, "hotspots", hotspot)
        transaction = one(worker, "select pg_current_xact_id()::text::bigint")
    expected = [(1, hotspot, 2)]
    expected += [(2, row, 2) for row in alerts] + [(3, row, 2) for row in recommendations]
    assert deletions(worker, transaction) == expected


def test_a_deletion_that_is_rolled_back_leaves_nothing(worker: Connection) -> None:
    row = rows.insert(worker, "hotspots")
    with worker.transaction():
        rows.delete(worker, "hotspots", row)
        transaction = one(worker, "select pg_current_xact_id()::text::bigint")
        assert deletions(worker, transaction) == [(1, row, 2)]
        raise psycopg.Rollback
    assert deletions(worker, transaction) == []


def deletions(connection: Connection, transaction: int) -> list[tuple[int, int, int]]:
    found = connection.execute(
        "select t, id, version from public.deletions where tx = %s order by t, id", (transaction,)
    )
    return [(row["t"], row["id"], row["version"]) for row in found]
