"""What is implausible stays out, with its reason, and comes back when mended or released."""

from __future__ import annotations

from typing import Any

import pytest

from tests.supabase.calls import Refused, Worker, add, call, hint_of, queue
from tests.supabase.results import prediction, quarantined, result, supplier
from tests.supabase.servers import Database, one

HELD = "select event_id, state, kind, reason, column_name, raw_value, entity from public.quarantine"


def held(worker: Worker) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in worker.connection.execute(HELD)]


def put_aside(worker: Worker) -> int:
    """The id of an event that the worker quarantined."""
    (event,) = add(worker.connection)
    counts = worker.commit(worker.claim()["batch"], result([], quarantined=[quarantined(event)]))
    assert (counts["events"], counts["quarantined"], counts["failed"]) == (0, 1, 0)
    return event


def decide(worker: Worker, events: list[int], verdict: str) -> int:
    query = "select public.decide_quarantine(%s, %s) as it"
    number: int = call(worker.connection, query, events, verdict)["it"]
    return number


def test_a_quarantined_event_is_completed_and_kept_with_reason_and_value(worker: Worker) -> None:
    event = put_aside(worker)
    reason = "distance_km 6000 is beyond 5000"
    assert held(worker) == [(event, "held", "range", reason, "distance_km", "6000", "Foundry")]
    assert queue(worker.connection) == []
    assert worker.claim()["batch"] is None


def test_a_released_event_comes_back_saying_so(worker: Worker) -> None:
    event = put_aside(worker)
    assert decide(worker, [event], "released") == 1
    claimed = worker.claim()
    assert [(each["id"], each["released"]) for each in claimed["events"]] == [(event, True)]
    worker.commit(claimed["batch"], result([event], predictions=[prediction(event)]))
    assert decide(worker, [event], "released") == 0
    assert queue(worker.connection) == []


def test_an_event_without_a_possible_time_is_not_released(worker: Worker) -> None:
    (event,) = add(worker.connection)
    batch = worker.claim()["batch"]
    worker.commit(batch, result([], quarantined=[quarantined(event, kind="time")]))
    assert decide(worker, [event], "released") == 0
    assert decide(worker, [event], "dropped") == 1


def test_a_dropped_event_stays_out_for_good(worker: Worker) -> None:
    event = put_aside(worker)
    assert decide(worker, [event], "dropped") == 1
    worker.connection.execute("update public.events_normalized set load_kg = 1")
    assert [row[:2] for row in held(worker)] == [(event, "dropped")]
    assert queue(worker.connection) == []
    assert decide(worker, [event], "released") == 0


def test_an_event_is_worked_off_again_once_it_is_mended(worker: Worker) -> None:
    event, other = put_aside(worker), put_aside(worker)
    worker.connection.execute("delete from public.scans")
    worker.connection.execute(
        "update public.events_normalized set distance_km = 60 where id = %s", (event,)
    )
    assert [row[0] for row in held(worker)] == [other]
    (again,) = worker.claim()["events"]
    assert (again["id"], again["distance_km"], "released" in again) == (event, 60, False)
    assert one(worker.connection, "select count(*) from public.scans where status = 'queued'") == 1


def test_an_unknown_verdict_is_refused(worker: Worker) -> None:
    with pytest.raises(Refused, match="released or dropped"):
        decide(worker, [put_aside(worker)], "eaten")


def test_a_commit_that_forgets_an_event_is_refused(worker: Worker) -> None:
    events = add(worker.connection, 2)
    batch = worker.claim()["batch"]
    with pytest.raises(Refused) as refusal:
        worker.commit(batch, result([], quarantined=[quarantined(events[0])]))
    assert hint_of(refusal) == ("PT409", "events")
    assert held(worker) == []


def test_an_event_with_too_much_text_is_set_aside_before_it_is_read(
    worker: Worker, shared: Database
) -> None:
    """Rows of before the columns were bounded, first in the queue."""
    owner = shared.connect()
    owner.execute("alter table public.events_normalized drop constraint route_id_length")
    owner.execute(
        "insert into public.events_normalized (event_type, supplier_id, timestamp, route_id)"
        " select 'factory', 'Foundry', now(), repeat('r', 30000000) from generate_series(1, 3)"
    )
    owner.execute(
        "alter table public.events_normalized"
        " add constraint route_id_length check (length(route_id) <= 200) not valid"
    )
    (good,) = add(worker.connection)
    claimed = worker.claim(size=2)
    assert [event["id"] for event in claimed["events"]] == [good]
    assert claimed["quarantined"] == 3
    reasons = {row[3] for row in held(worker)}
    assert reasons == {"the event has 30000007 bytes of text where at most 65536 are read"}
    assert len(held(worker)) == 3
    assert decide(worker, [row[0] for row in held(worker)], "released") == 0


def test_a_suppliers_class_is_kept_once_it_is_known(worker: Worker) -> None:
    def commit(**changes: Any) -> dict[str, Any]:
        events = add(worker.connection)
        claimed = worker.claim()
        worker.commit(claimed["batch"], result(events, suppliers=[supplier(**changes)]))
        rows = worker.connection.execute("select * from public.suppliers").fetchall()
        assert len(rows) == 1
        return rows[0]

    assert commit()["vehicle_class"] is None
    learned = commit(vehicle_class="rigid_17", vehicle_class_origin="loads", loads=12)
    assert (learned["vehicle_class"], learned["loads"]) == ("rigid_17", 12)
    kept = commit(vehicle_class="artic_33", vehicle_class_origin="loads", loads=12)
    assert (kept["vehicle_class"], kept["vehicle_class_origin"]) == ("rigid_17", "loads")
    add(worker.connection)
    (known,) = worker.claim()["suppliers"]
    assert known["vehicle_class"] == "rigid_17"


def test_predictions_of_another_factor_set_stand_beside_the_old_ones(worker: Worker) -> None:
    (event,) = add(worker.connection)
    both = [prediction(event, 100, factor_set="a"), prediction(event, 90, factor_set="b")]
    worker.commit(worker.claim()["batch"], result([event], predictions=both))
    found = worker.connection.execute(
        "select factor_set, predicted_co2 from public.predictions where event_id = %s"
        " order by factor_set",
        (event,),
    ).fetchall()
    assert [tuple(row.values()) for row in found] == [("a", 100), ("b", 90)]


def learned_of(worker: Worker, suppliers: list[str], most: int) -> dict[str, Any]:
    query = "select public.learned_of(%s, %s) as it"
    answer: dict[str, Any] = call(worker.connection, query, suppliers, most)["it"]
    return answer


def test_what_is_learned_and_what_waits_is_told_of_the_suppliers_that_are_asked_for(
    worker: Worker,
) -> None:
    """Without what is in quarantine, and of the detectors those that judge."""
    put_aside(worker)
    waiting = add(worker.connection, 3)
    add(worker.connection, supplier="Other")
    columns = (
        "(entity, entity_type, event_type, series, method, basis, country, learned, spread, state)"
    )
    worker.connection.execute(
        f"insert into public.detectors {columns} values"  # noqa: S608 - a constant
        " (%s, 'supplier', 'factory', 'event', 'primary', 'output:t', 'DEU', 7, 0.1, '{}'),"
        " (%s, 'supplier', 'factory', 'period', 'primary', 'output:t', 'DEU', 2, 0.1, '{}'),"
        " (%s, 'supplier', 'factory', 'period', 'primary', 'none', 'DEU', 3, 0.1,"
        """ '{"days": {"20457": [], "20458": []}, "closed": 20456}'),"""
        " ('Other', 'supplier', 'factory', 'event', 'primary', 'output:t', 'DEU', 9, 0.1, '{}')",
        ("Foundry", "Foundry", "Foundry"),
    )
    answer = learned_of(worker, ["Foundry"], 2)
    assert answer["waiting"] == 3
    assert [row["id"] for row in answer["pending"]] == waiting[:2]
    assert answer["pending"][0]["supplier_id"] == "Foundry"
    found = sorted(answer["detectors"], key=lambda row: str(row["series"]))
    assert [(row["series"], row["learned"]) for row in found] == [("event", 7), ("period", 3)]
    assert (sorted(found[1]["days"]), found[1]["closed"]) == ([20457, 20458], 20456)
    assert learned_of(worker, [], 2) == {"detectors": [], "pending": [], "waiting": 0}
