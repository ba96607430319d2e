from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import expected
from worker.events import Event, UnusableEvent
from worker.judge import Failure, State, judge, read_events
from worker.kilograms.energy import Basis
from worker.kilograms.factors import load
from worker.predictions import FactorPredictor, Outcome, predict
from worker.severity import Thresholds
from worker.suppliers import Suppliers

BASIS = Basis(load())


def outcomes_of(events: Sequence[Event]) -> list[Outcome]:
    suppliers = Suppliers([], BASIS.factors.truck_classes)
    return [predict(event, suppliers, BASIS) for event in events]


class Tables:
    """What commit_batch does, in memory: enough to judge batch after batch."""

    def __init__(self) -> None:
        self.baselines: dict[tuple[str, str], dict[str, Any]] = {}
        self.hotspots: list[dict[str, Any]] = []
        self.alerts: list[dict[str, Any]] = []
        self.recommendations: list[dict[str, Any]] = []
        self.updates_in_a_batch: list[int] = []

    def state(self) -> State:
        active = [row for row in self.hotspots if row["status"] == "active"]
        answer = {"baselines": list(self.baselines.values()), "episodes": active}
        return State.from_answer(json.loads(json.dumps(answer)))

    def commit(self, result: dict[str, Any]) -> None:
        for row in result["baselines"]:
            self.baselines[row["entity"], row["event_type"]] = row
        ids: dict[int, int] = {}
        changed: list[int] = []
        for row in result["episodes"]:
            if row["id"] is None:
                stored = row | {"id": len(self.hotspots) + 1, "version": 1}
                self.hotspots.append(stored)
            else:
                stored = self.hotspots[row["id"] - 1]
                assert row["version"] == stored["version"]
                assert stored["status"] == "active"
                stored.update(row | {"version": row["version"] + 1})
                changed.append(row["id"])
            ids[row["ref"]] = stored["id"]
        assert len(changed) == len(set(changed))
        open_keys = [self._key(row) for row in self.hotspots if row["status"] == "active"]
        assert len(open_keys) == len(set(open_keys))
        for name in ("alerts", "recommendations"):
            getattr(self, name).extend(
                {**row, "hotspot_id": ids[row["ref"]], "ref": None} for row in result[name]
            )

    @staticmethod
    def _key(row: dict[str, Any]) -> tuple[str, str]:
        return row["entity"], row["event_type"]

    def contents(self) -> dict[str, Any]:
        hidden = {"version", "ref"}
        return {
            "baselines": self.baselines,
            "hotspots": [
                {name: value for name, value in row.items() if name not in hidden}
                for row in self.hotspots
            ],
            "alerts": self.alerts,
            "recommendations": self.recommendations,
        }


def row(number: int, supplier: str, percent: float) -> dict[str, Any]:
    """A trip that emits so many percent of a quiet one."""
    return {
        "id": number,
        "supplier_id": supplier,
        "event_type": "logistics",
        "distance_km": percent,
        "load_kg": 500.0,
        "vehicle_type": "truck",
        "fuel_type": "diesel",
        "speed": 60.0,
    }


def judged(rows: Sequence[dict[str, Any]], state: State) -> dict[str, Any]:
    events, set_aside = read_events(rows)
    return judge(events, outcomes_of(events), set_aside, state, Thresholds())


def scanned(rows: Sequence[dict[str, Any]], sizes: Sequence[int]) -> Tables:
    tables, rest = Tables(), list(rows)
    for size in itertools.chain(sizes, itertools.repeat(500)):
        if not rest:
            return tables
        batch, rest = rest[:size], rest[size:]
        tables.commit(judged(batch, tables.state()))
    raise AssertionError("unreachable")


def series(*percents: float) -> list[dict[str, Any]]:
    return [row(number, "A", percent) for number, percent in enumerate(percents, start=1)]


QUIET = (100.0,) * 5

histories = st.lists(
    st.tuples(
        st.sampled_from(["A", "B"]), st.sampled_from([80, 100, 105, 110, 125, 130, 149, 150, 300])
    ),
    max_size=60,
).map(lambda pairs: [row(n, supplier, percent) for n, (supplier, percent) in enumerate(pairs, 1)])


@given(histories, st.lists(st.integers(1, 9), max_size=20))
def test_division_into_batches_does_not_matter(
    rows: list[dict[str, Any]], sizes: list[int]
) -> None:
    """And: one open episode per key, each updated once per batch; see Tables.commit."""
    assert scanned(rows, sizes).contents() == scanned(rows, []).contents()


@given(histories, st.lists(st.integers(1, 9), max_size=20))
def test_it_finds_what_the_plain_reading_of_the_rules_finds(
    rows: list[dict[str, Any]], sizes: list[int]
) -> None:
    tables = scanned(rows, sizes)
    plain = expected.episodes(rows)
    assert len(tables.hotspots) == len(plain)
    for number, (stored, episode) in enumerate(zip(tables.hotspots, plain, strict=True), 1):
        for name in ("entity", "event_type", "status", "severity"):
            assert stored[name] == episode[name]
        for name in ("predicted_co2", "baseline_co2", "percent_above"):
            assert stored[name] == pytest.approx(episode[name], abs=0.01)
        alerts = [(a["kind"], a["level"]) for a in tables.alerts if a["hotspot_id"] == number]
        assert alerts == episode["alerts"]
    for key, samples in expected.samples_of(rows).items():
        assert tables.baselines[key]["samples"] == pytest.approx(samples, abs=0.0006)


def test_nothing_is_judged_before_there_are_five_samples() -> None:
    result = judged(series(100, 300, 100, 900, 100), State())
    assert result["episodes"] == []
    assert result["baselines"][0]["sample_size"] == 5
    assert result["baselines"][0]["state"] == "ready"


@pytest.mark.parametrize(
    ("percent", "severity"),
    [
        (105, None),
        (109.9, None),
        (110, "info"),
        (130, "warn"),
        (150, "critical"),
        (300, "critical"),
    ],
)
def test_the_sixth_event_is_judged(percent: float, severity: str | None) -> None:
    result = judged(series(*QUIET, percent), State())
    assert [episode["severity"] for episode in result["episodes"]] == ([severity] * bool(severity))
    assert [p["hotspot"] for p in result["predictions"]] == [False] * 5 + [severity is not None]


def test_an_episode_opens_with_an_alert_and_advice_for_its_first_event() -> None:
    result = judged(series(*QUIET, 200), State())
    (episode,) = result["episodes"]
    assert (episode["ref"], episode["id"], episode["event_id"]) == (0, None, 6)
    assert episode["percent_above"] == pytest.approx(100)
    (alert,) = result["alerts"]
    assert alert == {
        "ref": 0,
        "kind": "opened",
        "level": "critical",
        "message": "A exceeded its logistics baseline by 100.0%",
    }
    assert len(result["recommendations"]) == 2
    assert {proposal["ref"] for proposal in result["recommendations"]} == {0}


def test_several_episodes_of_a_key_pass_within_one_batch() -> None:
    result = judged(series(*QUIET, 200, 100, 100, 100, 140, 160, 120), State())
    assert [(e["status"], e["severity"]) for e in result["episodes"]] == [
        ("resolved", "critical"),
        ("active", "critical"),
    ]
    assert [(a["ref"], a["kind"], a["level"]) for a in result["alerts"]] == [
        (0, "opened", "critical"),
        (0, "resolved", "info"),
        (1, "opened", "warn"),
        (1, "escalated", "critical"),
    ]


def test_a_stored_episode_is_named_with_its_version_when_it_changes() -> None:
    tables = scanned(series(*QUIET, 120), [])
    worse = judged([row(7, "A", 140), row(8, "A", 135)], tables.state())
    assert [(e["id"], e["version"], e["event_id"]) for e in worse["episodes"]] == [(1, 1, 7)]
    assert [alert["kind"] for alert in worse["alerts"]] == ["escalated"]
    same = judged([row(7, "A", 115)], tables.state())
    assert same["episodes"] == []


def test_a_recovery_and_a_relapse_in_one_batch_end_one_episode_and_open_another() -> None:
    tables = scanned(series(*QUIET, 120), [])
    result = judged([row(n, "A", p) for n, p in enumerate((100, 100, 100, 170), 7)], tables.state())
    assert [(e["id"], e["status"]) for e in result["episodes"]] == [
        (1, "resolved"),
        (None, "active"),
    ]


def test_an_event_type_has_a_baseline_of_its_own() -> None:
    factory = {
        "id": 6,
        "supplier_id": "A",
        "event_type": "factory",
        "energy_kwh": 9000.0,
        "shift_hours": 8.0,
    }
    result = judged([*series(*QUIET), factory], State())
    assert result["episodes"] == []
    assert {b["event_type"] for b in result["baselines"]} == {"logistics", "factory"}


def test_events_that_cannot_be_used_are_set_aside_and_the_others_go_on() -> None:
    bad = [row(7, "A", 100) | {"distance_km": -1}, row(8, "A", 100) | {"vehicle_type": "ufo"}]
    events, failures = read_events([*series(*QUIET), *bad])
    outcomes = outcomes_of(events[:-1])
    outcomes.append(UnusableEvent("no idea"))
    result = judge(events, outcomes, failures, State(), Thresholds())
    assert result["events"] == [1, 2, 3, 4]
    assert [(f["event_id"], f["dead"]) for f in result["failed"]] == [
        (7, True),
        (5, True),
    ]
    assert result["failed"][1]["error"] == "no idea"
    assert [(q["event_id"], q["kind"], q["raw_value"]) for q in result["quarantined"]] == [
        (8, "factor", "ufo")
    ]


def test_a_predictor_that_answers_too_little_is_an_error() -> None:
    event = Event(id=1, event_type="logistics", supplier_id="A", distance_km=1)
    with pytest.raises(ValueError, match="shorter"):
        judge([event], [], [Failure(2, "x", dead=False)], State(), Thresholds())


def test_the_result_is_plain_json() -> None:
    result = judged(series(*QUIET, 200, 100, 100, 100), State())
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@given(
    st.lists(st.floats(0, allow_nan=False, allow_infinity=False), min_size=6, max_size=12),
    st.floats(0, allow_nan=False, allow_infinity=False),
)
def test_no_quantity_however_absurd_leads_to_a_number_that_json_lacks(
    distances: list[float], load: float
) -> None:
    rows = [row(n, "A", distance) | {"load_kg": load} for n, distance in enumerate(distances, 1)]
    events, failures = read_events(rows)
    suppliers = Suppliers([], BASIS.factors.truck_classes)
    outcomes = asyncio.run(FactorPredictor(BASIS).predict(events, suppliers))
    result = judge(events, outcomes, failures, State(), Thresholds())
    json.dumps(result, allow_nan=False)
    assert len(result["events"]) + len(result["quarantined"]) == len(rows)
