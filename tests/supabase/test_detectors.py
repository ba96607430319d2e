"""What detectors hear, what folds a past anew, and what is migrated from the first rule."""

from __future__ import annotations

from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.supabase.calls import Refused, Worker, add, call, hint_of
from tests.supabase.results import alert, detector, episode, key, prediction, result
from tests.supabase.servers import Database, one

KEY = {"entity": "Foundry", "entity_type": "supplier", "event_type": "factory"}


def worked_off(worker: Worker, **parts: list[Any]) -> list[int]:
    """Commit two events of a key."""
    events = add(worker.connection, 2)
    predictions = [prediction(event) for event in events]
    worker.commit(worker.claim()["batch"], result(events, predictions=predictions, **parts))
    return events


def commit_pass(worker: Worker, number: str, **parts: list[Any]) -> Any:
    query: LiteralString = "select public.commit_pass(%s, %s, %s, %s) as it"
    arguments = (worker.holder, worker.token, number, Jsonb(parts))
    return call(worker.connection, query, *arguments)["it"]


def next_rebuild(worker: Worker, *, drained: bool = False) -> Any:
    return one(
        worker.connection,
        "select public.next_rebuild(%s, %s, 60, %s)",
        worker.holder,
        worker.token,
        drained,
    )


def inputs(worker: Worker) -> list[tuple[Any, ...]]:
    found = worker.connection.execute(
        "select kind, after_event, applied from public.detector_inputs order by id"
    )
    return [tuple(row.values()) for row in found]


def test_detectors_hear_of_what_a_person_ends_and_not_of_what_the_engine_ends(
    shared: Database, worker: Worker
) -> None:
    events = worked_off(worker, episodes=[episode(0)])
    person = shared.connect("authenticated")
    one(person, "select id from public.resolve_hotspot((select max(id) from public.hotspots))")
    assert inputs(worker) == [("resolved", events[-1], False)]
    worked_off(worker, episodes=[episode(0, status="resolved")])
    ((_, _, applied),) = inputs(worker)
    assert applied is False


def test_a_word_is_brought_with_the_next_claim_and_heard_once(worker: Worker) -> None:
    worked_off(worker)
    one(
        worker.connection, "select public.tell_detectors('Foundry', 'supplier', 'factory', 'reset')"
    )
    events = add(worker.connection)
    claimed = worker.claim()
    (word,) = claimed["inputs"]
    assert word["kind"] == "reset"
    worker.commit(claimed["batch"], result(events, heard=[word["id"]]))
    add(worker.connection)
    assert worker.claim()["inputs"] == []


def test_an_unknown_word_is_refused(worker: Worker) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        one(worker.connection, "select public.tell_detectors('a', 'supplier', 'factory', 'maybe')")
    worker.connection.rollback()


def test_a_signed_in_user_reads_what_is_usual_but_no_state(
    shared: Database, worker: Worker
) -> None:
    worked_off(worker, detectors=[detector()], notices=[])
    person = shared.connect("authenticated")
    row = person.execute("select * from public.baselines").fetchone()
    assert row is not None
    assert (row["median"], row["spread"], row["sample_size"], row["state"]) == (
        2.0,
        0.15,
        3,
        "warming",
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        person.execute("select state from public.detectors")


def test_notices_are_read_by_signed_in_users(shared: Database, worker: Worker) -> None:
    notice = {**KEY, "kind": "quality", "message": "zeros", "event_id": 1, "occurred_at": None}
    worked_off(worker, notices=[notice])
    person = shared.connect("authenticated")
    found = person.execute("select kind, message from public.notices").fetchall()
    assert found == [{"kind": "quality", "message": "zeros"}]


def test_a_past_that_was_asked_for_is_named_until_it_was_folded(worker: Worker) -> None:
    worked_off(worker, rebuilds=[{**KEY, "reason": "history"}])
    assert next_rebuild(worker) == {"key": KEY, "reason": "history", "settled": False}
    commit_pass(worker, str(uuid4()), rebuilt=[KEY], anew=[KEY], detectors=[detector(learned=7)])
    assert next_rebuild(worker) == {"key": None}
    assert one(worker.connection, "select learned from public.detectors") == 7


def test_a_past_is_folded_once_more_if_more_of_it_came_meanwhile(worker: Worker) -> None:
    worked_off(worker, rebuilds=[{**KEY, "reason": "history"}])
    commit_pass(worker, str(uuid4()), rebuilt=[KEY], keys=[key(late=3)])
    assert next_rebuild(worker) == {"key": None}
    assert next_rebuild(worker, drained=True)["settled"] is True
    commit_pass(worker, str(uuid4()), settled=[KEY], keys=[key(late=0)])
    assert next_rebuild(worker, drained=True) == {"key": None}


def test_a_repeated_pass_returns_the_first_answer_and_writes_nothing(worker: Worker) -> None:
    worked_off(worker)
    number = str(uuid4())
    parts = {
        "episodes": [episode(0)],
        "alerts": [alert(0)],
        "inputs": [{**KEY, "at": "2026-02-01"}],
    }
    first = commit_pass(worker, number, **parts)
    assert commit_pass(worker, number, **parts) == first
    assert one(worker.connection, "select count(*) from public.alerts") == 1
    assert len(inputs(worker)) == 1


def test_a_pass_without_the_lease_or_with_a_changed_episode_is_refused(worker: Worker) -> None:
    worked_off(worker, episodes=[episode(0)])
    number = one(worker.connection, "select id from public.hotspots")
    stale = episode(0, id=number, version=7)
    with pytest.raises(Refused) as refusal:
        commit_pass(worker, str(uuid4()), episodes=[stale])
    assert hint_of(refusal) == ("PT409", "episode")
    worker.token -= 1
    with pytest.raises(Refused) as refusal:
        commit_pass(worker, str(uuid4()))
    assert hint_of(refusal) == ("PT409", "lease")


def test_the_past_of_a_key_comes_in_order_of_event_time_without_what_is_held(
    worker: Worker,
) -> None:
    events = add(worker.connection, 4)
    for event, day in zip(events, (3, 1, 2, 4), strict=True):
        worker.connection.execute(
            "update public.events_normalized set timestamp = %s where id = %s",
            (f"2026-01-0{day}T09:00:00Z", event),
        )
    predictions = [prediction(event) for event in events]
    worker.commit(worker.claim()["batch"], result(events, predictions=predictions))
    worker.connection.execute(
        "insert into public.quarantine (event_id, entity, event_type, kind, reason)"
        " values (%s, 'Foundry', 'factory', 'history', 'x')",
        (events[3],),
    )
    page = one(
        worker.connection,
        "select public.past_of_key(%s, %s, 60, %s, null, 0, 2)",
        worker.holder,
        worker.token,
        Jsonb(KEY),
    )
    assert [row["event"]["id"] for row in page["events"]] == [events[1], events[2]]
    assert page["events"][0]["prediction"]["event_id"] == events[1]
    assert page["state"]["detectors"] == []
    last = page["events"][-1]["event"]
    rest = one(
        worker.connection,
        "select public.past_of_key(%s, %s, 60, %s, %s, %s, 2)",
        worker.holder,
        worker.token,
        Jsonb(KEY),
        last["timestamp"],
        last["id"],
    )
    assert [row["event"]["id"] for row in rest["events"]] == [events[0]]
    assert rest["state"] is None


def test_keys_are_due_by_the_clock_or_by_a_word(worker: Worker) -> None:
    worked_off(worker, keys=[key(due_at="2026-03-01T00:00:00Z")])

    def due(clock: str | None) -> list[Any]:
        answer = one(
            worker.connection,
            "select public.due_keys(%s, %s, 60, %s, 10)",
            worker.holder,
            worker.token,
            clock,
        )
        found: list[Any] = answer["due"]
        return found

    assert due("2026-02-28T00:00:00Z") == []
    assert due("2026-03-01T00:00:00Z") == [KEY]
    assert due(None) == []  # by the newest event time, of January
    one(
        worker.connection, "select public.tell_detectors('Foundry', 'supplier', 'factory', 'reset')"
    )
    assert due(None) == [KEY]


def test_what_lasts_is_told_when_everything_is_worked_off(worker: Worker) -> None:
    worked_off(worker, episodes=[episode(0, announced=False)])
    for told in (1, 0):
        answer = one(
            worker.connection,
            "select public.announce_open_episodes(%s, %s)",
            worker.holder,
            worker.token,
        )
        assert answer == {"alerts": told}
    assert one(worker.connection, "select message from public.alerts") == (
        "Foundry: 50 % more kg per t"
    )
    assert inputs(worker) == []
