"""What `prune` takes away, and what it leaves."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
import pytest

from tests.supabase import rows
from tests.supabase.reader import Ledger, Reader, constantly, fetch, truth
from tests.supabase.servers import Connection, Database, one

NOTHING = {"events": 0, "hotspots": 0, "deletions": 0, "decisions": 0}


@pytest.fixture
def worker(database: Database) -> Connection:
    return database.connect("service_role")


def prune(worker: Connection, keep: str = "7 days") -> Any:
    return one(worker, "select public.prune(%s::interval)", keep)


def ids(worker: Connection, table: LiteralString) -> list[int]:
    return [row["id"] for row in worker.execute(f"select id from public.{table} order by id")]  # noqa: S608


def test_old_events_go_and_waiting_ones_stay(worker: Connection) -> None:
    worker.execute(
        "insert into public.events_normalized (event_type, supplier_id, timestamp, created_at)"
        " values ('factory', 'Foundry', now(), now() - interval '8 days'),"
        " ('factory', 'Foundry', now(), now() - interval '8 days'),"
        " ('factory', 'Foundry', now(), now() - interval '6 days')"
    )
    worker.execute("delete from public.event_queue where event_id <> 2")
    assert prune(worker) == NOTHING | {"events": 1}
    assert ids(worker, "events_normalized") == [2, 3]


def test_old_episodes_go_with_all_that_belongs_to_them_and_are_announced(
    worker: Connection,
) -> None:
    old, recent, still_open = (rows.insert(worker, "hotspots") for _ in range(3))
    rows.insert(worker, "alerts", old)
    rows.insert(worker, "recommendations", old)
    kept = rows.insert(worker, "alerts", still_open)
    worker.execute(
        "update public.hotspots set created_at = now() - interval '90 days', status = 'resolved',"
        " resolved_at = now() - case id when %s then interval '8 days' else interval '6 days' end"
        " where id in (%s, %s)",
        (old, old, recent),
    )
    worker.execute(
        "update public.hotspots set created_at = now() - interval '90 days' where id = %s",
        (still_open,),
    )
    cursor = fetch(worker, None)["snapshot"]
    assert prune(worker) == NOTHING | {"hotspots": 1}
    assert ids(worker, "hotspots") == [recent, still_open]
    assert ids(worker, "alerts") == [kept]
    gone = [(row["t"], row["id"]) for row in fetch(worker, cursor)["rows"]]
    assert gone == [(1, old), (2, 1), (3, 1)]


def test_old_scans_and_batches_go_and_unfinished_scans_stay(worker: Connection) -> None:
    worker.execute(
        "insert into public.scans (status, reason, created_at, finished_at) values"
        " ('done', 'cron', now() - interval '9 days', now() - interval '8 days'),"
        " ('done', 'cron', now() - interval '9 days', now() - interval '6 days'),"
        " ('queued', 'request', now() - interval '9 days', null)"
    )
    worker.execute(
        "insert into public.batches (token, events, claimed_at)"
        " values (1, 1, now() - interval '8 days'), (1, 1, now())"
    )
    prune(worker)
    assert ids(worker, "scans") == [2, 3]
    assert one(worker, "select count(*) from public.batches") == 1


@pytest.fixture
def owner(database: Database) -> Connection:
    """The only one who may change what triggers write."""
    return database.connect()


def grow_old(owner: Connection) -> None:
    """Everything that was deleted so far was deleted eight days ago."""
    owner.execute("update public.deletions set deleted_at = deleted_at - interval '8 days'")


def test_the_record_of_old_deletions_goes(worker: Connection, owner: Connection) -> None:
    for table in ("alerts", "recommendations"):
        rows.delete(worker, table, rows.insert(worker, table))
    grow_old(owner)
    kept = rows.insert(worker, "alerts")
    rows.delete(worker, "alerts", kept)
    assert prune(worker) == NOTHING | {"deletions": 2}
    assert ids(worker, "deletions") == [kept]
    assert prune(worker) == NOTHING


def test_a_reader_from_before_what_was_pruned_is_told_to_start_anew(
    database: Database, worker: Connection, owner: Connection
) -> None:
    reader = database.connect("authenticated")
    first = rows.insert(worker, "hotspots")
    alert = rows.insert(worker, "alerts", first)
    before = fetch(reader, None)["snapshot"]
    rows.delete(worker, "alerts", alert)
    after = fetch(reader, None)["snapshot"]
    grow_old(owner)
    assert [row["id"] for row in fetch(reader, before)["rows"]] == [alert]
    prune(worker)
    told = fetch(reader, before)
    assert told["reset"] == "expired"
    assert "rows" not in told
    second = rows.insert(worker, "hotspots")
    assert fetch(reader, told["snapshot"])["rows"][0]["id"] == second
    assert [row["id"] for row in fetch(reader, after)["rows"]] == [second]
    everything = fetch(reader, None)["rows"]
    assert [(row["t"], row["id"]) for row in everything] == [(1, first), (1, second)]


def test_a_reader_between_whose_pages_is_pruned_does_not_miss_a_deletion(
    database: Database, worker: Connection, owner: Connection
) -> None:
    alerts = [rows.insert(worker, "alerts") for _ in range(3)]
    reader = Reader(database.connect("authenticated"), constantly(2))
    reader.poll()
    for alert in alerts:
        rows.delete(worker, "alerts", alert)
    grow_old(owner)
    first = fetch(reader.connection, reader.cursor, page=2)
    prune(worker)
    last = first["rows"][-1]
    after = (last["tx"], last["t"], last["id"])
    assert fetch(reader.connection, reader.cursor, first["snapshot"], after)["reset"] == "expired"
    reader.cursor, reader.ledger = None, Ledger()
    reader.poll()
    assert reader.ledger.missing(truth(worker)) == []


def test_a_deletion_stays_while_a_snapshot_may_still_lack_it(
    database: Database, worker: Connection, owner: Connection
) -> None:
    slow = database.connect("service_role")
    with slow.transaction():
        rows.insert(slow, "hotspots")
        alert = rows.insert(worker, "alerts")
        rows.delete(worker, "alerts", alert)
        grow_old(owner)
        assert prune(worker) == NOTHING
        cursor = fetch(worker, None)["snapshot"]
    assert prune(worker)["deletions"] == 1
    # It was taken while a transaction ran that is older than what was pruned: better too often.
    assert fetch(worker, cursor)["reset"] == "expired"
    cursor = fetch(worker, None)["snapshot"]
    assert "reset" not in fetch(worker, cursor)


def test_heartbeats_stay_as_long_as_cursors_may_name_them(
    worker: Connection, owner: Connection
) -> None:
    for days in (1, 30, 32):
        owner.execute(
            "insert into public.relay_heartbeats (instance, beat, seen_at)"
            " values (gen_random_uuid(), %s, now() - %s * interval '1 day')",
            (days, days),
        )
    prune(worker, "6 hours")
    left = worker.execute("select beat from public.relay_heartbeats order by beat").fetchall()
    assert [row["beat"] for row in left] == [1, 30]


def test_decisions_go_only_when_asked(worker: Connection, owner: Connection) -> None:
    owner.execute(
        "insert into public.audit_log (action, entity_type, entity_id, created_at) values"
        " ('approved', 'recommendation', 1, now() - interval '400 days'),"
        " ('approved', 'recommendation', 2, now() - interval '300 days')"
    )
    assert prune(worker, "1 day") == NOTHING
    told = one(worker, "select public.prune('1 day', keep_decisions => '365 days')")
    assert told == NOTHING | {"decisions": 1}
    assert ids(worker, "audit_log") == [2]


def test_ages_below_zero_are_refused(worker: Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        prune(worker, "-1 day")


def test_restamping_forgets_what_was_pruned_elsewhere(
    worker: Connection, owner: Connection
) -> None:
    owner.execute("update public.retention set pruned_tx = 9000000000")
    cursor = fetch(worker, None)["snapshot"]
    assert fetch(worker, cursor)["reset"] == "expired"
    one(worker, "select public.restamp()")
    assert "reset" not in fetch(worker, cursor)
