"""The expected values were computed by hand from the formulas of the domain notes."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.events import Event, UnusableEvent
from worker.predictions import FactorPredictor, Prediction, dominant, predict


def event(event_type: str, **values: Any) -> Event:
    return Event(id=1, event_type=event_type, supplier_id="A", **values)


TRIP = {
    "distance_km": 120.0,
    "load_kg": 450.0,
    "vehicle_type": "truck",
    "fuel_type": "diesel",
    "speed": 55.0,
    "stop_events": 0.0,
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 33.77016),  # 120 * 0.267 * (1 + 0.45 * 0.12)
        ({"stop_events": 3.0}, 35.27016),
        ({"speed": 39.9}, 40.524192),  # * 1.2
        ({"speed": 40.0}, 33.77016),
        ({"speed": 90.0}, 33.77016),
        ({"speed": 90.1}, 38.835684),  # * 1.15
        ({"fuel_type": "petrol"}, 32.081652),
        ({"fuel_type": "hybrid"}, 21.950604),
        ({"fuel_type": "lpg"}, 28.5357852),  # * (0.95 + 0.74) / 2
        ({"vehicle_type": "two_wheeler"}, 10.17072),  # 120 * 0.084 * 1.009
        ({"vehicle_type": "mini_truck"}, 21.25872),  # 120 * 0.171 * 1.036
        ({"vehicle_type": "truck_cng"}, 24.72228),  # 120 * 0.198 * 1.0405
        ({"vehicle_type": "electric_vehicle", "fuel_type": "electric"}, 1.289172),
        ({"vehicle_type": "van"}, 17.62332),  # 120 * 0.143 * 1.027
    ],
)
def test_logistics_follows_its_formula(change: dict[str, Any], expected: float) -> None:
    assert predict(event("logistics", **(TRIP | change))).co2_kg == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # 0.475 * 4000 + 2.68 * 1.5 * 8 + 0.385 * 300
        (
            {"energy_kwh": 4000, "furnace_usage": 1.5, "cooling_load": 300, "shift_hours": 8},
            2047.66,
        ),
        # (1900 + 2.68 * 1.5 * 12 + 115.5) * 1.08
        (
            {"energy_kwh": 4000, "furnace_usage": 1.5, "cooling_load": 300, "shift_hours": 12},
            2228.8392,
        ),
    ],
)
def test_factory_follows_its_formula(values: dict[str, Any], expected: float) -> None:
    assert predict(event("factory", **values)).co2_kg == pytest.approx(expected)


def test_warehouse_follows_its_formula() -> None:
    found = predict(event("warehouse", energy_kwh=450, refrigeration_load=2, inventory_volume=600))
    assert found.co2_kg == pytest.approx(223.85)  # 213.75 + 2.9 + 7.2
    assert not found.estimated
    assert found.in_range


def test_delivery_follows_its_formula() -> None:
    found = predict(
        event("delivery", route_length=10, vehicle_type="van", traffic_score=7, delivery_count=20)
    )
    assert found.co2_kg == pytest.approx(4.84184)  # 1.43 * 1.12 * 1.15 + 3
    assert not found.estimated
    assert found.in_range


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # truck, diesel, 900 kg, 55 km/h, one stop per 50 km: 29.5836 + 1
        (event("logistics", distance_km=100), 100 * 0.267 * 1.108 + 1),
        (event("logistics", **(TRIP | {"load_kg": None})), 120 * 0.267 * 1.108),
        (event("logistics", **(TRIP | {"fuel_type": None})), 33.77016),
        (
            event("logistics", **(TRIP | {"vehicle_type": "truck_cng", "fuel_type": None})),
            24.72228 * 0.74,
        ),
        # 500 kWh an hour, furnace 1.5, cooling 300
        (event("factory", energy_kwh=4000), 2047.66),
        (event("factory", furnace_usage=1.5, machine_runtime_hours=12), (2850 + 163.74) * 1.08),
        # 0.5 * 4000 + 15 * 5 + 100 * 28 = 4875 kWh
        (
            event("warehouse", temperature=20, refrigeration_load=28, inventory_volume=4000),
            0.475 * 4875 + 1.45 * 28 + 0.012 * 4000,
        ),
        (event("warehouse", temperature=30, inventory_volume=600), 0.475 * 300 + 7.2),
        (event("delivery", distance_km=10), 10 * 0.143 * 1.03 * 1.15 + 4.5),
    ],
)
def test_a_missing_input_is_estimated_and_marked(found: Event, expected: float) -> None:
    prediction = predict(found)
    assert prediction.co2_kg == pytest.approx(expected)
    assert prediction.estimated


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (event("logistics", load_kg=100, vehicle_type="van"), "distance_km"),
        (event("delivery", vehicle_type="van", traffic_score=3), "route_length"),
        (event("factory", shift_hours=8), "energy_kwh"),
        (event("warehouse", temperature=20), "energy_kwh"),
    ],
)
def test_nothing_is_predicted_without_what_decides_it(found: Event, missing: str) -> None:
    with pytest.raises(UnusableEvent, match=missing):
        predict(found)


@pytest.mark.parametrize(
    ("found", "in_range"),
    [
        (event("logistics", **TRIP), True),
        (event("logistics", **(TRIP | {"distance_km": 740.0})), True),
        (event("logistics", **(TRIP | {"distance_km": 740.1})), False),
        (event("logistics", **(TRIP | {"speed": 19.0})), False),
        (event("logistics", **(TRIP | {"energy_kwh": 1e9})), True),  # plays no part
        (event("factory", energy_kwh=190, furnace_usage=37, cooling_load=57), False),
        (event("factory", energy_kwh=6000, furnace_usage=3), True),
        (event("warehouse", energy_kwh=450, temperature=-18.7), False),
        (event("delivery", route_length=95), False),
        (event("delivery", distance_km=95), False),
        (event("delivery", distance_km=95, route_length=94), True),
    ],
)
def test_an_input_outside_its_sane_range_is_marked(found: Event, in_range: bool) -> None:
    assert predict(found).in_range is in_range


@pytest.mark.parametrize("distance", [1e13, 1e300])
def test_a_prediction_beyond_all_reason_is_none(distance: float) -> None:
    with pytest.raises(UnusableEvent, match="far too large"):
        predict(event("logistics", distance_km=distance, load_kg=distance))


@given(st.floats(0, 1e6), st.floats(0, 10))
def test_no_prediction_is_negative(route: float, traffic: float) -> None:
    found = predict(event("delivery", route_length=route, traffic_score=traffic))
    assert found.co2_kg >= 0
    assert math.isfinite(found.co2_kg)


async def test_the_predictor_answers_per_event_and_keeps_the_order() -> None:
    answers = await FactorPredictor().predict(
        [event("logistics", **TRIP), event("logistics"), event("factory", energy_kwh=4000)]
    )
    assert isinstance(answers[0], Prediction)
    assert isinstance(answers[1], UnusableEvent)
    assert isinstance(answers[2], Prediction)


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (event("logistics", **(TRIP | {"distance_km": 400.0})), "distance_km"),
        (event("logistics", **(TRIP | {"load_kg": 4000.0, "distance_km": 100.0})), "load_kg"),
        (event("logistics", **(TRIP | {"speed": 25.0, "distance_km": 100.0})), "speed"),
        (event("factory", energy_kwh=4000, furnace_usage=60, cooling_load=300), "furnace_usage"),
        (event("factory", energy_kwh=9000, furnace_usage=1, cooling_load=300), "energy_kwh"),
        (event("warehouse", energy_kwh=450, refrigeration_load=20), "refrigeration_load"),
        (event("warehouse", refrigeration_load=39, inventory_volume=5200), "refrigeration_load"),
        (event("warehouse", refrigeration_load=0, temperature=-15), "temperature"),
        (event("delivery", route_length=16, traffic_score=10), "traffic_score"),
        (event("delivery", distance_km=40, traffic_score=5), "route_length"),
        (event("logistics", **(TRIP | {"distance_km": 80.0})), "distance_km"),  # all are low
    ],
)
def test_the_input_that_adds_most_is_dominant(found: Event, name: str) -> None:
    assert dominant(found).name == name


def test_a_dominant_input_says_how_much_it_adds() -> None:
    driver = dominant(event("warehouse", energy_kwh=1450, refrigeration_load=2))
    assert (driver.value, driver.typical) == (1450, 450)
    assert driver.kg_above_typical == pytest.approx(475)
