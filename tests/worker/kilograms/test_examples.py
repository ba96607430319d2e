"""The worked examples, to the gram."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.worker.kilograms.conftest import event, kilograms, trip
from worker.events import Event

EXAMPLES = {
    int(row["no"]): row
    for row in csv.DictReader((Path(__file__).parent / "examples.csv").read_text().splitlines())
}
ARTIC = {"vehicle_class": "artic_over_33"}
EVENTS: dict[int, Event] = {
    1: trip(),
    2: trip(distance_km=400, load_kg=16_000, **ARTIC),
    3: trip(
        distance_km=200,
        load_kg=5000,
        vehicle_class="rigid_over_17",
        temperature_control="refrigerated",
    ),
    4: trip(distance_km=250, load_kg=22_000, empty_km=250, **ARTIC),
    5: trip(vehicle_type="truck_cng", fuel_type="cng", load_kg=900),
    6: event(
        "delivery", vehicle_type="van", fuel_type="diesel", route_length=16, delivery_count=30
    ),
    7: event("delivery", vehicle_type="two_wheeler", fuel_type="petrol", route_length=28),
    8: event(
        "logistics", vehicle_type="electric_vehicle", distance_km=100, load_kg=400, country="GBR"
    ),
    9: event(
        "logistics", vehicle_type="electric_vehicle", distance_km=115, load_kg=430, country="IND"
    ),
    10: trip(distance_km=300, load_kg=1500, fuel_litres=62.4),
    11: event("factory", energy_kwh=4000, natural_gas_kwh=1000, country="GBR", operated_by="us"),
    12: event("warehouse", energy_kwh=460, refrigeration_load=4, country="DEU"),
    13: trip(distance_km=350, load_kg=200, shared_vehicle=True),
}
BESIDE: dict[int, dict[str, Any]] = {
    4: {"flags": {"load_clamped"}},
    5: {"dq": 5, "flags": {"class_from_load"}},
    10: {"kg_biogenic": 8.736, "dq": 2},
    11: {"scopes": {"1": 182.96, "2": 708.0, "3.3": 303.81}, "dq": 1},
    12: {"flags": {"td_missing"}},
}


def test_every_example_is_here() -> None:
    assert set(EVENTS) == set(EXAMPLES)
    assert len(EXAMPLES) == 13


@pytest.mark.parametrize("number", EXAMPLES)
def test_an_example_comes_out_to_the_gram(number: int) -> None:
    row, found = EXAMPLES[number], kilograms(EVENTS[number])
    assert f"{found.kg_ttw:.3f}" == row["kg_ttw"]
    assert f"{found.kg_wtt:.3f}" == row["kg_wtt"]
    assert f"{found.co2_kg:.3f}" == row["kg_total"]
    assert found.method == row["method"]
    plain = {name.removeprefix("desnz-2025-v1:") for name in found.factor_ids}
    assert plain == set(row["factor_ids"].split("|"))
    for name, value in BESIDE.get(number, {}).items():
        if name == "flags":
            assert value <= set(found.flags)
        else:
            assert getattr(found, name) == value
