"""The made-up events: repeatable, quiet at first, and then as the script says."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from demo.generator import (
    CYCLE_DAYS,
    LINES,
    PROBLEMS,
    QUIET_DAYS,
    SERIES,
    Event,
    MadeUp,
    Problem,
    day,
    lines,
    problem_of,
)
from worker.events import EVENT_TYPES
from worker.events import Event as Judged
from worker.ingest.forecast import Forecast
from worker.kilograms.energy import Basis
from worker.kilograms.factors import load

START = datetime(2025, 11, 29, tzinfo=UTC)


def year(seed: int = 1, count: int = 365) -> list[list[MadeUp]]:
    return [day(seed, START, number, lines(20)) for number in range(count)]


@pytest.fixture(scope="module")
def made() -> list[list[MadeUp]]:
    return year()


def ratio(event: Event) -> float:
    """What goes wrong in most problems, by a rule of thumb: energy or km to what was asked for."""
    if "energy_kwh" in event:
        return float(event["energy_kwh"] / (event.get("output_quantity") or event["throughput_t"]))
    driven = event.get("distance_km") or event["route_length"]
    return float(event.get("fuel_litres", driven) / event["planned_distance_km"])


def test_the_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    assert year(7, 3) == year(7, 3)
    assert year(7, 3) != year(8, 3)


def test_a_day_can_be_made_without_those_before_it(made: list[list[MadeUp]]) -> None:
    assert day(1, START, 200, lines(20)) == made[200]


def test_each_supplier_has_about_five_jobs_a_day(made: list[list[MadeUp]]) -> None:
    jobs = Counter(each.event["supplier_id"] for found in made for each in found)
    assert len(jobs) == 20
    for supplier, count in jobs.items():
        silent = sum(p.days for p in PROBLEMS if (p.supplier_id, p.kind) == (supplier, "silence"))
        assert 5 <= count / (365 - silent) <= 6
    # Never fewer than an observation of the period series needs.
    assert min(Counter(each.event["supplier_id"] for each in made[0]).values()) >= 5


def test_events_come_in_order_of_time_within_their_day(made: list[list[MadeUp]]) -> None:
    moments = [each.moment for found in made for each in found]
    assert moments == sorted(moments)
    assert {moment.date() for moment in moments} == {
        datetime.fromordinal(START.toordinal() + n).date() for n in range(365)
    }


def test_jobs_differ_ten_times_in_size(made: list[list[MadeUp]]) -> None:
    sizes = defaultdict(list)
    for found in made:
        for each in found:
            event = each.event
            size = event.get("planned_distance_km") or event.get("output_quantity")
            sizes[event["supplier_id"]].append(size or event["throughput_t"])
    assert all(8 < max(found) / min(found) <= 10.1 for found in sizes.values())


def test_each_event_names_its_country_and_what_it_did(made: list[list[MadeUp]]) -> None:
    basis = ("planned_distance_km", "output_quantity", "throughput_t")
    for found in made:
        for each in found:
            assert len(each.event["country"]) == 3
            assert any(name in each.event for name in basis)
    assert {each.event["event_type"] for each in made[0]} == set(EVENT_TYPES)
    assert any("fuel_litres" in each.event for each in made[0])


def test_nothing_is_wrong_in_the_quiet_days(made: list[list[MadeUp]]) -> None:
    quiet = defaultdict(list)
    for found in made[:QUIET_DAYS]:
        for each in found:
            assert each.problem is None
            quiet[each.event["supplier_id"]].append(ratio(each.event))
    for ratios in quiet.values():
        assert statistics.stdev(ratios) / statistics.mean(ratios) < 0.15


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: f"{p.supplier_id}-{p.kind}-{p.first}")
def test_each_problem_is_in_the_events_and_labelled(
    made: list[list[MadeUp]], problem: Problem
) -> None:
    first, last = QUIET_DAYS + problem.first, QUIET_DAYS + problem.first + problem.days
    own = [
        [each for each in found if each.event["supplier_id"] == problem.supplier_id]
        for found in made
    ]
    before = [each.event for found in own[:QUIET_DAYS] for each in found]
    during = [each for found in own[first:last] for each in found]
    assert all(each.problem == problem for each in during)
    assert problem_of(problem.supplier_id, first - 1) != problem
    if problem.kind == "silence":
        assert during == []
        return
    events = [each.event for each in during]
    if problem.kind == "half_empty":
        shown = statistics.mean(e["load_kg"] for e in events)
        shown /= statistics.mean(e["load_kg"] for e in before)
        assert shown == pytest.approx(problem.size, rel=0.2)
    elif problem.kind == "worse_vehicle":
        assert {event["vehicle_class"] for event in events} == {problem.size}
        assert {event["vehicle_class"] for event in before} != {problem.size}
    else:
        usual = statistics.median(map(ratio, before))
        late = events[-max(5, len(events) // 5) :]
        assert statistics.median(map(ratio, late)) / usual == pytest.approx(problem.size, rel=0.2)


def test_problems_of_one_supplier_do_not_meet() -> None:
    for supplier in {problem.supplier_id for problem in PROBLEMS}:
        own = sorted((p.first, p.first + p.days) for p in PROBLEMS if p.supplier_id == supplier)
        assert all(end < begin for (_, end), (begin, _) in pairwise(own))
        assert own[-1][1] <= CYCLE_DAYS


def test_there_is_a_problem_of_each_kind() -> None:
    assert {problem.kind for problem in PROBLEMS} == set(SERIES)


def test_only_wrong_units_are_implausible(made: list[list[MadeUp]]) -> None:
    """The worker would put no other event into quarantine, and knows the country of each."""
    forecast = Forecast(Basis(load(())))
    for found in made[::5]:
        for each in found:
            values = {"timestamp": each.moment.isoformat(), **each.event}
            assert Judged.from_row({"id": 1, **values}).supplier_id == each.event["supplier_id"]
            if reason := forecast(values).reason:
                assert each.problem is not None, reason
                assert each.problem.kind == "unit"
    assert forecast.without_country == 0


def test_further_suppliers_have_no_problems() -> None:
    more = lines(45)
    assert len({line.supplier_id for line in more}) == 45
    assert more[:20] == LINES
    assert lines(3) == LINES[:3]
    assert {problem.supplier_id for problem in PROBLEMS} <= {line.supplier_id for line in LINES}
