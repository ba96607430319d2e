"""Rows that are put back under their ids go on after the version of their deletion."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

import emulator.database
from emulator import migrations
from tests.supabase import rows, servers
from tests.supabase.reader import fetch
from tests.supabase.rows import TABLES, Table
from tests.supabase.servers import Connection, Database, one

each_table = pytest.mark.parametrize("table", TABLES, ids=str)
MIGRATION = "20261129100000_restored_rows.sql"


@pytest.fixture
def worker(database: Database) -> Connection:
    """A connection as the role that writes the three tables."""
    return database.connect("service_role")


def version(connection: Connection, table: Table, row: int) -> Any:
    return one(connection, rows.stamps_of[table].replace(", tx", ""), row)


def entries(connection: Connection, since: str) -> list[tuple[int, int, int | None, int | None]]:
    """Table, id, version if it is a row, version if it is a deletion, of all that changed."""
    return [
        (each["t"], each["id"], (each["record"] or {}).get("version"), each["deleted_version"])
        for each in fetch(connection, since)["rows"]
    ]


@each_table
def test_a_row_that_is_put_back_goes_on_after_its_deletion(
    worker: Connection, table: Table
) -> None:
    row = rows.insert(worker, table)
    rows.change(worker, table, row, 1.0)
    copied = rows.copy(worker, table, row)
    since = fetch(worker, None)["snapshot"]
    rows.delete(worker, table, row)
    number = TABLES.index(table) + 1
    assert entries(worker, since) == [(number, row, None, 3)]
    rows.put_back(worker, table, copied)
    assert version(worker, table, row) == 4
    assert entries(worker, since) == [(number, row, 4, None)]
    rows.delete(worker, table, row)
    assert entries(worker, since) == [(number, row, None, 5)]
    rows.put_back(worker, table, copied)
    assert version(worker, table, row) == 6


def test_rows_that_one_transaction_deletes_and_copies_back_are_each_found_once(
    worker: Connection,
) -> None:
    ids = [rows.insert(worker, "recommendations") for _ in range(3)]
    since = fetch(worker, None)["snapshot"]
    copied = io.BytesIO()
    with worker.cursor().copy("copy public.recommendations to stdout") as out:
        for chunk in out:
            copied.write(chunk)
    with worker.transaction():
        worker.execute("delete from public.recommendations")
        with worker.cursor().copy("copy public.recommendations from stdin") as into:
            into.write(copied.getvalue())
    assert entries(worker, since) == [(3, row, 3, None) for row in ids]


def test_a_hotspot_comes_back_with_all_that_was_deleted_with_it(worker: Connection) -> None:
    hotspot = rows.insert(worker, "hotspots")
    alert = rows.insert(worker, "alerts", hotspot)
    copies = rows.copy(worker, "hotspots", hotspot), rows.copy(worker, "alerts", alert)
    since = fetch(worker, None)["snapshot"]
    rows.delete(worker, "hotspots", hotspot)
    rows.put_back(worker, "hotspots", copies[0])
    assert sorted(entries(worker, since)) == [(1, hotspot, 3, None), (2, alert, None, 2)]
    rows.put_back(worker, "alerts", copies[1])
    assert sorted(entries(worker, since)) == [(1, hotspot, 3, None), (2, alert, 3, None)]


def test_an_insert_that_does_nothing_leaves_the_deletion(worker: Connection) -> None:
    hotspot = rows.insert(worker, "hotspots")
    copied = rows.copy(worker, "hotspots", hotspot)
    since = fetch(worker, None)["snapshot"]
    rows.delete(worker, "hotspots", hotspot)
    rows.put_back(worker, "hotspots", copied | {"id": hotspot + 1000})  # the same open episode
    worker.execute(
        "insert into public.hotspots overriding system value select %s, (h).entity,"
        " (h).entity_type, (h).event_type, 1, 1, 1, 'info' from public.hotspots h"
        " on conflict do nothing",
        (hotspot,),
    )
    assert sorted(entries(worker, since)) == [(1, hotspot, None, 2), (1, hotspot + 1000, 1, None)]


@contextmanager
def running(act: Callable[[], Any]) -> Iterator[Future[Any]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(act)


def await_a_lock(connection: Connection, waiting: Connection) -> None:
    """Return when the other connection waits for a lock."""
    pid = waiting.info.backend_pid
    while one(connection, "select pg_blocking_pids(%s) = '{}'", pid):
        one(connection, "select pg_sleep(0.01) is null")


@each_table
def test_a_row_that_is_put_back_while_its_deletion_is_open_goes_on_after_it(
    database: Database, worker: Connection, table: Table
) -> None:
    other = database.connect("service_role")
    row = rows.insert(worker, table)
    copied = rows.copy(worker, table, row)
    worker.execute("begin")
    rows.delete(worker, table, row)
    with running(lambda: rows.put_back(other, table, copied)) as inserted:
        await_a_lock(database.connect(), other)
        worker.execute("commit")
        inserted.result()
    assert version(worker, table, row) == 3


def test_a_row_whose_deletion_is_rolled_back_is_there_already(
    database: Database, worker: Connection
) -> None:
    other = database.connect("service_role")
    row = rows.insert(worker, "hotspots")
    copied = rows.copy(worker, "hotspots", row)
    worker.execute("begin")
    rows.delete(worker, "hotspots", row)
    with running(lambda: rows.put_back(other, "hotspots", copied)) as inserted:
        await_a_lock(database.connect(), other)
        worker.execute("rollback")
        with pytest.raises(psycopg.errors.UniqueViolation):
            inserted.result()
    assert version(worker, "hotspots", row) == 1


@each_table
def test_a_row_that_came_back_and_went_meanwhile_goes_on_after_its_last_deletion(
    database: Database, worker: Connection, table: Table
) -> None:
    """It is looked for, is not there, and the unique index waits for the one who put it back."""
    other = database.connect("service_role")
    row = rows.insert(worker, table)
    copied = rows.copy(worker, table, row)
    since = fetch(worker, None)["snapshot"]
    rows.delete(worker, table, row)
    worker.execute("begin")
    rows.put_back(worker, table, copied)
    with running(lambda: rows.put_back(other, table, copied)) as inserted:
        await_a_lock(database.connect(), other)
        rows.delete(worker, table, row)
        worker.execute("commit")
        inserted.result()
    assert version(worker, table, row) == 5
    assert entries(worker, since) == [(TABLES.index(table) + 1, row, 5, None)]


@pytest.mark.parametrize("came_back_first", [False, True])
@each_table
def test_under_repeatable_read_a_deletion_that_is_not_seen_fails_the_insert(
    database: Database, worker: Connection, table: Table, came_back_first: bool
) -> None:
    other = database.connect("service_role")
    row = rows.insert(worker, table)
    copied = rows.copy(worker, table, row)
    if came_back_first:
        rows.delete(worker, table, row)
    other.execute("begin isolation level repeatable read")
    one(other, "select count(*) from public.deletions")
    if came_back_first:
        rows.put_back(worker, table, copied)
    rows.delete(worker, table, row)
    with pytest.raises(psycopg.errors.SerializationFailure):
        rows.put_back(other, table, copied)
    other.execute("rollback")
    other.execute("begin isolation level repeatable read")
    rows.put_back(other, table, copied)
    other.execute("commit")
    assert version(worker, table, row) == (5 if came_back_first else 3)
    assert one(worker, "select count(*) from public.deletions") == 0


@each_table
def test_under_repeatable_read_new_rows_leave_nothing_behind(
    worker: Connection, table: Table
) -> None:
    worker.execute("begin isolation level repeatable read")
    row = rows.insert(worker, table)
    worker.execute("commit")
    assert version(worker, table, row) == 1
    assert one(worker, "select count(*) from public.deletions") == 0


def test_a_row_whose_deletion_was_pruned_is_still_newer_than_that(
    database: Database, worker: Connection
) -> None:
    row, newer = rows.insert(worker, "alerts"), rows.insert(worker, "alerts")
    copies = rows.copy(worker, "alerts", row), rows.copy(worker, "alerts", newer)
    for number in range(5):
        rows.change(worker, "alerts", newer, float(number))
    rows.delete(worker, "alerts", row)
    rows.delete(worker, "alerts", newer)
    database.connect().execute("update public.deletions set deleted_at = now() - interval '8 days'")
    assert one(worker, "select public.prune(interval '7 days')")["deletions"] == 2
    for copied in copies:
        rows.put_back(worker, "alerts", copied)
    assert version(worker, "alerts", newer) == 8
    assert version(worker, "alerts", row) > 2
    assert version(worker, "alerts", rows.insert(worker, "alerts")) == 1
    assert version(worker, "hotspots", rows.insert(worker, "hotspots")) == 1


@pytest.fixture
def older(migrated: emulator.database.Database, tmp_path: Path) -> Iterator[Database]:
    """A database before the migration that this is about, with all others."""
    for path in (servers.PROJECT / "migrations").glob("*.sql"):
        if path.name != MIGRATION:
            (tmp_path / path.name).write_text(path.read_text())
    with servers.opened(migrated.create(servers.fresh_name())) as database:
        migrations.bootstrap(database.dsn("supabase_admin"))
        migrations.migrate(database.dsn("postgres"), tmp_path)
        yield database


def test_rows_that_were_put_back_before_the_migration_are_mended_by_it(older: Database) -> None:
    worker = older.connect("service_role")
    back: dict[Table, int] = {}
    for table in TABLES:
        back[table] = rows.insert(worker, table)
        copied = rows.copy(worker, table, back[table])
        rows.change(worker, table, back[table], 3.0)
        for _ in range(2):
            rows.delete(worker, table, back[table])
            rows.put_back(worker, table, copied)
    gone = rows.insert(worker, "alerts")
    copied = rows.copy(worker, "alerts", gone)
    rows.delete(worker, "alerts", gone)
    rows.put_back(worker, "alerts", copied)
    rows.delete(worker, "alerts", gone)
    since = fetch(worker, None)["snapshot"]
    script: LiteralString = (servers.PROJECT / "migrations" / MIGRATION).read_text()
    older.connect().execute(script)
    assert sorted(entries(worker, since)) == [
        (number, back[table], 4, None) for number, table in enumerate(TABLES, 1)
    ]
    left = worker.execute("select t, id, version from public.deletions").fetchall()
    assert left == [{"t": 2, "id": gone, "version": 2}]
