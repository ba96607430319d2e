"""What detectors read of an event: work, covariate, vehicle, parts, and the tenant's day."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from worker.detection.series import Reading
from worker.events import Event
from worker.kilograms.calculate import Prediction
from worker.kilograms.energy import Basis
from worker.kilograms.factors import load
from worker.predictions import predict
from worker.readings import Kilograms, Reader
from worker.suppliers import Suppliers

BASIS = Basis(load(), "GBR")
TRIP: dict[str, Any] = {
    "event_type": "logistics",
    "distance_km": 120.0,
    "planned_distance_km": 100.0,
    "load_kg": 1800.0,
    "vehicle_type": "truck",
    "vehicle_class": "rigid_7_5",
    "fuel_type": "diesel",
}
SITE: dict[str, Any] = {"event_type": "factory", "energy_kwh": 500.0, "country": "GBR"}


def read(row: dict[str, Any], reader: Reader | None = None) -> tuple[Reading, Prediction]:
    reader = reader or Reader(BASIS.factors)
    event = Event.from_row(
        {"id": 1, "supplier_id": "A", "timestamp": "2026-01-05T23:30:00+00:00", **row}
    )
    made = predict(event, Suppliers([], BASIS.factors.truck_classes), BASIS)
    assert isinstance(made, Prediction)
    return reader.reading(event, Kilograms.of(made), reader.moment(event)), made


def test_a_trip_is_measured_by_its_plan_and_a_detour_is_a_part_of_it() -> None:
    reading, made = read(TRIP)
    seen = reading.seen
    assert reading.basis == "t_km_planned"
    assert seen.activity == pytest.approx(180.0)
    assert seen.covariate == pytest.approx(math.log(2))
    assert seen.vehicle == "rigid_7_5"
    assert seen.log_factor == pytest.approx(math.log(made.kg_per_km or 0))
    assert not seen.metered
    assert dict(seen.parts)["distance"] == pytest.approx(math.log(1.2))
    assert dict(reading.totals) == {"km": 120.0, "planned_km": pytest.approx(100.0)}


def test_measured_fuel_is_told_apart_and_held_against_the_model() -> None:
    reading, made = read(TRIP | {"fuel_litres": 30.0})
    assert (reading.method, reading.seen.metered) == ("primary", True)
    expected = math.log(made.co2_kg / (made.kg_model or 0))
    assert dict(reading.seen.parts)["fuel"] == pytest.approx(expected)
    assert [ratio.name for ratio in reading.ratios] == ["load", "distance", "fuel"]


def test_a_site_has_its_energy_and_its_carbon_as_parts_and_its_grid_taken_out() -> None:
    reading, _ = read(SITE | {"output_quantity": 50.0, "output_unit": "t"})
    assert (reading.basis, reading.country) == ("output:t", "GBR")
    grid = BASIS.factors.grid("GBR", 2026)
    assert grid is not None
    assert reading.seen.log_factor == pytest.approx(math.log(grid.total))
    assert dict(reading.seen.parts)["energy"] == pytest.approx(math.log(10))
    assert dict(reading.seen.parts)["carbon"] == pytest.approx(math.log(grid.total), abs=1e-4)


def test_a_meter_without_output_has_no_activity() -> None:
    reading, _ = read(SITE)
    assert (reading.basis, reading.seen.activity) == ("none", None)


@pytest.mark.parametrize(
    ("more", "degrees"),
    [
        ({"temperature": 5.0}, 1.3),
        ({"temperature": 30.0}, -1.2),
        ({"temperature": -22.0, "refrigeration_load": 4.0}, 0.0),  # that of the room
        ({"temperature": 30.0, "temperature_control": "refrigerated"}, -2.0),
        ({}, None),
    ],
)
@pytest.mark.parametrize("kind", ["warehouse", "factory"])
def test_weather_is_expected_of_sites(
    kind: str, more: dict[str, Any], degrees: float | None
) -> None:
    row = SITE | {"event_type": kind, "throughput_t": 5.0} | more
    assert read(row)[0].seen.covariate == (degrees and pytest.approx(degrees))


def test_days_are_those_of_the_tenant() -> None:
    zone = ZoneInfo("Europe/Berlin")
    monday, _ = read(TRIP)
    tuesday, _ = read(TRIP, Reader(BASIS.factors, zone))
    assert (monday.seen.weekday, tuesday.seen.weekday) == (0, 1)
    moment = datetime(2026, 1, 5, 23, 30, tzinfo=UTC).timestamp()
    assert (monday.seen.time, tuesday.seen.time) == (moment, moment + 3600)
