"""`changes_since` while a table is locked, and what it refuses to search for."""

from __future__ import annotations

import psycopg
import pytest

from tests.supabase import rows
from tests.supabase.reader import Reader, constantly, fetch, pages, truth
from tests.supabase.rows import TABLES
from tests.supabase.servers import Connection, Database, one


@pytest.fixture
def writer(database: Database) -> Connection:
    return database.connect("service_role")


@pytest.fixture
def reader(database: Database) -> Connection:
    return database.connect("authenticated")


@pytest.fixture
def locker(database: Database) -> Connection:
    return database.connect()


def lock(locker: Connection, table: str) -> None:
    locker.execute(f"lock table public.{table} in access exclusive mode".encode())


def test_a_locked_table_is_named_and_the_others_are_answered_for(
    writer: Connection, reader: Connection, locker: Connection
) -> None:
    since = fetch(reader, None)["snapshot"]
    for table in TABLES:
        rows.insert(writer, table)
    with locker.transaction():
        lock(locker, "alerts")
        answer = fetch(reader, since)
    assert [row["t"] for row in answer["rows"]] == [1, 1, 1, 3]  # each of the others has a hotspot
    assert answer["busy"] == [2]
    assert answer["upto"] != since
    after = fetch(reader, answer["upto"])
    assert (after["rows"], after["busy"]) == ([], [])
    assert [row["t"] for row in fetch(reader, since, tables=[2])["rows"]] == [2]


def test_who_goes_on_from_the_snapshot_alone_misses_nothing(
    writer: Connection, reader: Connection, locker: Connection
) -> None:
    """As every caller did before there was `busy`."""
    follower = Reader(reader, constantly(3))
    for round_ in range(3):
        for table in TABLES:
            rows.insert(writer, table)
        with locker.transaction():
            lock(locker, TABLES[round_])
            follower.poll()
        rows.delete(writer, "recommendations", round_ + 1)
    follower.poll()
    writer.execute("set timezone = 'UTC'")
    assert follower.ledger.missing(truth(writer)) == []


def test_a_first_page_without_a_locked_table_begins_at_the_beginning_again(
    writer: Connection, reader: Connection, locker: Connection
) -> None:
    rows.insert(writer, "hotspots")
    with locker.transaction():
        lock(locker, "hotspots")
        answer = fetch(reader, None)
    assert (answer["rows"], answer["busy"], answer["snapshot"]) == ([], [1], "1:1:")
    assert len(fetch(reader, answer["snapshot"])["rows"]) == 1


def test_without_the_deletions_nothing_is_answered_for(
    writer: Connection, reader: Connection, locker: Connection
) -> None:
    rows.insert(writer, "alerts")
    with locker.transaction():
        lock(locker, "deletions")
        answer = fetch(reader, None)
    assert (answer["rows"], answer["busy"], answer["more"]) == ([], [1, 2, 3], False)


def test_the_tables_that_are_asked_for_are_those_of_the_whole_answer(
    database: Database, writer: Connection, reader: Connection
) -> None:
    for number, table in enumerate(TABLES * 4):
        row = rows.insert(writer, table)
        if number % 2:
            rows.delete(writer, table, row)
    slow = database.connect("service_role")
    with slow.transaction():
        rows.insert(slow, "recommendations")
        rows.insert(writer, "alerts")
        running = fetch(reader, None)["snapshot"]
    assert len(running.split(":")[2]) > 0
    rows.insert(writer, "hotspots")
    for since in (None, running):
        whole = fetch(reader, since)["rows"]
        for tables in ([1], [2], [3], [1, 3], [3, 2], [1, 2, 3]):
            wanted = [row for row in whole if row["t"] in tables]
            for size in (1, 2, 500):
                answers = list(pages(reader, since, constantly(size), tables=tables))
                assert [row for answer in answers for row in answer["rows"]] == wanted


@pytest.mark.parametrize("tables", [[], [0], [1, 4]])
def test_tables_that_do_not_exist_are_refused(reader: Connection, tables: list[int]) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="tables must be some of 1"):
        fetch(reader, None, tables=tables)


def test_a_made_up_list_of_running_transactions_is_refused_at_once(
    writer: Connection, reader: Connection
) -> None:
    writer.execute(
        "do $$ begin for i in 1..6000 loop perform pg_current_xact_id(); commit; end loop; end $$"
    )
    end = int(one(writer, "select pg_snapshot_xmax(pg_current_snapshot())::text"))
    made_up = f"{end - 6000}:{end}:{','.join(map(str, range(end - 6000, end)))}"
    for since, upto in ((made_up, None), (None, made_up)):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="may list 5000"):
            fetch(reader, since, upto)
