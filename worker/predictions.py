"""Predicting the kg CO2 of events, and which input drives one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from worker import factors, inputs
from worker.events import Event, UnusableEvent

# A billion tonnes. Beyond it sums and ratios would some day stop being finite numbers.
MOST_KG = 1e12


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted kg CO2 of one event, and how far it can be trusted.

    `estimated`: an input was missing and its expected value was used. `in_range`: every given input
    lies in the range that the factors were made for.
    """

    co2_kg: float
    estimated: bool
    in_range: bool


class Predictor(Protocol):
    """Something that predicts; one answer per event, in the order of the events."""

    @property
    def model_version(self) -> str: ...

    async def predict(self, events: Sequence[Event]) -> Sequence[Prediction | UnusableEvent]: ...


@dataclass(frozen=True)
class FactorPredictor:
    """Predicts by the transparent emission factors."""

    model_version: str = "factors-1"

    async def predict(self, events: Sequence[Event]) -> Sequence[Prediction | UnusableEvent]:
        return [_outcome(event) for event in events]


def _outcome(event: Event) -> Prediction | UnusableEvent:
    try:
        return predict(event)
    except UnusableEvent as exc:
        return exc


def predict(event: Event) -> Prediction:
    """Predict one event. Raises UnusableEvent when what decides the prediction is missing."""
    complete = inputs.complete(event)
    co2_kg = _kg(event.event_type, complete.vehicle_type, complete.numbers)
    if not co2_kg <= MOST_KG:
        raise UnusableEvent(f"a prediction of {co2_kg:g} kg: an input is far too large")
    # Little traffic cannot make a route absorb CO2.
    return Prediction(max(co2_kg, 0.0), complete.estimated, inputs.in_range(event))


@dataclass(frozen=True, slots=True)
class Driver:
    """An input, and how many kg CO2 less there would be if it had its typical value."""

    name: str
    value: float
    typical: float
    kg_above_typical: float


# Means of the distributions in the domain notes ("generating formulas"), the main input first.
TYPICAL = {
    "logistics": {
        "distance_km": 100.0,
        "load_kg": inputs.EXPECTED_LOAD_KG,
        "speed": inputs.EXPECTED_SPEED,
        "stop_events": 2.0,
    },
    "factory": {
        "energy_kwh": 4000.0,
        "furnace_usage": inputs.EXPECTED_FURNACE,
        "cooling_load": inputs.EXPECTED_COOLING_KWH,
        "shift_hours": inputs.EXPECTED_SHIFT_HOURS,
    },
    "warehouse": {
        "energy_kwh": 450.0,  # of the expected volume at the expected temperature
        "refrigeration_load": 0.0,
        "inventory_volume": inputs.EXPECTED_VOLUME,
        "temperature": inputs.EXPECTED_TEMPERATURE,
    },
    "delivery": {
        "route_length": 16.0,
        "traffic_score": inputs.EXPECTED_TRAFFIC,
        "delivery_count": inputs.EXPECTED_DELIVERIES,
    },
}


def dominant(event: Event) -> Driver:
    """Give the input that adds most CO2; the main one when none is above its typical value.

    Only what the event says counts, not what was estimated. Raises UnusableEvent like predict().
    """
    if event.event_type == "delivery" and event.route_length is None:
        event = replace(event, route_length=event.distance_km)
    predicted = predict(event).co2_kg
    found = [
        Driver(name, value, typical, predicted - _typically(event, name, typical))
        for name, typical in TYPICAL[event.event_type].items()
        if (value := event.quantity(name)) is not None
    ]
    most = max(found, key=lambda driver: driver.kg_above_typical)
    return most if most.kg_above_typical > 0 else found[0]


def _typically(event: Event, name: str, typical: float) -> float:
    changes: dict[str, Any] = {name: typical}
    return predict(replace(event, **changes)).co2_kg


def _kg(event_type: str, vehicle_type: str, numbers: dict[str, float]) -> float:
    match event_type:
        case "logistics":
            return factors.logistics_kg(vehicle_type=vehicle_type, **numbers)
        case "factory":
            return factors.factory_kg(**numbers)
        case "warehouse":
            return factors.warehouse_kg(**numbers)
        case _:
            return factors.delivery_kg(vehicle_type=vehicle_type, **numbers)
