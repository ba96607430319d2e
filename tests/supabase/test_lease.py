"""The scan lease: one worker at a time, and the scans that it starts and ends."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString
from uuid import uuid4

import pytest

from tests.supabase.calls import Refused, Worker, wait_until_blocked
from tests.supabase.servers import Connection, Database, one

INSERT: LiteralString = (
    "insert into public.events_normalized (event_type, supplier_id, timestamp)"
    " select 'factory', 'Foundry', now() from generate_series(1, %s)"
)


@pytest.fixture
def connection(shared: Database) -> Iterator[Connection]:
    """As the worker; scans, events and batches of earlier tests are gone and the lease is free."""
    with shared.connect("service_role") as connection:
        connection.execute("delete from public.events_normalized")
        connection.execute("delete from public.scans")
        connection.execute("update public.leases set holder = null, until = '-infinity'")
        yield connection


@pytest.fixture
def first(connection: Connection) -> Worker:
    return Worker(connection, str(uuid4()))


@pytest.fixture
def second(shared: Database) -> Worker:
    return Worker(shared.connect("service_role"), str(uuid4()))


def scans(connection: Connection) -> list[tuple[Any, ...]]:
    found = connection.execute("select id, status, reason, error from public.scans order by id")
    return [tuple(row.values()) for row in found]


def lease_error(refusal: pytest.ExceptionInfo[Refused]) -> bool:
    return (refusal.value.code, refusal.value.hint) == ("PT409", "lease")


def test_a_poll_with_nothing_to_do_is_idle_and_leaves_no_scan(first: Worker) -> None:
    assert first.start("poll") == {"status": "idle"}
    assert scans(first.connection) == []


@pytest.mark.parametrize("reason", ["schedule", "cron"])
def test_a_scan_of_its_own_is_recorded(first: Worker, reason: str) -> None:
    answer = first.start(reason)
    assert answer["status"] == "started"
    assert scans(first.connection) == [(answer["scan"], "running", reason, None)]


def test_a_poll_finds_events_even_when_their_scan_was_not_queued(first: Worker) -> None:
    first.connection.execute(INSERT, (2,))
    first.connection.execute("delete from public.scans")
    answer = first.start("poll")
    assert answer["status"] == "started"
    assert scans(first.connection) == [(answer["scan"], "running", "poll", None)]


def test_every_queued_scan_runs_and_is_done_together(first: Worker) -> None:
    queue = "insert into public.scans (reason) values ('request'), ('events') returning id"
    queued = [row["id"] for row in first.connection.execute(queue)]
    answer = first.start("poll")
    assert answer["scan"] == queued[0]
    assert [scan[1] for scan in scans(first.connection)] == ["running", "running"]
    assert first.finish({"events": 3}) == {"scans": queued}
    found = first.connection.execute(
        "select status, counts, error, started_at <= finished_at as ordered from public.scans"
    ).fetchall()
    done = {"status": "done", "counts": {"events": 3}, "error": None, "ordered": True}
    assert found == [done, done]


def test_a_scan_with_an_error_has_failed(first: Worker) -> None:
    scan = first.start()["scan"]
    first.finish({"events": 0}, "the model has no factors for trams")
    expected = (scan, "failed", "cron", "the model has no factors for trams")
    assert scans(first.connection) == [expected]


def test_a_scan_requested_during_another_while_events_wait_stays_queued(first: Worker) -> None:
    running = first.start()["scan"]
    first.connection.execute(
        "insert into public.events_normalized (event_type, supplier_id, timestamp)"
        " values ('factory', 'Foundry', now())"
    )
    first.connection.execute("delete from public.scans where status = 'queued'")  # of the insert
    one(first.connection, "select public.request_scan()")
    first.finish()
    assert [scan[1] for scan in scans(first.connection)] == ["done", "queued"]
    assert first.start("poll")["scan"] > running


def test_a_second_holder_is_told_who_works(first: Worker, second: Worker) -> None:
    first.start()
    answer = second.start()
    assert (answer["status"], answer["holder"]) == ("held", first.holder)
    assert one(first.connection, "select %s::timestamptz > now()", answer["until"]) is True
    assert len(scans(first.connection)) == 1


def test_a_lease_that_was_given_back_is_free(first: Worker, second: Worker) -> None:
    first.start()
    first.finish()
    assert second.start()["status"] == "started"
    assert second.token > first.token


def test_an_expired_lease_is_taken_over_and_fences_the_old_holder(
    first: Worker, second: Worker
) -> None:
    first.connection.execute(INSERT, (2,))
    lost = first.start(lease_seconds=60)["scan"]
    batch = first.claim(lease_seconds=0)["batch"]
    taken = second.start("poll")
    assert taken["status"] == "started"
    assert second.token > first.token
    assert scans(first.connection) == [
        (lost, "failed", "events", "its worker went away"),
        (taken["scan"], "running", "poll", None),
    ]
    for late in (first.claim, first.finish):
        with pytest.raises(Refused) as refusal:
            late()
        assert lease_error(refusal)
    with pytest.raises(Refused) as refusal:
        first.commit(batch, {"events": [1, 2]})
    assert lease_error(refusal)
    assert len(second.claim()["events"]) == 2


def test_a_holder_whose_time_ran_out_goes_on_while_nobody_took_over(first: Worker) -> None:
    first.connection.execute(INSERT, (2,))
    first.start(lease_seconds=0)
    assert len(first.claim()["events"]) == 2
    assert len(first.finish()["scans"]) == 1


def test_claiming_renews_the_lease(first: Worker, second: Worker) -> None:
    first.connection.execute(INSERT, (2,))
    first.start(lease_seconds=0)
    first.claim(lease_seconds=60)
    assert second.start()["status"] == "held"


def test_a_holder_with_a_wrong_token_is_refused(first: Worker) -> None:
    first.start()
    first.token -= 1
    with pytest.raises(Refused) as refusal:
        first.claim()
    assert lease_error(refusal)


def test_a_holder_that_starts_again_goes_on_with_its_scans(first: Worker) -> None:
    one(first.connection, "select public.request_scan()")
    answer = first.start("poll")
    former = first.token
    again = first.start("poll")
    assert again["scan"] == answer["scan"]
    assert again["token"] > former
    assert first.finish() == {"scans": [answer["scan"]]}
    assert scans(first.connection) == [(answer["scan"], "done", "request", None)]


def test_finishing_again_returns_the_same(first: Worker, second: Worker) -> None:
    first.start()
    answer = first.finish({"events": 1})
    assert first.finish({"events": 2}, "late") == answer
    assert [scan[1] for scan in scans(first.connection)] == ["done"]
    second.start()
    with pytest.raises(Refused) as refusal:
        first.finish()
    assert lease_error(refusal)


def test_of_two_that_start_at_once_one_works(first: Worker, second: Worker) -> None:
    with ThreadPoolExecutor(1) as pool:
        with first.connection.transaction():
            first.start()
            late = pool.submit(second.start)
            wait_until_blocked(first.connection, second.connection)
        assert late.result(timeout=60)["status"] == "held"
