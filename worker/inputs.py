"""What each formula needs: filling in what an event lacks, and the ranges that are sane.

Expected values are the means of the distributions in the domain notes ("generating formulas");
sane ranges are the minimum and maximum of its sample sets ("training sets").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.events import Event, UnusableEvent
from worker.factors import FUEL_FACTORS, warehouse_kwh

Range = tuple[float, float]

SANE: Mapping[str, Mapping[str, Range]] = {
    "logistics": {
        "distance_km": (1.2, 740),
        "load_kg": (24, 4099),
        "speed": (20, 100),
        "stop_events": (0, 17),
    },
    "factory": {
        "energy_kwh": (505, 31_153),
        "machine_runtime_hours": (4, 24),
        "furnace_usage": (0, 13.9),
        "cooling_load": (5, 1723),
        "shift_hours": (8, 24),
    },
    "warehouse": {
        "temperature": (-18.6, 30),
        "refrigeration_load": (0, 23.7),
        "inventory_volume": (11, 3177),
        "energy_kwh": (50, 3475),
    },
    "delivery": {
        "route_length": (0.07, 94),
        "traffic_score": (1, 10),
        "delivery_count": (0, 171),
    },
}

EXPECTED_LOAD_KG = 900.0
EXPECTED_SPEED = 55.0
KM_PER_STOP = 50.0
EXPECTED_SHIFT_HOURS = 8.0
EXPECTED_KWH_PER_HOUR = 500.0  # 4000 kWh in a shift of 8 h
EXPECTED_FURNACE = 1.5
EXPECTED_COOLING_KWH = 300.0
EXPECTED_TEMPERATURE = 15.0
EXPECTED_VOLUME = 600.0
EXPECTED_TRAFFIC = 5.5
EXPECTED_DELIVERIES = 30.0
# The notes give liquefied gas no factor: midway between petrol and natural gas, and marked.
LPG_FACTOR = (FUEL_FACTORS["petrol"] + FUEL_FACTORS["cng"]) / 2


@dataclass(slots=True)
class Inputs:
    """Complete inputs of one formula."""

    numbers: dict[str, float] = field(default_factory=dict)
    vehicle_type: str = ""
    estimated: bool = False

    def take(self, name: str, value: float | None, expected: float) -> float:
        """Keep the value under its name, or the expected one in its place, marked."""
        if value is None:
            self.estimated = True
        self.numbers[name] = expected if value is None else value
        return self.numbers[name]

    def take_vehicle(self, value: str | None, expected: str) -> None:
        """Keep the vehicle, or the expected one in its place, marked."""
        if value is None:
            self.estimated = True
        self.vehicle_type = value or expected


def in_range(event: Event) -> bool:
    """Say whether every given quantity that matters for this event type is in its sane range."""
    given = [(event.quantity(name), sane) for name, sane in SANE[event.event_type].items()]
    if event.event_type == "delivery" and event.route_length is None:
        given.append((event.distance_km, SANE["delivery"]["route_length"]))
    return all(value is None or low <= value <= high for value, (low, high) in given)


def complete(event: Event) -> Inputs:
    """Give complete inputs, estimating what is missing.

    Raises UnusableEvent when what is missing decides the prediction.
    """
    return _COMPLETE[event.event_type](event)


def _logistics(event: Event) -> Inputs:
    if event.distance_km is None:
        raise UnusableEvent("logistics event without distance_km")
    inputs = Inputs()
    inputs.take("distance_km", event.distance_km, 0)
    inputs.take("load_kg", event.load_kg, EXPECTED_LOAD_KG)
    inputs.take("speed", event.speed, EXPECTED_SPEED)
    inputs.take("stop_events", event.stop_events, event.distance_km / KM_PER_STOP)
    inputs.take_vehicle(event.vehicle_type, "truck")
    if event.fuel_type == "lpg":
        inputs.take("fuel_factor", None, LPG_FACTOR)
    else:
        known = None if event.fuel_type is None else FUEL_FACTORS[event.fuel_type]
        inputs.take("fuel_factor", known, FUEL_FACTORS[_usual_fuel(inputs.vehicle_type)])
    return inputs


def _usual_fuel(vehicle_type: str) -> str:
    return {"electric_vehicle": "electric", "truck_cng": "cng"}.get(vehicle_type, "diesel")


def _factory(event: Event) -> Inputs:
    if event.energy_kwh is event.furnace_usage is event.cooling_load is None:
        raise UnusableEvent("factory event without energy_kwh, furnace_usage and cooling_load")
    inputs = Inputs()
    runtime = event.machine_runtime_hours
    hours = inputs.take(
        "shift_hours", event.shift_hours, EXPECTED_SHIFT_HOURS if runtime is None else runtime
    )
    inputs.take("energy_kwh", event.energy_kwh, EXPECTED_KWH_PER_HOUR * hours)
    inputs.take("furnace_usage", event.furnace_usage, EXPECTED_FURNACE)
    inputs.take("cooling_load", event.cooling_load, EXPECTED_COOLING_KWH)
    return inputs


def _warehouse(event: Event) -> Inputs:
    if event.energy_kwh is event.refrigeration_load is event.inventory_volume is None:
        raise UnusableEvent(
            "warehouse event without energy_kwh, refrigeration_load and inventory_volume"
        )
    inputs = Inputs()
    # Refrigeration runs in few warehouses: none is what to expect when nothing is said.
    cold = inputs.take("refrigeration_load", event.refrigeration_load, 0)
    volume = inputs.take("inventory_volume", event.inventory_volume, EXPECTED_VOLUME)
    celsius = EXPECTED_TEMPERATURE if event.temperature is None else event.temperature
    expected = warehouse_kwh(temperature=celsius, refrigeration_load=cold, inventory_volume=volume)
    inputs.take("energy_kwh", event.energy_kwh, expected)
    return inputs


def _delivery(event: Event) -> Inputs:
    route = event.distance_km if event.route_length is None else event.route_length
    if route is None:
        raise UnusableEvent("delivery event without route_length and distance_km")
    inputs = Inputs()
    inputs.take("route_length", route, 0)
    inputs.take("traffic_score", event.traffic_score, EXPECTED_TRAFFIC)
    inputs.take("delivery_count", event.delivery_count, EXPECTED_DELIVERIES)
    inputs.take_vehicle(event.vehicle_type, "van")
    return inputs


_COMPLETE = {
    "logistics": _logistics,
    "factory": _factory,
    "warehouse": _warehouse,
    "delivery": _delivery,
}
