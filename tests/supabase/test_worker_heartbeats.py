"""The rows by which workers tell that they live."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.supabase.servers import Connection, Database, one

EVENT = "insert into public.events_normalized (event_type, supplier_id, timestamp) values {}"


@pytest.fixture
def worker(database: Database) -> Connection:
    return database.connect("service_role", user="authenticator")


def beat(worker: Connection, holder: uuid.UUID, scanned_seconds: float | None = None) -> Any:
    return one(worker, "select public.worker_heartbeat(%s, %s)", holder, scanned_seconds)


def status(connection: Connection) -> Any:
    return one(connection, "select public.worker_status()")


def test_everybody_signed_in_sees_what_waits_and_for_how_long(
    database: Database, worker: Connection
) -> None:
    holder = uuid.uuid4()
    worker.execute(EVENT.format("('factory', 'A', now()), ('factory', 'B', now())").encode())
    worker.execute("update public.event_queue set created_at = now() - interval '1 hour'")
    worker.execute(EVENT.format("('factory', 'C', now())").encode())
    beat(worker, holder, 90)
    for role in ("authenticated", "relay_reader"):
        seen = status(database.connect(role, user="authenticator"))
        assert seen["pending"] == 3
        assert 3600 <= seen["oldest_pending_seconds"] < 3700
        assert 90 <= seen["last_scan_seconds"] < 190
        assert 0 <= seen["age_seconds"] < 100


def test_what_waits_is_counted_also_while_no_worker_lives(
    database: Database, worker: Connection
) -> None:
    signed_in = database.connect("authenticated", user="authenticator")
    seen = status(signed_in)
    assert (seen["age_seconds"], seen["pending"], seen["oldest_pending_seconds"]) == (None, 0, None)
    beat(worker, uuid.uuid4(), 1)  # its last word: nothing waits
    values = ", ".join(["('factory', 'A', now())"] * 7)
    worker.execute(EVENT.format(values).encode())
    worker.execute("update public.event_queue set created_at = now() - interval '2 hours'")
    seen = status(signed_in)
    assert seen["pending"] == 7
    assert 7200 <= seen["oldest_pending_seconds"] < 7300
    worker.execute("update public.event_queue set state = 'dead'")
    seen = status(signed_in)
    assert (seen["pending"], seen["oldest_pending_seconds"]) == (0, None)


def test_a_long_queue_is_counted_to_a_bound_and_beyond_it_by_the_worker(
    worker: Connection,
) -> None:
    worker.execute(
        "insert into public.events_normalized (event_type, supplier_id, timestamp)"
        " select 'factory', 'A', now() from generate_series(1, 10050)"
    )
    assert status(worker)["pending"] == 10_000
    beat(worker, uuid.uuid4())
    assert status(worker)["pending"] == 10_050


def test_a_beat_without_a_scan_keeps_when_the_last_one_was(worker: Connection) -> None:
    holder = uuid.uuid4()
    first = beat(worker, holder, 5)
    second = beat(worker, holder)
    assert second["last_scan_at"] == first["last_scan_at"]
    assert second["started_at"] == first["started_at"]
    assert second["seen_at"] > first["seen_at"]


def test_the_newest_of_several_workers_counts(database: Database, worker: Connection) -> None:
    gone, living = uuid.uuid4(), uuid.uuid4()
    beat(worker, gone, 1)
    worker.execute(
        "update public.worker_heartbeats set seen_at = now() - interval '1 hour',"
        " last_scan_at = now() - interval '1 hour'"
    )
    beat(worker, living)
    seen = status(worker)
    assert seen["age_seconds"] < 100
    assert seen["last_scan_seconds"] >= 3600


def test_workers_that_are_gone_for_a_day_are_forgotten(worker: Connection) -> None:
    assert status(worker)["age_seconds"] is None
    beat(worker, uuid.uuid4())
    worker.execute("update public.worker_heartbeats set seen_at = now() - interval '25 hours'")
    beat(worker, uuid.uuid4())
    assert one(worker, "select count(*) from public.worker_heartbeats") == 1


def test_the_limits_of_the_severities_are_those_of_the_worker_heard_of_last(
    database: Database, worker: Connection
) -> None:
    signed_in = database.connect("authenticated", user="authenticator")
    told = "select emissions_summary() -> 'limits'"
    assert one(signed_in, told) is None
    limits = {"info": 1.2, "warn": 1.4, "critical": 2.0}
    with_limits = "select public.worker_heartbeat(%s, 1, %s)"
    one(worker, with_limits, uuid.uuid4(), Jsonb({"info": 1.1, "warn": 1.3, "critical": 1.5}))
    holder = uuid.uuid4()
    one(worker, with_limits, holder, Jsonb(limits))
    beat(worker, holder)  # as a worker of before beats
    assert one(signed_in, told) == limits
