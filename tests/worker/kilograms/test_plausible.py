"""What no vehicle or site can have is quarantined, whether it is used or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.worker.kilograms.conftest import event, kilograms, trip
from worker.events import Implausible


def factory(**columns: Any) -> Any:
    return event("factory", **({"energy_kwh": 4000} | columns))


@pytest.mark.parametrize(
    ("make", "column", "good", "bad"),
    [
        (trip, "distance_km", 5000, 5001),
        (trip, "distance_km", 0.1, 0),
        (trip, "route_length", 5000, 5001),
        (trip, "planned_distance_km", 5000, 5001),
        (trip, "empty_km", 5000, 5001),
        (trip, "load_kg", 60_000, 60_001),
        (trip, "speed", 130, 131),
        (trip, "stop_events", 1000, 1001),
        (trip, "vehicle_capacity_kg", 60_000, 60_001),
        (trip, "vehicle_capacity_kg", 1, 0),
        (factory, "energy_kwh", 1e9, 1.1e9),
        (factory, "temperature", -60, -61),
        (factory, "temperature", 60, 61),
        (factory, "shift_hours", 24, 25),
        (trip, "traffic_score", 1, 0.5),
        (trip, "traffic_score", 10, 11),
        (trip, "delivery_count", 1000, 1001),
        (factory, "delivery_count", 1000, 1001),  # of no use here: columns may have shifted
    ],
)
def test_a_value_past_its_hard_limit_is_quarantined(
    make: Any, column: str, good: float, bad: float
) -> None:
    kilograms(make(**{column: good}))
    with pytest.raises(Implausible, match=column) as held:
        kilograms(make(**{column: bad}))
    row = held.value.row(7)
    assert (row["kind"], row["column_name"], row["raw_value"]) == ("range", column, str(float(bad)))
    assert kilograms(replace(make(**{column: bad}), released=True), None, "GBR") if bad else True


@pytest.mark.parametrize(
    ("vehicle", "fuel", "most"),
    [("van", "diesel", 1760), ("ev", "electric", 1760), ("2w", "petrol", 200)],
)
def test_a_load_that_the_vehicle_cannot_carry_is_quarantined(
    vehicle: str, fuel: str, most: float
) -> None:
    kilograms(trip(vehicle_type=vehicle, fuel_type=fuel, load_kg=most))
    with pytest.raises(Implausible, match="is more than a"):
        kilograms(trip(vehicle_type=vehicle, fuel_type=fuel, load_kg=most + 1))


@pytest.mark.parametrize("litres", [0.9, 301])
def test_a_consumption_that_no_truck_has_is_quarantined(litres: float) -> None:
    found = trip(distance_km=80, empty_km=20, load_kg=17_000, fuel_litres=litres)
    with pytest.raises(Implausible, match="litres per 100 km are not from 1 to 300"):
        kilograms(found)


@pytest.mark.parametrize(
    ("column", "value", "written"),
    [("load_kg", 1_234_567.5, "1234567.5"), ("distance_km", 12_345_678, "12345678")],
)
def test_a_value_is_named_as_the_file_has_it(column: str, value: float, written: str) -> None:
    with pytest.raises(Implausible, match=f"{column} {written} is"):
        kilograms(trip(**{column: value}))


def test_a_typing_error_is_named_by_what_stands_in_the_file() -> None:
    found = trip(distance_km=500, load_kg=17_000, fuel_litres=107_700)
    with pytest.raises(Implausible, match="fuel_litres 107700: 21540 litres per 100 km are not"):
        kilograms(found)


@pytest.mark.parametrize(
    ("stamp", "arrived"),
    [
        ("1999-12-31T23:59:59Z", "2026-01-05T00:00:00Z"),
        ("2026-01-07T00:00:01Z", "2026-01-06T00:00:00Z"),
    ],
)
def test_a_time_that_cannot_be_is_quarantined(stamp: str, arrived: str) -> None:
    with pytest.raises(Implausible) as held:
        kilograms(trip(timestamp=stamp, created_at=arrived))
    assert held.value.kind == "time"
    with pytest.raises(Implausible):
        kilograms(replace(trip(timestamp=stamp, created_at=arrived), released=True))


@pytest.mark.parametrize(
    ("found", "flag"),
    [
        (trip(distance_km=901), "distance_high"),
        (trip(load_kg=29_001), "load_high"),
        (trip(load_kg=29_001), "load_clamped"),
        (trip(speed=91), "speed_high"),
        (trip(stop_events=121), "stops_high"),
        (trip(distance_km=10, load_kg=17_000, fuel_litres=11), "consumption_unusual"),
        (trip(fuel_litres=60), "consumption_unusual"),
        (factory(temperature=46), "temperature_unusual"),
        (factory(temperature=-36), "temperature_unusual"),
        (factory(machine_runtime_hours=25), "machine_hours_high"),
        (event("delivery", route_length=50, delivery_count=301), "deliveries_high"),
    ],
)
def test_what_is_possible_but_seldom_right_is_flagged(found: Any, flag: str) -> None:
    prediction = kilograms(found)
    assert flag in prediction.flags
    assert not prediction.in_range


def test_an_ordinary_event_is_in_range() -> None:
    assert kilograms(trip(speed=90, stop_events=120, load_kg=2000)).in_range
