"""What `changes_since` answers: pages, resets, and at what cost."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

import emulator.database
from tests.supabase import rows, servers
from tests.supabase.reader import Ledger, Reader, constantly, fetch, pages, truth
from tests.supabase.rows import TABLES
from tests.supabase.servers import Connection, Database, one

BULK: tuple[LiteralString, ...] = (
    """
    insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,
      percent_above, severity)
    select %(name)s || n, 'supplier', 'factory', 130, 100, 30, 'warn'
    from generate_series(1, %(count)s) n
    """,
    """
    insert into public.alerts (hotspot_id, level, message)
    select id, 'warn', '' from public.hotspots order by id desc limit %(count)s
    """,
    """
    insert into public.recommendations (hotspot_id, action, co2_reduction)
    select id, '', 1 from public.hotspots order by id desc limit %(count)s
    """,
)


def fill(connection: Connection, name: str, count: int) -> None:
    """Insert `count` rows into each of the three tables, in one transaction."""
    with connection.transaction():
        for statement in BULK:
            connection.execute(statement, {"name": name, "count": count})


@pytest.fixture
def writer(database: Database) -> Connection:
    return database.connect("service_role")


@pytest.fixture
def reader(database: Database) -> Connection:
    return database.connect("authenticated")


def keys(page: dict[str, Any]) -> list[tuple[int, int]]:
    return [(row["t"], row["id"]) for row in page["rows"]]


def test_since_null_is_everything(writer: Connection, reader: Connection) -> None:
    fill(writer, "a", 3)
    rows.delete(writer, "alerts", 2)
    answer = fetch(reader, None)
    expected = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2), (3, 3), (2, 2)]
    assert keys(answer) == expected
    assert answer["more"] is False
    assert [row["deleted_version"] for row in answer["rows"]] == [None] * 8 + [2]
    assert answer["rows"][-1]["record"] is None


def test_an_empty_database_answers_with_a_snapshot(reader: Connection) -> None:
    answer = fetch(reader, None)
    assert (answer["rows"], answer["more"]) == ([], False)
    assert fetch(reader, answer["snapshot"], epoch=answer["epoch"])["rows"] == []


def test_a_record_holds_every_column(writer: Connection, reader: Connection) -> None:
    for table in TABLES:
        rows.insert(writer, table)
    for row in fetch(reader, None)["rows"]:
        table = TABLES[row["t"] - 1]
        found = writer.execute(rows.whole[table], (row["id"],)).fetchone()
        assert found is not None
        assert row["record"].keys() == found.keys()
        assert row["record"]["tx"] == row["tx"]
        assert row["record"]["changed_at"].endswith("+00:00")
        assert datetime.fromisoformat(row["record"]["changed_at"]) == found["changed_at"]


def test_only_what_changed_since_comes(writer: Connection, reader: Connection) -> None:
    fill(writer, "a", 3)
    cursor = fetch(reader, None)["snapshot"]
    rows.change(writer, "recommendations", 2, 5.0)
    rows.delete(writer, "alerts", 1)
    assert keys(fetch(reader, cursor)) == [(3, 2), (2, 1)]


def test_a_transaction_that_was_running_is_delivered_when_it_ends(
    database: Database, writer: Connection, reader: Connection
) -> None:
    slow = database.connect("service_role")
    with slow.transaction():
        rows.insert(slow, "hotspots")
        rows.insert(writer, "hotspots")
        first = fetch(reader, None)
        assert keys(first) == [(1, 2)]
    assert keys(fetch(reader, first["snapshot"])) == [(1, 1)]


def test_a_prepared_transaction_is_delivered_when_it_is_committed(
    database: Database, writer: Connection, reader: Connection
) -> None:
    writer.autocommit = False
    writer.tpc_begin("half-way")
    rows.insert(writer, "hotspots")
    writer.tpc_prepare()
    first = fetch(reader, None)
    assert keys(first) == []
    writer.tpc_commit()
    assert keys(fetch(reader, first["snapshot"])) == [(1, 1)]


@pytest.mark.parametrize("size", [1, 7, 100, 500])
def test_a_large_transaction_is_paged_without_gap_or_repetition(
    writer: Connection, reader: Connection, size: int
) -> None:
    count = 20 if size == 1 else 300
    fill(writer, "a", count)
    writer.execute("delete from public.hotspots where id % 2 = 0")
    found = [page["rows"] for page in pages(reader, None, constantly(size))]
    assert all(len(page) == size for page in found[:-1])
    ledger = Ledger()
    for row in (row for page in found for row in page):
        ledger.take(row)
    assert ledger.faults == []
    assert ledger.missing(truth_in_utc(writer)) == []
    assert ledger.deliveries == 3 * count  # half of them deletions, one for each row that went


@pytest.mark.parametrize("size", [1, 7, 100])
def test_large_transactions_that_were_running_are_paged_alike(
    database: Database, writer: Connection, reader: Connection, size: int
) -> None:
    count = 20 if size == 1 else 150
    fill(writer, "old", count)
    slow, slower = database.connect("service_role"), database.connect("service_role")
    with slow.transaction(), slower.transaction():
        fill(slow, "slow", count)
        slower.execute("delete from public.hotspots where entity like 'old%%'")
        cursor = fetch(reader, None, page=5000)["snapshot"]
        fill(writer, "new", count)
    follower = Reader(reader, constantly(size), cursor)
    assert follower.poll() == 9 * count
    assert follower.ledger.faults == []
    assert follower.ledger.missing(truth_in_utc(writer)) == []


def test_paging_ends_while_more_is_written_than_a_page_holds(
    writer: Connection, reader: Connection
) -> None:
    fill(writer, "a", 10)
    ledger, count = Ledger(), 0
    for page in pages(reader, None, constantly(3)):
        for row in page["rows"]:
            ledger.take(row)
        count += 1
        fill(writer, f"during {count} ", 2)  # six rows, while a page takes three
        rows.change(writer, "hotspots", 10, count)  # moves a row out of what upto shows
    assert ledger.deliveries == 29
    assert count == 10
    follower = Reader(reader, constantly(3), page["snapshot"], ledger)
    follower.poll()
    assert ledger.faults == []
    assert ledger.missing(truth_in_utc(writer)) == []


def test_a_page_holds_at_least_one_row_and_at_most_5000(
    writer: Connection, reader: Connection
) -> None:
    fill(writer, "a", 2000)
    assert len(fetch(reader, None, page=-1)["rows"]) == 1
    assert len(fetch(reader, None, page=1_000_000)["rows"]) == 5000


def test_another_epoch_is_answered_with_a_reset(writer: Connection, reader: Connection) -> None:
    rows.insert(writer, "hotspots")
    first = fetch(reader, None)
    answer = fetch(reader, first["snapshot"], epoch="1.00000001")
    assert answer["reset"] == "epoch"
    assert answer["epoch"] == first["epoch"]
    assert "rows" not in answer


def test_a_snapshot_from_the_future_is_answered_with_a_reset(
    writer: Connection, reader: Connection
) -> None:
    rows.insert(writer, "hotspots")
    epoch = fetch(reader, None)["epoch"]
    later = "4000000000:4000000000:"
    assert fetch(reader, later, epoch=epoch)["reset"] == "future"
    assert fetch(reader, None, upto=later, epoch=epoch)["reset"] == "future"


def test_the_epoch_names_the_cluster_and_its_timeline(database: Database) -> None:
    with database.connect(user="supabase_admin") as connection:
        system = one(connection, "select system_identifier::text from pg_control_system()")
    assert one(database.connect("authenticated"), "select public.relay_epoch()") == (
        f"{system}.00000001"
    )


def test_a_standby_refuses_and_its_promotion_begins_an_epoch(version: int, tmp_path: Path) -> None:
    directory = tmp_path / "migrations"
    shutil.copytree(servers.PROJECT / "migrations", directory)
    with servers.running(version) as server:
        project = emulator.database.Database(server, "postgres")
        project.prepare(directory)
        with psycopg.connect(project.dsn()) as connection:
            before = connection.execute("select public.changes_since(null)").fetchone()
        server.stop()
        (server.places.cluster / "standby.signal").touch()
        servers.start_again(server)
        with psycopg.connect(project.dsn("supabase_admin"), autocommit=True) as connection:
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="on the primary"):
                connection.execute("select public.changes_since(null)")
            connection.execute("select pg_promote()")
            assert before is not None
            cursor = before[0]
            answer = connection.execute(
                "select public.changes_since(%s::pg_snapshot, %s)",
                (cursor["snapshot"], cursor["epoch"]),
            ).fetchone()
    assert answer is not None
    assert answer[0]["reset"] == "epoch"
    assert answer[0]["epoch"] != cursor["epoch"]


def test_an_idle_poll_behind_a_long_transaction_reads_almost_nothing(
    database: Database, writer: Connection, reader: Connection
) -> None:
    long = database.connect("service_role")
    with long.transaction():
        rows.insert(long, "hotspots")  # holds back xmin while everything below happens
        start = fetch(reader, None)["snapshot"]
        for part in range(25):
            fill(writer, f"{part} ", 700)
        writer.execute("delete from public.alerts where id % 7 = 0")
        cursor = fetch(reader, None)["snapshot"]
        assert cursor.split(":")[0] == start.split(":")[0]
        assert one(writer, "select count(*) from public.hotspots") == 17_500
        idle, backlog = blocks_read(reader, cursor), blocks_read(reader, start)
    assert idle < 100
    assert backlog > 500  # the measure sees a page of 500 rows


def blocks_read(connection: Connection, since: str) -> int:
    """Blocks that one poll touches, in memory or not, all its inner queries included."""
    poll = "explain (analyze, buffers, format json) select public.changes_since(%s::pg_snapshot)"
    for _ in range(2):  # the first one also loads the catalogue
        (plan,) = one(connection, poll, since)
    usage = plan["Plan"]
    return int(usage["Shared Hit Blocks"] + usage["Shared Read Blocks"])


def truth_in_utc(connection: Connection) -> Ledger:
    connection.execute("set timezone = 'UTC'")
    return truth(connection)
