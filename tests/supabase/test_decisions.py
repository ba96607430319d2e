"""What people decide: states, refusals, repetition, the audit log, and two at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString

import pytest

from tests.supabase import rows
from tests.supabase.calls import Refused, call, wait_until_blocked
from tests.supabase.servers import Connection, Database, one

ALICE = {"sub": "alice", "role": "authenticated"}


@pytest.fixture
def worker(shared: Database) -> Iterator[Connection]:
    with shared.connect("service_role") as connection:
        yield connection


@pytest.fixture
def alice(shared: Database) -> Iterator[Connection]:
    with shared.connect("authenticated", ALICE, user="authenticator") as connection:
        yield connection


def decide(connection: Connection, row: int, decision: str | None, notes: str | None = None) -> Any:
    query: LiteralString = "select * from public.decide_recommendation(%s, %s, %s)"
    return call(connection, query, row, decision, notes)


def acknowledge(connection: Connection, row: int) -> Any:
    return call(connection, "select * from public.acknowledge_alert(%s)", row)


def resolve(connection: Connection, row: int) -> Any:
    return call(connection, "select * from public.resolve_hotspot(%s)", row)


def audit(worker: Connection, kind: str, row: int) -> list[tuple[Any, ...]]:
    found = worker.execute(
        "select action, user_id, role, notes from public.audit_log"
        " where entity_type = %s and entity_id = %s order by id",
        (kind, row),
    )
    return [tuple(entry.values()) for entry in found]


@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_a_pending_recommendation_is_decided(
    worker: Connection, alice: Connection, decision: str
) -> None:
    row = rows.insert(worker, "recommendations")
    decided = decide(alice, row, decision, "sounds right")
    assert (decided["id"], decided["status"], decided["version"]) == (row, decision, 2)
    assert decided == worker.execute(rows.whole["recommendations"], (row,)).fetchone()
    assert audit(worker, "recommendation", row) == [
        (decision, "alice", "authenticated", "sounds right")
    ]


def test_the_same_decision_again_changes_nothing(worker: Connection, alice: Connection) -> None:
    row = rows.insert(worker, "recommendations")
    first = decide(alice, row, "approved")
    assert decide(alice, row, "approved", "again") == first
    assert audit(worker, "recommendation", row) == [("approved", "alice", "authenticated", None)]


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        ("approved", "rejected"),
        ("rejected", "approved"),
        ("implemented", "approved"),
        ("implemented", "rejected"),
    ],
)
def test_what_is_decided_stays_so(
    worker: Connection, alice: Connection, status: str, decision: str
) -> None:
    row = rows.insert(worker, "recommendations")
    worker.execute("update public.recommendations set status = %s where id = %s", (status, row))
    with pytest.raises(Refused) as refusal:
        decide(alice, row, decision)
    assert refusal.value == Refused("PT409", f"recommendation {row} is already {status}")
    assert decide_state(worker, row) == status
    assert audit(worker, "recommendation", row) == []


def decide_state(worker: Connection, row: int) -> str:
    status: str = one(worker, "select status from public.recommendations where id = %s", row)
    return status


@pytest.mark.parametrize("decision", ["pending", "implemented", "", "Approved", None])
def test_another_word_is_no_decision(
    worker: Connection, alice: Connection, decision: str | None
) -> None:
    row = rows.insert(worker, "recommendations")
    with pytest.raises(Refused, match=r"PT422.*must be approved or rejected"):
        decide(alice, row, decision)
    assert decide_state(worker, row) == "pending"


def test_notes_have_a_limit(worker: Connection, alice: Connection) -> None:
    row = rows.insert(worker, "recommendations")
    with pytest.raises(Refused, match=r"PT422.*2000 characters"):
        decide(alice, row, "approved", "x" * 2001)
    assert decide_state(worker, row) == "pending"
    decide(alice, row, "approved", "x" * 2000)
    assert audit(worker, "recommendation", row)[0][3] == "x" * 2000


def test_an_unknown_id_is_not_found(alice: Connection) -> None:
    with pytest.raises(Refused) as refusal:
        decide(alice, 999_999, "approved")
    assert refusal.value == Refused("PT404", "recommendation 999999 does not exist")
    with pytest.raises(Refused) as refusal:
        acknowledge(alice, 999_999)
    assert refusal.value == Refused("PT404", "alert 999999 does not exist")
    with pytest.raises(Refused) as refusal:
        resolve(alice, 999_999)
    assert refusal.value == Refused("PT404", "hotspot 999999 does not exist")


def test_a_decision_without_claims_is_recorded_without_a_user(worker: Connection) -> None:
    row = rows.insert(worker, "recommendations")
    decide(worker, row, "approved")
    assert audit(worker, "recommendation", row) == [("approved", None, None, None)]


def test_an_alert_is_acknowledged_once(worker: Connection, alice: Connection) -> None:
    row = rows.insert(worker, "alerts")
    seen = acknowledge(alice, row)
    assert (seen["acknowledged"], seen["version"]) == (True, 2)
    assert seen["acknowledged_at"] is not None
    assert acknowledge(alice, row) == seen
    assert audit(worker, "alert", row) == [("acknowledged", "alice", "authenticated", None)]


def test_a_hotspot_is_resolved_once(worker: Connection, alice: Connection) -> None:
    row = rows.insert(worker, "hotspots")
    resolved = resolve(alice, row)
    assert (resolved["status"], resolved["version"]) == ("resolved", 2)
    assert resolved["resolved_at"] is not None
    assert resolve(alice, row) == resolved
    assert audit(worker, "hotspot", row) == [("resolved", "alice", "authenticated", None)]


def test_an_ignored_hotspot_is_not_resolved(worker: Connection, alice: Connection) -> None:
    row = rows.insert(worker, "hotspots")
    worker.execute("update public.hotspots set status = 'ignored' where id = %s", (row,))
    with pytest.raises(Refused) as refusal:
        resolve(alice, row)
    assert refusal.value == Refused("PT409", f"hotspot {row} is ignored")
    assert audit(worker, "hotspot", row) == []


def test_of_two_opposite_decisions_at_once_one_wins(shared: Database, worker: Connection) -> None:
    voters = [
        (shared.connect("authenticated", {"sub": decision}, user="authenticator"), decision)
        for decision in ("approved", "rejected")
    ]
    for _ in range(20):
        row = rows.insert(worker, "recommendations")
        gate = threading.Barrier(2)

        def vote(
            connection: Connection, decision: str, row: int = row, gate: threading.Barrier = gate
        ) -> str:
            gate.wait()
            try:
                decide(connection, row, decision)
            except Refused as exc:
                return str(exc.code)
            return decision

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(lambda voter: vote(*voter), voters))
        winner = decide_state(worker, row)
        assert sorted(outcomes) == sorted([winner, "PT409"])
        assert [entry[:2] for entry in audit(worker, "recommendation", row)] == [(winner, winner)]


def test_the_later_of_two_decisions_waits_for_the_first(
    shared: Database, worker: Connection, alice: Connection
) -> None:
    row = rows.insert(worker, "recommendations")
    bob = shared.connect("authenticated", {"sub": "bob"}, user="authenticator")
    with ThreadPoolExecutor(1) as pool:
        with alice.transaction():
            decide(alice, row, "approved")
            late = pool.submit(decide, bob, row, "rejected")
            wait_until_blocked(worker, bob)
        with pytest.raises(Refused, match=r"PT409.*already approved"):
            late.result(timeout=60)
    assert decide_state(worker, row) == "approved"


def test_a_scan_is_queued_once(worker: Connection, alice: Connection) -> None:
    worker.execute("delete from public.scans")
    first = one(alice, "select public.request_scan()")
    assert first["status"] == "queued"
    assert one(alice, "select public.request_scan()") == first
    found = worker.execute("select id, status, reason from public.scans").fetchall()
    assert [tuple(row.values()) for row in found] == [(first["id"], "queued", "request")]


def test_who_asked_for_a_scan_is_in_the_audit_log_and_nowhere_else(
    worker: Connection, alice: Connection
) -> None:
    worker.execute("delete from public.scans")
    scan = one(alice, "select public.request_scan()")["id"]
    asked = worker.execute(
        "select user_id, action from public.audit_log"
        " where entity_type = 'scan' and entity_id = %s",
        (scan,),
    ).fetchall()
    assert [tuple(row.values()) for row in asked] == [("alice", "requested")]
    assert "alice" not in str(one(alice, "select to_jsonb(s) from public.scans s"))


def start(worker: Connection, scan: int, status: str) -> None:
    worker.execute(
        "update public.scans set status = %s, started_at = clock_timestamp() where id = %s",
        (status, scan),
    )


EVENT: LiteralString = (
    "insert into public.events_normalized (event_type, supplier_id, timestamp)"
    " values ('factory', 'Foundry', now())"
)


@pytest.mark.parametrize("status", ["running", "done"])
def test_a_scan_is_queued_anew_while_events_wait(
    worker: Connection, alice: Connection, status: str
) -> None:
    worker.execute("delete from public.event_queue")
    worker.execute("delete from public.scans")
    first = one(alice, "select public.request_scan()")["id"]
    start(worker, first, status)
    worker.execute(EVENT)
    worker.execute("delete from public.scans where id <> %s", (first,))  # that of the insert
    assert one(alice, "select public.request_scan()")["id"] > first


@pytest.mark.parametrize("status", ["running", "done"])
def test_a_flood_of_requests_without_events_is_one_scan(
    worker: Connection, alice: Connection, status: str
) -> None:
    worker.execute("delete from public.event_queue")
    worker.execute("delete from public.scans")
    first = one(alice, "select public.request_scan()")["id"]
    start(worker, first, status)
    answers = [one(alice, "select public.request_scan()") for _ in range(20)]
    assert answers == [{"id": first, "status": status}] * 20
    worker.execute("update public.scans set started_at = started_at - interval '11 seconds'")
    assert one(alice, "select public.request_scan()")["id"] > first


def test_a_failed_scan_is_not_named_to_who_asks_again(
    worker: Connection, alice: Connection
) -> None:
    worker.execute("delete from public.event_queue")
    worker.execute("delete from public.scans")
    first = one(alice, "select public.request_scan()")["id"]
    start(worker, first, "failed")
    assert one(alice, "select public.request_scan()")["id"] > first


def test_inserted_events_queue_one_scan(worker: Connection) -> None:
    worker.execute("delete from public.scans")
    for _ in range(3):
        worker.execute(
            "insert into public.events_normalized (event_type, supplier_id, timestamp)"
            " select 'factory', 'Foundry', now() from generate_series(1, 4)"
        )
    assert one(worker, "select count(*) from public.event_queue") == 12
    found = worker.execute("select status, reason from public.scans").fetchall()
    assert [tuple(row.values()) for row in found] == [("queued", "events")]


def test_an_insert_of_no_event_queues_nothing(worker: Connection) -> None:
    worker.execute("delete from public.scans")
    worker.execute(
        "insert into public.events_normalized (event_type, supplier_id, timestamp)"
        " select 'factory', 'Foundry', now() where false"
    )
    assert one(worker, "select count(*) from public.scans") == 0
