"""The rows by which workers tell that they live."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

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
        " last_scan_at = now() - interval '1 hour', pending = 7"
    )
    beat(worker, living)
    seen = status(worker)
    assert (seen["pending"], seen["oldest_pending_seconds"]) == (0, None)
    assert seen["age_seconds"] < 100
    assert seen["last_scan_seconds"] >= 3600


def test_workers_that_are_gone_for_a_day_are_forgotten(worker: Connection) -> None:
    assert status(worker)["age_seconds"] is None
    beat(worker, uuid.uuid4())
    worker.execute("update public.worker_heartbeats set seen_at = now() - interval '25 hours'")
    beat(worker, uuid.uuid4())
    assert one(worker, "select count(*) from public.worker_heartbeats") == 1
