"""What `prune` takes away, and what it leaves."""

from __future__ import annotations

from typing import Any, LiteralString

import pytest

from tests.supabase import rows
from tests.supabase.reader import fetch
from tests.supabase.servers import Connection, Database, one


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
    assert prune(worker) == {"events": 1, "hotspots": 0}
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
    assert prune(worker) == {"events": 0, "hotspots": 1}
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
