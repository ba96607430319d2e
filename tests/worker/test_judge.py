from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import re
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.test_advice import RULES as ADVICE
from worker.advice import Advisor
from worker.detection.observation import DAY, Rule, Rules, Standing
from worker.detection.reason import counted
from worker.events import Event, Key, UnusableEvent
from worker.findings import Findings
from worker.held import HeldKeys
from worker.judge import Failure, judge, read_events
from worker.kilograms.energy import Basis
from worker.kilograms.factors import load
from worker.predictions import COLUMNS, FactorPredictor, Outcome, predict
from worker.readings import Reader
from worker.severity import Severity, Thresholds
from worker.suppliers import Suppliers
from worker.watched import WatchedKey


def next_years_basis() -> Basis:
    """Another set of factors: small lorries and the British grid are a fifth cleaner."""
    vehicles = (
        "vehicle,fuel,class,temperature,region,factor_set,payload_t_full,"
        "ttw_empty,ttw_half,ttw_full,ttw_average,wtt_empty,wtt_half,wtt_full,wtt_average\n"
        "truck,diesel,rigid_7_5,ambient,GBR,next-2027,2.182,.37,.40,.43,.40,.09,.10,.10,.10\n"
    )
    grid = (
        "iso3,year,basis,g_generation,g_total,source,source_id\n"
        "GBR,2027,direct,131,196,next-2027,a\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        own = [Path(folder) / "vehicles-next.csv", Path(folder) / "grid-next.csv"]
        for path, text in zip(own, (vehicles, grid), strict=True):
            path.write_text(text)
        return Basis(load(own))


BASIS, NEXT_BASIS = Basis(load()), next_years_basis()
READER = Reader(BASIS.factors)
RULES = Rules()
ADVISOR = Advisor(tuple(ADVICE), BASIS)
NOTHING: dict[str, Any] = {
    "clock": None, "keys": [], "detectors": [], "inputs": [], "episodes": [], "suppliers": [],
}  # fmt: skip
BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
NEXT_YEAR = BEGIN + timedelta(days=25)
KEY = ("entity", "entity_type", "event_type")


def outcomes_of(events: Sequence[Event]) -> list[Outcome]:
    """By the factors of the year in which the event was."""
    suppliers = Suppliers([], BASIS.factors.truck_classes)
    return [
        predict(event, suppliers, BASIS if event.occurred_at < NEXT_YEAR else NEXT_BASIS)
        for event in events
        if event.occurred_at is not None
    ]


class Tables:
    """What commit_batch does, in memory: enough to judge batch after batch."""

    def __init__(self) -> None:
        self.keys: dict[tuple[str, ...], dict[str, Any]] = {}
        self.detectors: dict[tuple[str, ...], dict[str, Any]] = {}
        self.hotspots: list[dict[str, Any]] = []
        self.alerts: list[dict[str, Any]] = []
        self.recommendations: list[dict[str, Any]] = []
        self.notices: list[dict[str, Any]] = []
        self.predictions: list[dict[str, Any]] = []
        self.quarantined: list[dict[str, Any]] = []

    def state(self) -> dict[str, Any]:
        answer = NOTHING | {
            "clock": max((row["newest_at"] for row in self.keys.values()), default=None),
            "keys": list(self.keys.values()),
            "detectors": list(self.detectors.values()),
            "episodes": [row for row in self.hotspots if row["status"] == "active"],
        }
        restored: dict[str, Any] = json.loads(json.dumps(answer))
        return restored

    def commit(self, result: dict[str, Any]) -> None:
        result = json.loads(json.dumps(result, allow_nan=False))
        for row in result["keys"]:
            self.keys[_key(row)] = row
        for row in result["detectors"]:
            identity = (row["series"], row["method"], row["basis"], row["country"])
            self.detectors[_key(row) + identity] = row
        ids: dict[int, int] = {}
        changed: list[int] = []
        for row in result["episodes"]:
            if row["id"] is None:
                former = [h["id"] for h in self.hotspots if _key(h) == _key(row)]
                stored = row | {
                    "id": len(self.hotspots) + 1,
                    "version": 1,
                    "previous_id": max(former) if row["reopens"] else None,
                }
                self.hotspots.append(stored)
            else:
                stored = self.hotspots[row["id"] - 1]
                assert row["version"] == stored["version"]
                assert stored["status"] == "active"
                stored.update(row | {"version": row["version"] + 1})
                changed.append(row["id"])
            ids[row["ref"]] = stored["id"]
        assert len(changed) == len(set(changed))
        open_keys = [_key(row) for row in self.hotspots if row["status"] == "active"]
        assert len(open_keys) == len(set(open_keys))
        advised = {ids[ref] for ref in result["advised"]}
        self.recommendations = [
            row for row in self.recommendations if row["hotspot_id"] not in advised
        ]
        for name in ("alerts", "recommendations"):
            for row in result[name]:
                getattr(self, name).append({**row, "hotspot_id": ids[row["ref"]], "ref": None})
        self.notices += result["notices"]
        self.predictions += predictions(result)
        self.quarantined += result["quarantined"]

    def savings(self, hotspot: int) -> list[float]:
        return [
            row["co2_reduction"] for row in self.recommendations if row["hotspot_id"] == hotspot
        ]

    def contents(self) -> dict[str, Any]:
        hidden = {"version", "ref"}
        hotspots = [
            {name: value for name, value in row.items() if name not in hidden}
            for row in self.hotspots
        ]
        advice = sorted(self.recommendations, key=lambda row: (row["hotspot_id"], row["rule"]))
        return {**vars(self), "hotspots": hotspots, "recommendations": advice}


def predictions(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that the columns of a result stand for."""
    columns: dict[str, list[Any]] = {
        name: [
            entry if name == "occurred_at" else json.loads(entry.lower())
            for entry in value.strip("{}").split(",")
            if entry
        ]
        for name, value in result["computed"].items()
        if isinstance(value, str)
    }
    made = []
    for place, kind in enumerate(columns.pop("kind", [])):
        own: dict[str, Any] = dict.fromkeys(COLUMNS)
        own |= {name: column[place] for name, column in columns.items()}
        objects = {name: result["computed"][name][place] for name in ("scopes", "inputs")}
        made.append(result["computed"]["kinds"][kind - 1] | own | objects)
    return made


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in KEY)


def trip(number: int, km: float = 100, *, supplier: str = "A", **others: Any) -> dict[str, Any]:
    """One trip a day that was planned to have 100 km."""
    return {
        "id": number,
        "supplier_id": supplier,
        "event_type": "logistics",
        "timestamp": (BEGIN + timedelta(days=number)).isoformat(),
        "distance_km": km,
        "planned_distance_km": 100.0,
        "load_kg": 900.0,
        "vehicle_type": "truck",
        "vehicle_class": "rigid_7_5",
        "fuel_type": "diesel",
        **others,
    }


def trips(*kilometres: float, first: int = 1) -> list[dict[str, Any]]:
    return [trip(number, km) for number, km in enumerate(kilometres, start=first)]


def quiet(count: int = 20) -> list[float]:
    chance = random.Random(1)
    return [round(100 * (1 + chance.gauss(0, 0.02)), 2) for _ in range(count)]


def judged(rows: Sequence[dict[str, Any]], state: dict[str, Any] | None = None) -> dict[str, Any]:
    events, set_aside = read_events(rows)
    findings = Findings(state or NOTHING, RULES, wall=None, advisor=ADVISOR)
    return judge(events, outcomes_of(events), set_aside, findings, READER)


def scanned(
    rows: Sequence[dict[str, Any]], sizes: Sequence[int] = (), *, held: HeldKeys | None = None
) -> Tables:
    """Judge in batches, with keys in memory if there are `held`, else with what is stored alone."""
    tables, rest = Tables(), list(rows)
    for size in itertools.chain(sizes, itertools.repeat(500)):
        if not rest:
            return tables
        batch, rest = rest[:size], rest[size:]
        events, set_aside = read_events(batch)
        state = tables.state()
        known: dict[Key, WatchedKey] | None = None
        if held is not None:
            known = held.take(event.key for event in events)
        if known:
            # A claim leaves out what the lease has written.
            state |= {"keys": [], "detectors": []}
        findings = Findings(state, RULES, None, known, ADVISOR)
        tables.commit(judge(events, outcomes_of(events), set_aside, findings, READER))
        if held is not None:
            held.put(findings.watched())
    raise AssertionError("unreachable")


def history(chance: random.Random, days: int, a_day: int, *, sites: bool) -> list[dict[str, Any]]:
    """Make work of two suppliers, with faults and lateness.

    In the course of it one begins to measure fuel, sites move to another country, lose the record
    of their output, and the factors of the next year come into force: kilograms change their
    method, basis, country and set. With four events a day periods are judged as well.
    """
    rows = []
    for number in range(days * a_day):
        day = number / a_day
        km = 100 * (1 + chance.gauss(0, 0.02)) * chance.choice([1] * 9 + [1.2, 1.5, 3])
        km *= 1.25 if day > 60 else 1
        made = trip(number + 1, km, supplier=chance.choice("AB"))
        when = day - chance.uniform(0, 30) if chance.random() < 0.08 else day
        made["timestamp"] = (BEGIN + timedelta(days=when)).isoformat()
        if sites:
            made |= {"event_type": "factory", "energy_kwh": km, "country": "GBR"}
            if chance.random() < 0.9:
                made |= {"output_quantity": 10.0, "output_unit": "t"}
            if day > 40 and made["supplier_id"] == "A":
                made["country"] = "DEU"
        else:
            made["load_kg"] = chance.choice([900.0, 600.0, 1500.0, None])
            if made["supplier_id"] == "B" and day > 50 and chance.random() < 0.5:
                made["fuel_litres"] = km * 0.2 * (1 + chance.gauss(0, 0.03))
            if chance.random() < 0.03:
                made["distance_km"], made["planned_distance_km"] = 4000.0, 0.5
        rows.append(made)
    return rows


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    chance = random.Random(draw(st.integers(0, 2**32)))
    a_day, sites = draw(st.sampled_from([1, 4])), draw(st.booleans())
    return history(chance, draw(st.integers(20, 120)), a_day, sites=sites)


def test_drawn_work_has_both_series_and_changes_method_basis_country_and_factors() -> None:
    """Else the properties below would say less than they seem to."""
    seen: dict[str, set[Any]] = defaultdict(set)
    for seed, sites in itertools.product(range(4), (False, True)):
        tables = scanned(history(random.Random(seed), 120, 4, sites=sites))
        seen["series"].update(row["series"] for row in tables.hotspots)
        for name in ("method", "activity_basis", "grid_country", "factor_set"):
            seen[name].update(row.get(name) for row in tables.predictions)
    assert seen["series"] == {"event", "period"}
    assert seen["method"] >= {"modelled", "primary"}
    assert seen["activity_basis"] >= {"t_km_planned", "km_planned", "output:t", "none"}
    assert seen["grid_country"] == {None, "GBR", "DEU"}
    assert len(seen["factor_set"]) == 2


@settings(max_examples=40)
@given(histories(), st.lists(st.integers(1, 9), max_size=40))
def test_division_into_batches_does_not_matter(
    rows: list[dict[str, Any]], sizes: list[int]
) -> None:
    """And: one open episode per key, each updated once per batch; see Tables.commit."""
    assert scanned(rows, sizes).contents() == scanned(rows).contents()


@settings(max_examples=40)
@given(histories(), st.lists(st.integers(1, 9), max_size=40), st.integers(1, 2))
def test_keys_that_are_held_in_memory_are_as_those_that_are_read_again(
    rows: list[dict[str, Any]], sizes: list[int], most: int
) -> None:
    """Whether both suppliers fit into the memory or have to be read again in turn."""
    assert scanned(rows, sizes, held=HeldKeys(most)).contents() == scanned(rows).contents()


@settings(max_examples=40)
@given(histories())
def test_severity_and_percent_of_every_episode_agree_and_its_drivers_add_up(
    rows: list[dict[str, Any]],
) -> None:
    tables = scanned(rows, [7] * 40)
    for row in tables.hotspots:
        ratio = row["predicted_co2"] / row["baseline_co2"]
        assert row["percent_above"] == pytest.approx((ratio - 1) * 100)
        found = Thresholds().of_ratio(ratio)
        assert found is not None
        assert found.wire == row["peak_severity"]
        assert Severity.from_wire(row["severity"]) <= found
        assert row["reason"]
        excess = row["predicted_co2"] - row["baseline_co2"]
        assert sum(driver["kg"] for driver in row["drivers"]) == pytest.approx(excess)
        assert sum(tables.savings(row["id"])) <= excess + 1e-6
        assert row["occurred_at"] <= row["last_seen_at"]
    late = {q["event_id"] for q in tables.quarantined}
    assert late.isdisjoint(row["event_id"] for row in tables.hotspots)


def test_nothing_is_judged_before_there_are_twelve_events() -> None:
    result = judged(trips(*quiet(11), 300))
    assert result["episodes"] == []
    assert not any(row["hotspot"] for row in predictions(result))


def test_a_detour_opens_an_episode_that_says_so_with_alert_and_advice() -> None:
    result = judged(trips(*quiet(), 160))
    (episode,) = result["episodes"]
    assert (episode["ref"], episode["id"], episode["event_id"]) == (0, None, 21)
    assert (episode["severity"], episode["series"], episode["rule"]) == (
        "critical",
        "event",
        "spike",
    )
    assert episode["percent_above"] == pytest.approx(60, abs=2)
    assert "more kg per tonne-km than this supplier's usual" in episode["reason"]
    assert "mainly distance +6" in episode["reason"]
    (alert,) = result["alerts"]
    assert (alert["kind"], alert["level"], alert["message"]) == (
        "opened",
        "critical",
        f"A: {episode['reason']}",
    )
    advice = result["recommendations"]
    assert {row["ref"] for row in advice} == {0}
    excess = episode["predicted_co2"] - episode["baseline_co2"]
    assert 0 < sum(row["co2_reduction"] for row in advice) <= excess
    assert [row["hotspot"] for row in predictions(result)] == [False] * 20 + [True]


@pytest.mark.parametrize("cuts", [[22], [21, 1]])
def test_advice_follows_the_event_that_a_hotspot_shows(cuts: list[int]) -> None:
    """A shorter trip with a relatively larger detour takes the place of the first one."""
    rows = [*trips(*quiet(), 160), trip(22, 80, planned_distance_km=30.0)]
    tables = scanned(rows, cuts)
    (hotspot,) = tables.hotspots
    assert hotspot["event_id"] == 22
    excess = hotspot["predicted_co2"] - hotspot["baseline_co2"]
    assert 0 < sum(tables.savings(hotspot["id"])) <= excess
    assert {row["actual"] for row in tables.recommendations} == {80}


def test_a_longer_trip_that_was_planned_so_is_no_hotspot() -> None:
    long = trip(21, 300, planned_distance_km=300.0)
    assert judged([*trips(*quiet()), long])["episodes"] == []


def test_an_episode_escalates_resolves_and_is_opened_again() -> None:
    rows = trips(*quiet(80), 125, *quiet(6), 125, 160, *quiet(8))
    tables = scanned(rows, [5] * 30)
    assert [row["status"] for row in tables.hotspots] == ["resolved", "resolved"]
    assert [row["resolution"] for row in tables.hotspots] == ["recovered"] * 2
    assert [(a["hotspot_id"], a["kind"]) for a in tables.alerts] == [
        (1, "opened"),
        (1, "resolved"),
        (2, "reopened"),
        (2, "escalated"),
        (2, "resolved"),
    ]
    for row in tables.alerts:
        assert row["reason"]
        assert not row["reason"].startswith("A")
    day = BEGIN + timedelta(days=81)
    assert datetime.fromisoformat(tables.alerts[0]["occurred_at"]) == day


def test_the_reason_of_the_worst_trip_says_how_many_stood_out() -> None:
    """The second is the worst; the reason goes on to count those after it, once each."""
    tables, hot = Tables(), [170.0, 190.0, 165.0, 175.0, 168.0]
    for row in trips(*quiet(), *hot, *quiet(6)):
        tables.commit(judged([row], tables.state()))
    (row,) = tables.hotspots
    assert row["event_id"] == 22
    assert row["reason"].endswith("; the worst of 5 that stood out in 5 days")
    assert row["reason"].count("stood out in") == 1


def test_a_count_of_an_earlier_version_is_replaced() -> None:
    standing = Standing(Rule.SHIFT, 0.0, 9, 8, Severity.WARN, 0.5, 900.0, recovering=False)
    said = "49 % more kg per day than this supplier's usual 195"
    assert counted(f"{said}; 2nd such in 4 days", standing, 12 * DAY - 1) == (
        f"{said}; the worst of 8 that stood out in 12 days"
    )
    assert counted(said, standing._replace(times=1), DAY) == said
    run = "12 % more kg; over 9 events; one alone would not stand out (± 3 %), together they do"
    assert counted(run, standing, DAY) == run  # which is no worst of several


def test_after_a_month_an_episode_is_a_new_one() -> None:
    apart = 30  # days of quiet work beside the three that resolve it
    for more, kind in ((0, "reopened"), (5, "opened")):
        rows = trips(*quiet(80), 160, *quiet(apart + more), 160)
        tables = scanned(rows, [50] * 30)
        assert [a["kind"] for a in tables.alerts] == ["opened", "resolved", kind], more


def test_severity_falls_when_the_level_has_fallen_and_that_is_told() -> None:
    chance = random.Random(3)

    def level(ratio: float, count: int) -> list[float]:
        return [round(100 * ratio * (1 + chance.gauss(0, 0.02)), 2) for _ in range(count)]

    tables = scanned(trips(*quiet(40), *level(1.7, 6), *level(1.2, 16)), [9] * 30)
    (episode,) = tables.hotspots
    assert (episode["severity"], episode["peak_severity"]) == ("info", "critical")
    assert episode["percent_above"] > 60
    told = [(a["kind"], a["level"]) for a in tables.alerts]
    assert told[0] == ("opened", "critical")
    assert {kind for kind, _ in told[1:]} == {"deescalated"}
    assert told[-1] == ("deescalated", "info")


def test_calm_waits_for_two_of_three_below_critical() -> None:
    calm = Rules(calm=True)

    def opened(*kilometres: float, rules: Rules = calm) -> list[int]:
        events, set_aside = read_events(trips(*quiet(80), *kilometres))
        findings = Findings(NOTHING, rules, wall=None)
        result = judge(events, outcomes_of(events), set_aside, findings, READER)
        return [row["event_id"] for row in result["episodes"]]

    assert opened(125, rules=Rules()) == [81]
    assert opened(125) == []
    assert opened(125, 100, 100, 125) == []
    assert opened(125, 100, 125) == [83]
    assert opened(135, 125) in ([81], [82])  # the worse of both is shown
    assert opened(170) == [81]


def test_what_was_accepted_does_not_open_with_the_next_event() -> None:
    """A single bad event has no level yet: the next three say what the new normal is."""
    shifted = trips(*quiet(80), 160)
    tables = scanned(shifted)
    (episode,) = tables.hotspots
    episode.update(status="resolved", resolution="new_normal", version=2)
    state = tables.state() | {
        "inputs": [{"id": 1, "kind": "accepted", **{name: episode[name] for name in KEY}}]
    }
    chance = random.Random(5)
    later = [trip(82 + n, round(160 * (1 + chance.gauss(0, 0.02)), 2)) for n in range(40)]
    result = judged(later, state)
    assert result["episodes"] == []
    assert result["heard"] == [1]
    (row,) = (row for row in result["detectors"] if row["series"] == "event")
    assert row["usual"] == pytest.approx(1.6 * tables_usual(tables), rel=0.05)


def test_a_single_event_that_was_accepted_leaves_no_trace_when_it_stays_alone() -> None:
    tables = scanned(trips(*quiet(80), 160))
    (episode,) = tables.hotspots
    before = tables_usual(tables)
    episode.update(status="resolved", resolution="new_normal", version=2)
    state = tables.state() | {
        "inputs": [{"id": 1, "kind": "accepted", **{name: episode[name] for name in KEY}}]
    }
    later = [trip(82 + n, km) for n, km in enumerate(quiet(10))]
    result = judged(later, state)
    assert result["episodes"] == []
    (row,) = (row for row in result["detectors"] if row["series"] == "event")
    assert row["usual"] == pytest.approx(before, rel=0.01)
    assert row["learned"] == 91


def tables_usual(tables: Tables) -> float:
    (row,) = (row for row in tables.detectors.values() if row["series"] == "event")
    return float(row["usual"])


@pytest.mark.parametrize("word", ["ignored", "accepted"])
def test_a_decision_on_single_jobs_holds_for_the_periods_that_show_the_same(word: str) -> None:
    """Five trips a day, so that days are judged as well, some time after the jobs themselves."""
    chance = random.Random(7)

    def days(first: int, count: int, ratio: float) -> list[dict[str, Any]]:
        rows = []
        for day in range(first, first + count):
            for number in range(5):
                km = round(100 * ratio * (1 + chance.gauss(0, 0.02)), 2)
                at = BEGIN + timedelta(days=day, hours=number)
                rows.append(trip(day * 5 + number + 1, km, timestamp=at.isoformat()))
        return rows

    tables = scanned([*days(0, 30, 1.0), *days(30, 1, 1.5)])
    (episode,) = tables.hotspots
    assert episode["series"] == "event"
    episode.update(status="ignored" if word == "ignored" else "resolved", version=2)
    state = tables.state() | {
        "inputs": [{"id": 1, "kind": word, **{name: episode[name] for name in KEY}}]
    }
    assert judged(days(31, 12, 1.5), state)["episodes"] == []


def test_an_episode_of_the_past_is_recorded_without_an_alert() -> None:
    rows = trips(*quiet(), 160, *quiet(10))
    late = judged([*rows, trip(60, 100)])  # the clock is the newest event time, of day 60
    assert [row["announced"] for row in late["episodes"]] == [True]
    findings = Findings(NOTHING, RULES, wall=(BEGIN + timedelta(days=60)).timestamp())
    events, _ = read_events(rows)
    result = judge(events, outcomes_of(events), [], findings, READER)
    assert [row["announced"] for row in result["episodes"]] == [False]
    assert result["alerts"] == []


def test_a_supplier_that_begins_to_measure_fuel_gets_a_detector_of_its_own() -> None:
    measured = [
        trip(number, km, fuel_litres=km * 0.32)  # the model expects about 0.22
        for number, km in enumerate(quiet(20), 21)
    ]
    tables = scanned([*trips(*quiet()), *measured])
    assert tables.hotspots == []
    learned = {
        row["method"]: row["learned"]
        for row in tables.detectors.values()
        if row["series"] == "event"
    }
    assert learned == {"modelled": 20, "primary": 20}


def test_another_unit_is_quarantined_and_never_learned() -> None:
    tables = scanned([*trips(*quiet()), trip(21, 4000, planned_distance_km=0.5)])
    (held,) = tables.quarantined
    assert (held["event_id"], held["kind"]) == (21, "history")
    assert held["reason"].endswith("is it another unit?")
    # 4,000 km instead of 0.5; the raw value has every digit
    assert re.match(r"\d[\d.]{1,3} t CO2e are more than 50 times", held["reason"])
    assert float(held["raw_value"]) > 1000
    assert [row["event_id"] for row in tables.predictions] == list(range(1, 21))
    assert {row["learned"] for row in tables.detectors.values() if row["series"] == "event"} == {20}


def test_a_released_event_of_another_unit_is_not_held_again_but_unlearned() -> None:
    tables = scanned(trips(*quiet()))
    released = trip(21, 4000, planned_distance_km=0.5) | {"released": True}
    result = judged([released], tables.state())
    assert result["quarantined"] == []
    assert [row["event_id"] for row in predictions(result)] == [21]
    assert [row["reason"] for row in result["rebuilds"]] == [
        "an event was released from quarantine"
    ]
    assert result["episodes"] == []


def test_half_empty_trucks_are_found_by_the_days_not_by_the_trips() -> None:
    chance = random.Random(3)
    rows = []
    for number in range(1, 401):
        load = 1500 * (1 + chance.gauss(0, 0.1)) * (0.55 if number > 300 else 1)
        made = trip(number, 100 * (1 + chance.gauss(0, 0.02)), load_kg=load)
        made["timestamp"] = (BEGIN + timedelta(hours=number * 4)).isoformat()
        rows.append(made)
    tables = scanned(rows, [50] * 8)
    (hotspot,) = tables.hotspots
    assert (hotspot["series"], hotspot["status"]) == ("period", "active")
    assert "mainly load -4" in hotspot["reason"]
    assert hotspot["reason"].split(" ")[2] == "2026"
    assert hotspot["percent_above"] > 30


def test_five_events_in_another_unit_are_told_once() -> None:
    wrong = [trip(number, 4000, planned_distance_km=0.5) for number in range(21, 31)]
    tables = scanned([*trips(*quiet()), *wrong], [3] * 10)
    assert [(row["kind"], row["event_id"]) for row in tables.notices] == [("quality", 25)]
    assert len(tables.quarantined) == 10


def test_events_that_cannot_be_used_are_set_aside_and_the_others_go_on() -> None:
    bad = [trip(7) | {"distance_km": -1}, trip(8) | {"vehicle_type": "ufo"}]
    events, failures = read_events([*trips(*quiet(5)), *bad])
    outcomes = outcomes_of(events[:-1])
    outcomes.append(UnusableEvent("no idea"))
    result = judge(events, outcomes, failures, Findings(NOTHING, RULES, None), READER)
    assert result["events"] == [1, 2, 3, 4]
    assert [(f["event_id"], f["dead"]) for f in result["failed"]] == [(7, True), (5, True)]
    assert result["failed"][1]["error"] == "no idea"
    assert [(q["event_id"], q["kind"], q["raw_value"]) for q in result["quarantined"]] == [
        (8, "factor", "ufo")
    ]


def test_a_predictor_that_answers_too_little_is_an_error() -> None:
    event = Event(id=1, event_type="logistics", supplier_id="A", distance_km=1)
    findings = Findings(NOTHING, RULES, None)
    with pytest.raises(ValueError, match="shorter"):
        judge([event], [], [Failure(2, "x", dead=False)], findings, READER)


@settings(max_examples=40)
@given(
    st.lists(st.floats(0, allow_nan=False, allow_infinity=False), min_size=6, max_size=30),
    st.floats(0, allow_nan=False, allow_infinity=False),
)
def test_no_quantity_however_absurd_leads_to_a_number_that_json_lacks(
    distances: list[float], weight: float
) -> None:
    rows = [trip(n, km, load_kg=weight) for n, km in enumerate(distances, 1)]
    events, failures = read_events(rows)
    suppliers = Suppliers([], BASIS.factors.truck_classes)
    outcomes = asyncio.run(FactorPredictor(BASIS).predict(events, suppliers))
    result = judge(events, outcomes, failures, Findings(NOTHING, RULES, None), READER)
    json.dumps(result, allow_nan=False)
    assert len(result["events"]) + len(result["quarantined"]) == len(rows)


def test_a_detour_is_not_told_again_by_the_period_that_it_is_in() -> None:
    rows = [trip(number, km) for number, km in enumerate(quiet(300), 1)]
    for row in rows[200:206]:
        row["distance_km"] = 180.0
    for row in rows:
        day = BEGIN + timedelta(hours=4 * row["id"])
        row["timestamp"] = day.isoformat()
    tables = scanned(rows, [7] * 50)
    assert [(row["series"], row["status"]) for row in tables.hotspots] == [("event", "resolved")]


def test_a_meter_alone_is_judged_by_the_day_and_says_what_it_does_not_know() -> None:
    chance = random.Random(2)
    rows = [
        {
            "id": number,
            "supplier_id": "A",
            "event_type": "factory",
            "timestamp": (BEGIN + timedelta(hours=6 * number)).isoformat(),
            "energy_kwh": 1000 * (1 + chance.gauss(0, 0.05)) * (1.8 if number > 240 else 1),
            "country": "GBR",
        }
        for number in range(1, 281)
    ]
    tables = scanned(rows, [11] * 40)
    assert {(row["series"], row["basis"]) for row in tables.detectors.values()} == {
        ("period", "none")
    }
    (hotspot,) = tables.hotspots
    assert "more kg per day" in hotspot["reason"]
    assert "production is not known: more of it would look the same" in hotspot["reason"]
    assert hotspot["severity"] == "critical"


@pytest.mark.parametrize("lower", range(6, 14))
def test_one_event_after_a_pause_lowers_a_hotspot_and_ends_it(lower: int) -> None:
    """Days close when later events come: the first after a pause may close several at once.

    So the day on which the severity falls and the one on which all is over may come together.
    """
    chance = random.Random(4)
    days = [1.0] * 40 + [2.0] * 6 + [1.35] * lower + [1.0] * 6
    kwh = [round(1000 * times * (1 + chance.gauss(0, 0.01)), 1) for times in days]

    def told(pause: int) -> list[tuple[str, str]]:
        quiet_from = len(days) - 3  # the pause is before the last three days
        tables = scanned(
            [
                {
                    "id": number,
                    "supplier_id": "A",
                    "event_type": "factory",
                    "timestamp": (
                        BEGIN + timedelta(days=number + pause * (number > quiet_from))
                    ).isoformat(),
                    "energy_kwh": amount,
                    "country": "GBR",
                }
                for number, amount in enumerate(kwh, start=1)
            ]
        )
        assert [row["resolution"] for row in tables.hotspots] == ["recovered"]
        return [(alert["kind"], alert["level"]) for alert in tables.alerts]

    assert told(pause=4) == told(pause=0)


def site_year(
    kind: str, *, more_per_degree: float, waste: tuple[int, int, float] = (0, 0, 1)
) -> list[dict[str, Any]]:
    """Daily meter, work done and outdoor temperature of a site from late summer on.

    Energy rises by a share for each degree: of a cold store above 10, of others below 18 degrees.
    `waste` is first and last day and the factor.
    """
    chance = random.Random(7)
    work = {
        "factory": {"event_type": "factory", "output_unit": "t"},
        "warehouse": {"event_type": "warehouse"},
        "cold store": {"event_type": "warehouse", "temperature_control": "refrigerated"},
    }[kind]
    amount = "output_quantity" if kind == "factory" else "pallets"
    rows = []
    for number in range(360):
        celsius = 11 - 10 * math.cos(2 * math.pi * (number - 150) / 365) + chance.gauss(0, 2)
        degrees = max(0, celsius - 10) if kind == "cold store" else max(0, 18 - celsius)
        done = 500 * math.exp(chance.gauss(0, 0.05))
        kwh = 10 * done * (1 + more_per_degree * degrees) * math.exp(chance.gauss(0, 0.03))
        first, last, factor = waste
        rows.append(
            {
                "id": number + 1,
                "supplier_id": "A",
                "timestamp": (BEGIN + timedelta(days=number)).isoformat(),
                "energy_kwh": round(kwh * (factor if first <= number <= last else 1), 1),
                amount: round(done),
                "temperature": round(celsius, 1),
                "country": "GBR",
                **work,
            }
        )
    return rows


@pytest.mark.parametrize(
    ("kind", "more_per_degree"), [("factory", 0.06), ("warehouse", 0.06), ("cold store", 0.02)]
)
def test_weather_that_is_known_makes_no_hotspot_and_hides_none(
    kind: str, more_per_degree: float
) -> None:
    assert scanned(site_year(kind, more_per_degree=more_per_degree)).hotspots == []
    (found,) = scanned(
        site_year(kind, more_per_degree=more_per_degree, waste=(250, 280, 1.3))
    ).hotspots
    assert found["occurred_at"][:10] == str((BEGIN + timedelta(days=250)).date())
    assert found["percent_above"] == pytest.approx(30, abs=15)  # the worst day


def test_a_base_load_makes_no_hotspot_of_a_short_shift_and_hides_no_waste() -> None:
    """On Saturdays a third of the work is done; half of the kWh of a weekday needs none."""
    chance = random.Random(5)

    def plant(waste: float) -> list[dict[str, Any]]:
        rows = []
        for number in range(1, 301):
            day = BEGIN + timedelta(days=number)
            done = {5: 100.0, 6: 0.0}.get(day.weekday(), 300.0) * math.exp(chance.gauss(0, 0.2))
            kwh = (600 + 2 * done) * math.exp(chance.gauss(0, 0.03))
            if done:
                rows.append(
                    {
                        "id": number,
                        "supplier_id": "A",
                        "event_type": "factory",
                        "timestamp": day.isoformat(),
                        "energy_kwh": kwh * (waste if 200 <= number < 220 else 1),
                        "output_quantity": done,
                        "output_unit": "t",
                        "country": "GBR",
                    }
                )
        return rows

    assert scanned(plant(waste=1)).hotspots == []
    (found,) = scanned(plant(waste=1.25)).hotspots
    assert found["occurred_at"][:10] <= str((BEGIN + timedelta(days=203)).date())


def readings(day: datetime, times: Sequence[float], kwh: float) -> list[dict[str, Any]]:
    """Readings of a meter without any output at so many hours of a day."""
    return [
        {
            "supplier_id": "A",
            "event_type": "factory",
            "timestamp": (day + timedelta(hours=hour)).isoformat(),
            "energy_kwh": kwh,
            "country": "GBR",
        }
        for hour in times
    ]


def numbered(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": number, **row} for number, row in enumerate(rows, start=1)]


@pytest.mark.parametrize("waste", [1.0, 1.6])
def test_one_more_idle_shift_is_no_waste(waste: float) -> None:
    """A plant stands still for two shifts on Saturdays, three on Sundays, and for two weeks."""
    chance = random.Random(6)
    rows: list[dict[str, Any]] = []
    midnight = BEGIN.replace(hour=0)
    for number in range(300):
        day = midnight + timedelta(days=number)
        still = {5: (8, 16), 6: (0, 8, 16)}.get(day.weekday(), ())
        still = (0, 8, 16) if 200 <= number < 214 else still
        more = waste if 220 <= number < 250 else 1
        for hour in (0, 8, 16):
            kwh = 400 * more * math.exp(chance.gauss(0, 0.05))
            (row,) = readings(day, [hour], kwh)
            if hour not in still:
                done = 10 * math.exp(chance.gauss(0, 0.1))
                row |= {"energy_kwh": kwh * done, "output_quantity": done, "output_unit": "t"}
            rows.append(row)
    found = scanned(numbered(rows)).hotspots
    if waste == 1:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0]["occurred_at"] >= str(midnight.date() + timedelta(days=220))


def test_a_meter_that_begins_to_report_by_the_hour_is_no_news() -> None:
    chance = random.Random(7)
    rows: list[dict[str, Any]] = []
    for number in range(200):
        day = BEGIN.replace(hour=0) + timedelta(days=number)
        kwh = 2400 * math.exp(chance.gauss(0, 0.05))
        hours: Sequence[float] = [12]
        if 80 <= number < 140:
            hours = range(24 - number % 3)  # some hours are missing
        rows += readings(day, hours, kwh / (24 if len(hours) > 1 else 1))
    tables = scanned(numbered(rows))
    assert tables.hotspots == []
    assert tables.notices == []


@pytest.mark.parametrize(("before", "after"), [(96, 24), (48, 24), (24, 48), (24, 96)])
def test_a_meter_that_reports_more_or_less_often_is_no_news(before: int, after: int) -> None:
    chance = random.Random(9)
    rows: list[dict[str, Any]] = []
    for number in range(150):
        day = BEGIN.replace(hour=0) + timedelta(days=number)
        often = before if number < 60 else after
        kwh = 2400 * math.exp(chance.gauss(0, 0.05))
        rows += readings(day, [24 * place / often for place in range(often)], kwh / often)
    tables = scanned(numbered(rows))
    assert tables.hotspots == []
    assert tables.notices == []


def test_a_meter_that_was_out_over_a_night_is_no_news() -> None:
    """Five of 24 readings on the first day, twelve on the next one."""
    chance = random.Random(10)
    rows: list[dict[str, Any]] = []
    for number in range(120):
        day = BEGIN.replace(hour=0) + timedelta(days=number)
        hours = {60: range(5), 61: range(12, 24)}.get(number, range(24))
        rows += readings(day, hours, 100 * math.exp(chance.gauss(0, 0.05)))
    tables = scanned(numbered(rows))
    assert tables.hotspots == []
    assert tables.notices == []


def test_a_way_back_without_a_load_is_seen_by_the_days_and_not_by_the_trip() -> None:
    """Every third one comes back empty, from the 120th day on all of them."""
    chance = random.Random(8)

    def fleet(rising: bool) -> list[dict[str, Any]]:
        rows = []
        for number in range(1, 1001):
            day = number / 6
            back = number % 3 == 0 or (rising and day > 120)
            km = 100 * math.exp(chance.gauss(0, 0.02))
            empty = 95.0 if back else 0.0
            litres = (km * 0.24 + empty * 0.2) * math.exp(chance.gauss(0, 0.03))
            rows.append(
                trip(number, km, empty_km=empty, load_kg=2000.0, fuel_litres=litres)
                | {"timestamp": (BEGIN + timedelta(days=day)).isoformat()}
            )
        return rows

    assert scanned(fleet(rising=False)).hotspots == []
    (found,) = scanned(fleet(rising=True)).hotspots
    assert found["series"] == "period"
    assert found["occurred_at"] >= str((BEGIN + timedelta(days=119)).date())
