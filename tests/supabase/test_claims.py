"""Claiming events in order, again after a failure, and not for ever."""

from __future__ import annotations

from uuid import uuid4

import pytest
from psycopg import sql

from tests.supabase.calls import Refused, Worker, add, hint_of, queue
from tests.supabase.results import detector, episode, failed, key, result
from tests.supabase.servers import one

GIVEN = {  # by name or by type
    "event_type": sql.SQL("'factory'"),
    "text": sql.SQL("""'ä "quoted" \\ name'"""),
    "double precision": sql.SQL("'NaN'"),
    "boolean": sql.SQL("true"),
    "timestamp with time zone": sql.SQL("'2026-01-02 03:04:05.06789+02'"),
}


def test_events_are_claimed_in_order_of_arrival(worker: Worker) -> None:
    events = add(worker.connection, 5)
    claimed = worker.claim(size=3)
    assert [event["id"] for event in claimed["events"]] == events[:3]
    columns = worker.connection.execute(
        "select jsonb_strip_nulls(to_jsonb(e)) row from public.events_normalized e"
        " order by id limit 1"
    ).fetchone()
    assert columns is not None
    assert claimed["events"][0] == columns["row"]


def test_a_claim_brings_every_column_that_is_given(worker: Worker) -> None:
    columns = worker.connection.execute(
        "select column_name as name, data_type as kind from information_schema.columns"
        " where table_schema = 'public' and table_name = 'events_normalized'"
        " and column_name <> 'id'"
    ).fetchall()
    names = [column["name"] for column in columns]
    values = [GIVEN.get(column["name"]) or GIVEN[column["kind"]] for column in columns]
    added = worker.connection.execute(
        sql.SQL(
            "insert into public.events_normalized as e ({}) values ({}) returning to_jsonb(e)"
        ).format(sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(values))
    ).fetchone()
    assert added is not None
    assert worker.claim()["events"] == [added["to_jsonb"]]
    assert None not in added["to_jsonb"].values()


def test_nothing_pending_is_no_batch(worker: Worker) -> None:
    assert worker.claim() == {
        "batch": None,
        "events": [],
        "baselines": [],
        "episodes": [],
        "suppliers": [],
        "quarantined": 0,
    }


def test_a_batch_holds_at_most_max_bytes_but_one_event_at_least(worker: Worker) -> None:
    events = add(worker.connection, 6)
    size = one(
        worker.connection,
        "select octet_length(jsonb_strip_nulls(to_jsonb(e))::text)"
        " from public.events_normalized e where id = %s",
        events[0],
    )
    assert [event["id"] for event in worker.claim(max_bytes=1)["events"]] == events[:1]
    assert len(worker.claim(max_bytes=3 * size + size // 2)["events"]) == 3


def test_a_batch_holds_at_most_4000_events(worker: Worker) -> None:
    add(worker.connection, 4010)
    assert len(worker.claim(size=10_000, max_bytes=10**9)["events"]) == 4000


def test_a_repeated_claim_gives_the_same_events_and_voids_the_former_batch(worker: Worker) -> None:
    events = add(worker.connection, 3)
    first, second = worker.claim(), worker.claim()
    assert second["events"] == first["events"]
    assert second["batch"] != first["batch"]
    with pytest.raises(Refused) as refusal:
        worker.commit(first["batch"], result(events))
    assert hint_of(refusal) == ("PT409", "events")
    assert len(queue(worker.connection)) == 3
    assert worker.commit(second["batch"], result(events))["events"] == 3
    assert queue(worker.connection) == []


def test_a_claim_leaves_the_rows_of_the_queue_as_they_are(worker: Worker) -> None:
    add(worker.connection, 3)
    rows = "select array_agg(q.ctid::text || q.xmin order by q.ctid) from public.event_queue q"
    before = one(worker.connection, rows)
    assert len(worker.claim()["events"]) == 3
    assert one(worker.connection, rows) == before


def test_a_commit_of_an_event_that_its_claim_left_out_is_refused(worker: Worker) -> None:
    first, second, last = add(worker.connection, 3)
    batch = worker.claim(size=2)["batch"]
    with pytest.raises(Refused) as refusal:
        worker.commit(batch, result([first, last]))
    assert hint_of(refusal) == ("PT409", "events")
    assert worker.commit(batch, result([first, second]))["events"] == 2
    assert [event["id"] for event in worker.claim()["events"]] == [last]


def test_an_unknown_batch_is_refused(worker: Worker) -> None:
    with pytest.raises(Refused) as refusal:
        worker.commit(str(uuid4()), result([]))
    assert hint_of(refusal) == ("PT409", "events")


def test_a_claim_brings_detectors_and_open_episodes_of_its_keys_alone(worker: Worker) -> None:
    for entity in ("Foundry", "Other"):
        events = add(worker.connection, supplier=entity)
        parts = result(
            events, detectors=[detector(entity)], keys=[key(entity)], episodes=[episode(0, entity)]
        )
        worker.commit(worker.claim()["batch"], parts)
    worker.finish()
    worker.start()
    add(worker.connection)
    claimed = worker.claim()
    (known,), (shared_by_all,), (found,) = (
        claimed[name] for name in ("detectors", "keys", "episodes")
    )
    assert (known["entity"], known["basis"], known["state"]) == ("Foundry", "output:t", {"n": 3})
    assert (shared_by_all["entity"], shared_by_all["state"]) == ("Foundry", {"gaps": []})
    assert (found["entity"], found["version"]) == ("Foundry", 1)
    assert claimed["inputs"] == []
    assert claimed["clock"] == "2026-01-05T09:00:00+00:00"
    state = one(worker.connection, "select public.batch_state(%s)", claimed["batch"])
    assert state == {name: claimed[name] for name in state}


def test_a_claim_leaves_out_the_state_of_keys_that_the_same_lease_has_written(
    worker: Worker,
) -> None:
    events = add(worker.connection)
    parts = result(events, detectors=[detector()], keys=[key()], episodes=[episode(0)])
    worker.commit(worker.claim()["batch"], parts)
    add(worker.connection)
    claimed = worker.claim()
    assert (claimed["detectors"], claimed["keys"]) == ([], [])
    assert [row["version"] for row in claimed["episodes"]] == [1]
    whole = one(worker.connection, "select public.batch_state(%s)", claimed["batch"])
    assert [row["state"] for row in whole["detectors"]] == [{"n": 3}]
    worker.finish()
    worker.start()
    assert worker.claim()["detectors"] == whole["detectors"]


def test_a_failed_event_waits_longer_each_time_and_is_dead_after_three(worker: Worker) -> None:
    (event,) = add(worker.connection)
    waits = []
    for attempt in (1, 2):
        worker.commit(worker.claim()["batch"], result([], failed=[failed(event)]))
        assert queue(worker.connection) == [(event, "pending", attempt, "no such fuel")]
        assert worker.claim()["batch"] is None
        waits.append(
            one(
                worker.connection,
                "select extract(epoch from claimed_until - now())::float from public.event_queue",
            )
        )
        worker.connection.execute("update public.event_queue set claimed_until = now()")
    assert 20 < waits[0] <= 30
    assert 50 < waits[1] <= 60
    worker.commit(worker.claim()["batch"], result([], failed=[failed(event, "still none")]))
    assert queue(worker.connection) == [(event, "dead", 3, "still none")]
    assert worker.claim()["batch"] is None


def test_an_event_that_cannot_be_saved_is_dead_at_once_and_can_be_retried(worker: Worker) -> None:
    hopeless, fine = add(worker.connection, 2)
    sent = result([fine], failed=[failed(hopeless, "no factor", dead=True)])
    worker.commit(worker.claim()["batch"], sent)
    assert queue(worker.connection) == [(hopeless, "dead", 1, "no factor")]
    worker.finish()
    worker.connection.execute("delete from public.scans where status = 'queued'")
    assert worker.start("poll") == {"status": "idle"}
    assert one(worker.connection, "select public.retry_dead_events()") == 1
    assert one(worker.connection, "select public.retry_dead_events()") == 0
    assert queue(worker.connection) == [(hopeless, "pending", 0, "no factor")]
    worker.start("poll")
    assert [event["id"] for event in worker.claim()["events"]] == [hopeless]


def test_a_failure_does_not_stop_what_comes_after_it(worker: Worker) -> None:
    failing, *rest = add(worker.connection, 3)
    worker.commit(worker.claim(size=1)["batch"], result([], failed=[failed(failing)]))
    assert [event["id"] for event in worker.claim()["events"]] == rest
