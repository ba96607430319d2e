"""Advice: savings are recomputations with the factors, and together never exceed the excess."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.conftest import BASIS
from worker.advice import Advice, Job, Rule, _plain, advise, monthly_excess, savings
from worker.detection.observation import DAY, Driver
from worker.episodes import Episode
from worker.events import Event, Key
from worker.kilograms.calculate import calculate
from worker.severity import Severity
from worker.suppliers import Supplier

DRIVERS = ("distance", "load", "vehicle", "fuel", "energy", "carbon")
RULES = [
    Rule(f"{kind}-{name}", kind, name, f"Look at the {name}")
    for kind in ("logistics", "delivery", "factory", "warehouse")
    for name in DRIVERS
]


def event(**columns: Any) -> Event:
    row = {"id": 7, "event_type": "logistics", "supplier_id": "A", "timestamp": "2025-03-03T09:00Z"}
    return Event.from_row(row | columns)


def trip(**columns: Any) -> Event:
    return event(
        **{"distance_km": 160, "load_kg": 450, "vehicle_type": "truck"}
        | {"vehicle_class": "rigid_7_5", "fuel_type": "diesel"}
        | columns
    )


def kilograms(of: Event) -> float:
    return calculate(of, Supplier("A"), BASIS).co2_kg


def job(of: Event) -> Job:
    return Job(of, calculate(of, Supplier("A"), BASIS), BASIS)


def episode(
    predicted: float, baseline: float, *drivers: Driver, event_type: str = "logistics", **more: Any
) -> Episode:
    shown = Episode(
        key=Key("A", "supplier", event_type),
        event_id=7,
        predicted_co2=predicted,
        baseline_co2=baseline,
        percent_above=(predicted / baseline - 1) * 100,
        severity=Severity.CRITICAL,
        series="event",
        rule="spike",
        excess_kg=predicted - baseline,
        reason="",
        occurred_at=0.0,
        last_seen_at=0.0,
        drivers=drivers,
    )
    return shown._replace(**more)


def of_one(name: str, log_ratio: float, of: Event, after_kg: float) -> Advice:
    """The advice on an event whose excess is what this one input costs."""
    before = kilograms(of)
    driver = Driver(name, log_ratio, before - after_kg)
    found = episode(before, after_kg, driver, event_type=of.event_type)
    (advice,) = advise(found, RULES, job(of))
    return advice


# One worked example for each input: the factors are those of the tables, by hand.

RIGID = (0.46138 + 0.11027, 0.50103 + 0.11985)  # kg per km of a rigid_7_5, empty and half full
PAYLOAD = 2182


def per_km(load: float) -> float:
    empty, half = RIGID
    return empty + (half - empty) * 2 * load / PAYLOAD


def test_a_detour_saves_what_its_kilometres_cost() -> None:
    """160 km where the plan has 120, with 450 kg: 40 km at 0.59196 kg CO2e."""
    usual = kilograms(trip(distance_km=120))
    advice = of_one("distance", math.log(160 / 120), trip(), usual)
    assert usual == 71.035  # the first worked example of the factors
    assert advice.co2_reduction == pytest.approx(40 * per_km(450), abs=0.011)
    assert (advice.actual, advice.usual, advice.unit) == (160, 120, "km")
    assert advice.co2_reduction_month == advice.co2_reduction  # it has happened once
    assert advice.root_cause == (
        "Distance +33 % against its usual value: 160 km instead of 120;"
        " with the usual one 23.7 kg CO2e less"
    )


def test_a_half_empty_truck_saves_the_trips_that_full_ones_make_superfluous() -> None:
    """450 kg where 900 are usual: the same tonnes in half the trips, each a little dearer."""
    before, after = 160 * per_km(450), 160 * per_km(900) / 2
    advice = of_one("load", math.log(2), trip(), after)
    assert advice.co2_reduction == pytest.approx(before - after, abs=0.02)
    assert (advice.actual, advice.usual, advice.unit) == (450, 900, "kg")
    assert advice.root_cause.startswith("Load -50 % against its usual value: 450 kg instead of 900")


def test_a_larger_truck_saves_what_the_usual_one_does_not_burn() -> None:
    """17 t where 7.5 t usually run: the difference of their kg per km at 450 kg, 9.46 % laden."""
    large = (0.55061 + 0.13207, 0.62832 + 0.15094)
    before = 160 * (large[0] + (large[1] - large[0]) * 2 * 450 / 4755)
    after = 160 * per_km(450)
    advice = of_one("vehicle", math.log(before / after), trip(vehicle_class="rigid_17"), after)
    assert advice.co2_reduction == pytest.approx(before - after, abs=0.02)
    assert advice.unit == "kg CO2e per km"
    assert advice.usual == pytest.approx(per_km(450), abs=1e-4)
    assert "as by a rigid_7_5" in advice.root_cause


def test_wasted_fuel_saves_the_litres_above_the_usual_ones() -> None:
    """62.4 litres where 48 are usual: 14.4 litres of diesel at 3.18183 kg CO2e."""
    of = trip(distance_km=300, fuel_litres=62.4)
    assert kilograms(of) == 198.546
    advice = of_one("fuel", math.log(62.4 / 48), of, 198.546 * 48 / 62.4)
    assert advice.co2_reduction == pytest.approx(14.4 * 198.546 / 62.4, abs=0.02)
    assert (advice.actual, advice.usual) == (20.8, 16)
    assert advice.unit == "litres per 100 km"


def shift(**columns: Any) -> Event:
    return event(event_type="factory", country="GB", **columns)


def test_wasted_energy_saves_the_kilowatt_hours_above_the_usual_ones() -> None:
    """4000 kWh and 1000 kWh of gas where four fifths are usual."""
    of = shift(energy_kwh=4000, natural_gas_kwh=1000)
    assert kilograms(of) == 1194.770
    advice = of_one("energy", math.log(5 / 4), of, 1194.770 * 0.8)
    assert advice.co2_reduction == pytest.approx(1194.770 / 5, abs=0.02)
    assert (advice.actual, advice.usual, advice.unit) == (5000, 4000, "kWh")


def test_a_dearer_mix_of_energy_saves_the_difference_per_kilowatt_hour() -> None:
    """0.2389 kg per kWh where 0.2 are usual."""
    of = shift(energy_kwh=4000, natural_gas_kwh=1000)
    advice = of_one("carbon", math.log(1194.770 / 1000), of, 1000)
    assert advice.co2_reduction == pytest.approx(194.77, abs=0.02)
    assert (advice.actual, advice.usual) == (0.238954, 0.2)


def test_two_inputs_together_save_what_the_job_at_both_usual_values_does() -> None:
    before, after = 160 * per_km(450), 120 * per_km(900) / 2
    found = episode(
        kilograms(trip()),
        after,
        Driver("load", math.log(2), 60.0),
        Driver("distance", math.log(4 / 3), 30.0),
    )
    both = savings(found, job(trip()))
    assert sum(saving.kg for saving in both) == pytest.approx(before - after, abs=0.01)
    assert both[0].kg == pytest.approx(before - 160 * per_km(900) / 2, abs=0.01)


def test_a_rise_of_a_run_is_saved_in_proportion_to_the_kilograms_shown() -> None:
    """A slow rise shows such work at its level, not the kilograms of its last event."""
    found = episode(200.0, 150.0, Driver("distance", math.log(4 / 3), 50.0))
    (advice,) = advise(found, RULES, job(trip()))
    assert advice.co2_reduction == pytest.approx(50.0, abs=0.02)


def test_without_the_event_the_kilograms_follow_the_input() -> None:
    """A shift of 15 days that has cost 600 kg costs 1200 in thirty."""
    found = episode(200.0, 150.0, Driver("load", math.log(4 / 3), 50.0), series="period")
    found = found._replace(rule="shift", excess_kg=600.0, last_seen_at=14 * DAY)
    (advice,) = advise(found, RULES, None)
    assert (advice.co2_reduction, advice.co2_reduction_month) == (50.0, 1200.0)
    assert (advice.actual, advice.usual) == (None, None)


# When there is none


def test_what_no_input_explains_gets_no_advice() -> None:
    assert advise(episode(140, 100, Driver("other", 0.3, 40.0)), RULES, None) == []


def test_an_input_that_saves_is_no_cause() -> None:
    found = episode(140, 100, Driver("distance", 0.5, 60.0), Driver("load", -0.2, -20.0))
    assert [advice.driver for advice in advise(found, RULES, None)] == ["distance"]


def test_what_saves_less_than_a_kilogram_a_month_is_not_worth_a_word() -> None:
    found = episode(1.4, 1.0, Driver("distance", 0.3, 0.4))
    assert advise(found, RULES, None) == []
    assert len(advise(found._replace(excess_kg=24.0), RULES, None)) == 1


def test_a_small_part_of_the_excess_gets_none() -> None:
    found = episode(140, 100, Driver("distance", 0.3, 35.0), Driver("fuel", 0.03, 5.0))
    assert [advice.driver for advice in advise(found, RULES, None)] == ["distance"]


def test_rules_of_one_series_do_not_speak_of_the_other() -> None:
    rules = [replace(rule, series="period") for rule in RULES]
    found = episode(140, 100, Driver("distance", 0.3, 40.0))
    assert advise(found, rules, None) == []
    assert advise(found._replace(series="period"), rules, None)


def test_two_rules_for_one_input_share_its_saving() -> None:
    rules = [
        Rule("a", "logistics", "distance", "Re-plan", share=0.7, source="rules"),
        Rule("b", "logistics", "distance", "Move", share=0.7, source="another service"),
    ]
    found = episode(140, 100, Driver("distance", math.log(1.4), 40.0))
    first, second = advise(found, rules, None)
    assert (first.co2_reduction, second.co2_reduction) == (28.0, 12.0)
    assert (first.source, second.source) == ("rules", "another service")


# kg a month

MONTHLY = json.loads((Path(__file__).parent.parent / "web" / "monthly.json").read_text())


@pytest.mark.parametrize("case", MONTHLY, ids=lambda case: case["said"])
def test_a_month_is_that_of_the_page(case: dict[str, Any]) -> None:
    found = episode(150, 100)._replace(
        rule=case["rule"],
        excess_kg=float(case["excess_kg"]),
        last_seen_at=case["days"] * DAY,
    )
    assert monthly_excess(found) == pytest.approx(case["monthly_kg"])


@given(st.floats(0.1, 1e4), st.integers(1, 400), st.sampled_from(["shift", "drift"]))
def test_what_lasts_costs_in_a_month_what_it_cost_and_never_more(
    daily: float, days: int, rule: str
) -> None:
    """Of a rise that costs the same each day: exactly 30 days of it once a week was seen.

    Before that it is less, and never more than what has been seen in 30/7 of that week.
    """
    found = episode(150, 100)._replace(
        rule=rule, excess_kg=daily * days, last_seen_at=(days - 1) * DAY
    )
    month = monthly_excess(found)
    assert month <= daily * 30 * (1 + 1e-12)
    assert month == pytest.approx(daily * 30 if days >= 7 else daily * days * 30 / 7)


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=30), st.integers(0, 29))
def test_what_happens_now_and_then_never_costs_more_in_a_month_than_it_has(
    kilograms: list[float], days: int
) -> None:
    spikes = episode(150, 100)._replace(excess_kg=sum(kilograms), last_seen_at=days * DAY)
    assert monthly_excess(spikes) == pytest.approx(sum(kilograms))
    assert monthly_excess(spikes._replace(last_seen_at=59 * DAY)) == pytest.approx(
        sum(kilograms) / 2
    )


EVENTS = [
    trip(),
    trip(load_kg=1900, vehicle_class="rigid_17"),
    trip(fuel_litres=40),
    trip(vehicle_type="van", vehicle_class=None),
    event(event_type="delivery", route_length=30, delivery_count=20, vehicle_type="van"),
    shift(energy_kwh=900, natural_gas_kwh=100),
    event(event_type="warehouse", energy_kwh=300, country="FR"),
]


@given(
    st.sampled_from(EVENTS),
    st.lists(
        st.tuples(st.sampled_from([*DRIVERS, "other"]), st.floats(-1.5, 1.5)),
        min_size=1,
        max_size=6,
    ),
    st.floats(0.3, 3),
    st.lists(st.floats(0.05, 1), min_size=6, max_size=6),
    st.booleans(),
    st.sampled_from(["spike", "shift", "drift", "period"]),
    st.integers(1, 50),
    st.integers(0, 90),
)
def test_all_advice_together_never_saves_more_than_the_excess_or_that_of_a_month(
    of: Event,
    named: list[tuple[str, float]],
    level: float,
    shares: list[float],
    at_hand: bool,
    rule: str,
    times: int,
    days: int,
) -> None:
    """Whatever the inputs, the rules' shares and the figures shown."""
    predicted = kilograms(of) * level
    log_ratio = sum(log for _, log in named)
    baseline = predicted / math.exp(log_ratio)
    excess = predicted - baseline
    mean = excess / log_ratio if log_ratio else 0.0
    drivers = sorted((Driver(n, log, log * mean) for n, log in named), key=lambda d: -d.kg)
    found = episode(predicted, baseline, *drivers, event_type=of.event_type)
    rules = [
        replace(rule, id=f"{rule.id}-{share}", share=share, least_month_kg=0, least_share=0)
        for rule in RULES
        for share in shares
    ]
    found = found._replace(rule=rule, excess_kg=excess * times, last_seen_at=days * DAY)
    proposed = advise(found, rules, job(of) if at_hand else None)
    assert all(advice.co2_reduction > 0 for advice in proposed)
    assert sum(advice.co2_reduction for advice in proposed) <= max(excess, 0) + 1e-6
    monthly = monthly_excess(found)
    assert sum(advice.co2_reduction_month for advice in proposed) <= monthly * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize(
    ("value", "text"), [(0.46, "0.46"), (160.0, "160"), (26_920.4, "26,920"), (1e300, "1e+300")]
)
def test_an_input_is_told_as_a_person_reads_it(value: float, text: str) -> None:
    assert _plain(value) == text
