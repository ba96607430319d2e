"""Committing in one transaction, once, all that a batch led to."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.supabase.calls import (
    Refused,
    Worker,
    add,
    hint_of,
    outcome,
    queue,
    wait_until_blocked,
)
from tests.supabase.results import (
    alert,
    detector,
    episode,
    failed,
    prediction,
    recommendation,
    result,
)
from tests.supabase.servers import Database, one


def open_episode(worker: Worker, entity: str = "Foundry") -> dict[str, Any]:
    """Commit one event that opens an episode; the row."""
    events = add(worker.connection, supplier=entity)
    batch = worker.claim()["batch"]
    worker.commit(batch, result(events, episodes=[episode(0, entity)]))
    row = worker.connection.execute(
        "select * from public.hotspots where entity = %s and status = 'active'", (entity,)
    ).fetchone()
    assert row is not None
    return row


def test_a_commit_writes_everything_that_the_batch_led_to(worker: Worker) -> None:
    events = add(worker.connection, 3)
    batch = worker.claim()["batch"]
    counts = worker.commit(
        batch,
        result(
            events[:2],
            failed=[failed(events[2])],
            predictions=[prediction(events[0]), prediction(events[1], 150, hotspot=True)],
            detectors=[detector()],
            episodes=[
                episode(0, status="resolved", severity="info"),
                episode(1, event_id=events[1]),
            ],
            alerts=[alert(0), alert(0, "resolved", "info"), alert(1)],
            recommendations=[recommendation(1), recommendation(1, "Fix the door")],
        ),
    )
    assert counts == {
        "events": 2,
        "quarantined": 0,
        "failed": 1,
        "predictions": 2,
        "opened": 2,
        "updated": 0,
        "resolved": 1,
        "alerts": 3,
        "notices": 0,
        "rebuilds": 0,
        "recommendations": 2,
    }
    hotspots, alerts, recommendations, predictions, baselines, _, batches = outcome(
        worker.connection
    )
    past, now = hotspots
    assert (past["status"], past["severity"]) == ("resolved", "info")
    assert past["resolved_at"] is not None
    assert (now["status"], now["event_id"], now["resolved_at"]) == ("active", events[1], None)
    assert (now["predicted_co2"], now["baseline_co2"], now["percent_above"]) == (150, 100, 50)
    assert [(row["hotspot_id"], row["kind"], row["level"]) for row in alerts] == [
        (past["id"], "opened", "critical"),
        (past["id"], "resolved", "info"),
        (now["id"], "opened", "critical"),
    ]
    assert [(row["hotspot_id"], row["action"], row["status"]) for row in recommendations] == [
        (now["id"], "Insulate the furnace", "pending"),
        (now["id"], "Fix the door", "pending"),
    ]
    assert [(row["event_id"], row["predicted_co2"], row["hotspot"]) for row in predictions] == [
        (events[0], 120, False),
        (events[1], 150, True),
    ]
    assert (baselines[0]["state"], baselines[0]["sample_size"]) == ("warming", 3)
    assert queue(worker.connection) == [(events[2], "pending", 1, "no such fuel")]
    assert batches[0]["result"] == counts


def test_a_repeated_commit_returns_the_first_answer_and_writes_nothing(worker: Worker) -> None:
    events = add(worker.connection, 2)
    batch = worker.claim()["batch"]
    sent = result(events, episodes=[episode(0)], alerts=[alert(0)])
    counts = worker.commit(batch, sent)
    before = outcome(worker.connection)
    assert worker.commit(batch, sent) == counts
    assert outcome(worker.connection) == before
    worker.claim()
    assert worker.commit(batch, sent) == counts  # also after the next claim


def test_what_is_left_out_of_a_result_counts_as_empty(worker: Worker) -> None:
    events = add(worker.connection)
    counts = worker.commit(worker.claim()["batch"], {"events": events})
    assert counts == dict.fromkeys(counts, 0) | {"events": 1}


def test_a_known_episode_is_updated_and_resolved(worker: Worker) -> None:
    row = open_episode(worker)
    known = {"id": row["id"], "version": 1}
    events = add(worker.connection)
    worse = episode(0, **known, predicted_co2=200.0, percent_above=100.0, event_id=events[0])
    counts = worker.commit(worker.claim()["batch"], result(events, episodes=[worse]))
    assert (counts["opened"], counts["updated"], counts["resolved"]) == (0, 1, 0)
    events = add(worker.connection)
    ended = worse | {"version": 2, "status": "resolved"}
    anew = episode(1, event_id=events[0])  # makes room and takes it, in the same batch
    counts = worker.commit(worker.claim()["batch"], result(events, episodes=[anew, ended]))
    assert (counts["opened"], counts["updated"], counts["resolved"]) == (1, 1, 1)
    found = worker.connection.execute(
        "select id, status, version, predicted_co2 from public.hotspots order by id"
    ).fetchall()
    assert found[0] == {
        "id": row["id"],
        "status": "resolved",
        "version": 3,
        "predicted_co2": 200.0,
    }
    assert (found[1]["status"], found[1]["version"]) == ("active", 1)


def test_what_opens_in_a_commit_is_written_once(worker: Worker) -> None:
    """Its first version says what it continues, and what advice saves a month when it has ended."""
    former = open_episode(worker)
    events = add(worker.connection)
    found = [
        episode(0, id=former["id"], version=1, status="resolved"),
        episode(1, status="resolved", reopens=True),
        episode(2, event_id=events[0], reopens=True),
        episode(3, "Mill", reopens=True),
    ]
    advice = [recommendation(1) | {"rule": "a", "co2_reduction_month": 5.0}]
    sent = result(events, episodes=found, advised=[1], recommendations=advice)
    worker.commit(worker.claim()["batch"], sent)
    hotspots, _, (advised,), *_ = outcome(worker.connection)
    assert [(row["entity"], row["previous_id"], row["version"]) for row in hotspots] == [
        ("Foundry", None, 2),
        ("Foundry", hotspots[0]["id"], 1),
        ("Foundry", hotspots[1]["id"], 1),
        ("Mill", None, 1),
    ]
    assert advised["version"] == 1
    assert advised["co2_reduction_month"] not in (None, 5.0)


def at(told: dict[str, Any], moment: str) -> dict[str, Any]:
    """The alert, of a transition at that time of 1 March 2026."""
    return told | {"occurred_at": f"2026-03-01T{moment}Z"}


def test_an_alert_is_compared_with_those_of_its_batch(worker: Worker) -> None:
    events = add(worker.connection)
    ended = [episode(ref, status="resolved") for ref in range(2)]
    told = [
        at(alert(0), "08:00:00"),
        at(alert(0, "resolved", "info"), "08:40:00"),
        at(alert(1), "08:50:00"),  # within the cool-down of an hour
        at(alert(1, "escalated", "warn"), "08:55:00"),  # of another severity
        at(alert(2), "08:58:00"),  # of another key
        at(alert(3), "10:00:00"),  # the cool-down is over
    ]
    episodes = [*ended, episode(2, "Mill"), episode(3)]
    sent = result(events, episodes=episodes, alerts=told) | {"cooldown_seconds": 3600}
    assert worker.commit(worker.claim()["batch"], sent)["alerts"] == 5
    hotspots, alerts, *_ = outcome(worker.connection)
    refs = {row["id"]: ref for ref, row in enumerate(hotspots)}
    assert [(refs[row["hotspot_id"]], row["kind"]) for row in alerts] == [
        (0, "opened"),
        (0, "resolved"),
        (1, "escalated"),
        (2, "opened"),
        (3, "opened"),
    ]


def test_pending_advice_follows_the_figures_and_decided_advice_stays(worker: Worker) -> None:
    first = [recommendation(0, action) | {"rule": action} for action in ("a", "b", "c")]
    events = add(worker.connection)
    sent = result(events, episodes=[episode(0)], advised=[0], recommendations=first)
    worker.commit(worker.claim()["batch"], sent)
    hotspot = one(worker.connection, "select id from public.hotspots")
    worker.connection.execute(
        "update public.recommendations set status = 'approved' where rule = 'a'"
    )
    worker.connection.execute(
        "insert into public.recommendations (hotspot_id, action, co2_reduction, source)"
        " values (%s, 'of another service', 1, 'other')",
        [hotspot],
    )
    events = add(worker.connection)
    newer = {"ref": 7, "co2_reduction": 20.5, "co2_reduction_month": 20.5}
    worse = episode(7, id=hotspot, version=1, event_id=events[0])
    again = [each | newer for each in first[:2]]
    sent = result(events, episodes=[worse], advised=[7], recommendations=again)
    worker.commit(worker.claim()["batch"], sent)
    found = worker.connection.execute(
        "select action, co2_reduction, co2_reduction_month from public.recommendations order by id"
    ).fetchall()
    assert [tuple(each.values()) for each in found] == [
        ("a", 11.5, None),
        ("b", 20.5, 20.5),
        ("of another service", 1, None),
    ]


MONTHLY = json.loads((Path(__file__).parent.parent / "web" / "monthly.json").read_text())


@pytest.mark.parametrize("case", MONTHLY, ids=lambda case: case["said"])
def test_a_month_is_that_of_the_page(worker: Worker, case: dict[str, Any]) -> None:
    row = open_episode(worker)
    found = one(
        worker.connection,
        "update public.hotspots h set rule = %s, excess_kg = %s, last_seen_at = occurred_at"
        " + %s * interval '1 day' where id = %s returning monthly_excess_kg(h)",
        *(case["rule"], case["excess_kg"], case["days"], row["id"]),
    )
    assert found == pytest.approx(case["monthly_kg"])


def test_an_escalation_without_new_figures_brings_the_rate_of_advice_along(worker: Worker) -> None:
    """The excess shown is 30 kg, of which the advice saves 11.5."""
    day = "2026-01-05T09:00:00Z"
    shown: dict[str, Any] = {
        "predicted_co2": 130.0,
        "baseline_co2": 100.0,
        "rule": "shift",
        "occurred_at": day,
    }
    first = episode(0, **shown, excess_kg=70.0, last_seen_at=day)
    advice = recommendation(0) | {"rule": "a", "co2_reduction_month": 115.0}
    events = add(worker.connection)
    sent = result(events, episodes=[first], advised=[0], recommendations=[advice])
    worker.commit(worker.claim()["batch"], sent)
    hotspot = one(worker.connection, "select id from public.hotspots")
    month = "select co2_reduction_month from public.recommendations"

    def goes_on(version: int, **more: Any) -> Any:
        events = add(worker.connection)
        known = first | {"id": hotspot, "version": version} | more
        worker.commit(worker.claim()["batch"], result(events, episodes=[known]))
        return one(worker.connection, month)

    assert goes_on(1, excess_kg=75.0) == 115.0  # the same within a tenth
    escalated = {"severity": "critical", "last_seen_at": "2026-01-14T09:00:00Z"}
    assert goes_on(2, excess_kg=600.0, **escalated) == 690.0  # 11.5 / 30 * 60 kg a day * 30
    worker.connection.execute("update public.recommendations set status = 'approved'")
    assert goes_on(3, excess_kg=9000.0) == 690.0


def test_advice_on_what_grew_and_ended_in_one_commit_has_the_rate_of_the_whole(
    worker: Worker,
) -> None:
    """A file of the past is judged at once: the first trip was 30 kg above, all 600 in ten days."""
    shown: dict[str, Any] = {
        "predicted_co2": 130.0,
        "baseline_co2": 100.0,
        "rule": "shift",
        "occurred_at": "2026-01-05T09:00:00Z",
        "last_seen_at": "2026-01-14T09:00:00Z",
        "excess_kg": 600.0,
        "status": "resolved",
        "resolution": "recovered",
    }
    advice = recommendation(0) | {"rule": "a", "co2_reduction_month": 11.5}
    events = add(worker.connection)
    ended = [episode(0, **shown)]
    sent = result(events, episodes=ended, advised=[0], recommendations=[advice])
    worker.commit(worker.claim()["batch"], sent)
    month = one(worker.connection, "select co2_reduction_month from public.recommendations")
    assert month == 690.0  # 11.5 / 30 * 60 kg a day * 30


def everything(events: list[int], episodes: list[Any]) -> dict[str, Any]:
    return result(
        events[1:],
        failed=[failed(events[0])],
        predictions=[prediction(events[1])],
        detectors=[detector()],
        episodes=episodes,
        alerts=[alert(0)],
        recommendations=[recommendation(0)],
    )


def test_an_episode_that_changed_meanwhile_refuses_the_whole_batch(worker: Worker) -> None:
    row = open_episode(worker)
    events = add(worker.connection, 3)
    batch = worker.claim()["batch"]
    one(worker.connection, "select id from public.resolve_hotspot(%s)", row["id"])
    before = outcome(worker.connection)
    with pytest.raises(Refused) as refusal:
        worker.commit(batch, everything(events, [episode(0, id=row["id"], version=1)]))
    assert hint_of(refusal) == ("PT409", "episode")
    assert outcome(worker.connection) == before
    state = one(worker.connection, "select public.batch_state(%s)", batch)
    assert state["episodes"] == []
    assert worker.commit(batch, everything(events, [episode(0)]))["opened"] == 1


def test_an_episode_that_somebody_opened_meanwhile_refuses_the_whole_batch(worker: Worker) -> None:
    events = add(worker.connection, 3)
    batch = worker.claim()["batch"]
    worker.connection.execute(
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
        " percent_above, severity) values ('Foundry', 'supplier', 'factory', 1, 1, 0, 'info')"
    )
    before = outcome(worker.connection)
    with pytest.raises(Refused) as refusal:
        worker.commit(batch, everything(events, [episode(0)]))
    assert hint_of(refusal) == ("PT409", "episode")
    assert outcome(worker.connection) == before


def test_a_commit_that_waits_for_a_person_is_refused(shared: Database, worker: Worker) -> None:
    row = open_episode(worker)
    events = add(worker.connection)
    batch = worker.claim()["batch"]
    sent = result(events, episodes=[episode(0, id=row["id"], version=1, predicted_co2=300.0)])
    person = shared.connect("authenticated")
    with ThreadPoolExecutor(1) as pool:
        with person.transaction():
            one(person, "select id from public.resolve_hotspot(%s)", row["id"])
            late = pool.submit(worker.commit, batch, sent)
            wait_until_blocked(person, worker.connection)
        with pytest.raises(Refused) as refusal:
            late.result(timeout=60)
    assert hint_of(refusal) == ("PT409", "episode")
    assert len(queue(worker.connection)) == 1


@pytest.mark.parametrize("shape", ["one short", "one twice", "a foreign one", "in both lists"])
def test_events_that_are_not_those_of_the_batch_are_refused(worker: Worker, shape: str) -> None:
    events = add(worker.connection, 3)
    sent = {
        "one short": result(events[1:]),
        "one twice": result([*events, events[0]]),
        "a foreign one": result([*events[1:], events[0] + 1_000_000]),
        "in both lists": result(events, failed=[failed(events[0])]),
    }[shape]
    batch = worker.claim()["batch"]
    before = outcome(worker.connection)
    with pytest.raises(Refused) as refusal:
        worker.commit(batch, sent)
    assert hint_of(refusal) == ("PT409", "events")
    assert outcome(worker.connection) == before


def test_a_prediction_is_made_once_per_model(worker: Worker) -> None:
    (event,) = add(worker.connection)
    sent = result([event], predictions=[prediction(event, 100.0)])
    worker.commit(worker.claim()["batch"], sent)
    worker.connection.execute("insert into public.event_queue (event_id) values (%s)", (event,))
    again = [prediction(event, 110.0), prediction(event, 90.0, model_version="factors-2")]
    worker.commit(worker.claim()["batch"], result([event], predictions=again))
    found = worker.connection.execute(
        "select model_version, predicted_co2 from public.predictions order by 1"
    ).fetchall()
    assert [tuple(row.values()) for row in found] == [("factors-1", 110.0), ("factors-2", 90.0)]


def test_of_two_commits_at_once_both_get_the_same_answer(shared: Database, worker: Worker) -> None:
    events = add(worker.connection, 2)
    batch = worker.claim()["batch"]
    twin = Worker(shared.connect("service_role"), worker.holder, worker.token)
    sent = result(events, episodes=[episode(0)])
    with ThreadPoolExecutor(1) as pool:
        with worker.connection.transaction():
            counts = worker.commit(batch, sent)
            late = pool.submit(twin.commit, batch, sent)
            wait_until_blocked(worker.connection, twin.connection)
        assert late.result(timeout=60) == counts
    assert one(worker.connection, "select count(*) from public.hotspots") == 1


def test_a_takeover_waits_for_a_commit_under_way(shared: Database, worker: Worker) -> None:
    events = add(worker.connection, 2)
    batch = worker.claim(lease_seconds=0)["batch"]
    rival = Worker(shared.connect("service_role"), str(uuid4()))
    with ThreadPoolExecutor(1) as pool:
        with worker.connection.transaction():
            worker.commit(batch, result(events))
            late = pool.submit(rival.start)
            wait_until_blocked(worker.connection, rival.connection)
        assert late.result(timeout=60)["status"] == "started"
    assert rival.claim()["batch"] is None


def test_a_commit_that_waits_for_a_takeover_is_refused(shared: Database, worker: Worker) -> None:
    events = add(worker.connection, 2)
    batch = worker.claim(lease_seconds=0)["batch"]
    rival = Worker(shared.connect("service_role"), str(uuid4()))
    with ThreadPoolExecutor(1) as pool:
        with rival.connection.transaction():
            rival.start()
            late = pool.submit(worker.commit, batch, result(events))
            wait_until_blocked(rival.connection, worker.connection)
        with pytest.raises(Refused) as refusal:
            late.result(timeout=60)
    assert hint_of(refusal) == ("PT409", "lease")
    assert len(rival.claim()["events"]) == 2
