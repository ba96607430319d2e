"""Rules that propose what to do about an episode, by event type and dominant cause."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from worker.events import QUANTITIES, Event

SOURCE = "rules"

# What work of each type is commonly like, the main input first. These explain a hot event, they
# enter no kilograms.
TYPICAL = {
    "logistics": {"distance_km": 100.0, "load_kg": 900.0, "speed": 55.0, "stop_events": 2.0},
    "factory": {
        "energy_kwh": 4000.0,
        "furnace_usage": 1.5,
        "cooling_load": 300.0,
        "shift_hours": 8.0,
    },
    "warehouse": {
        "energy_kwh": 450.0,
        "refrigeration_load": 1.0,
        "inventory_volume": 600.0,
        "temperature": 15.0,
    },
    "delivery": {"route_length": 16.0, "traffic_score": 5.5, "delivery_count": 30.0},
}
COMFORT = 25.0  # degrees C; a store is heated or cooled by the distance to it


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An advice for people, and the kg CO2 per such event that it can save at most."""

    action: str
    co2_reduction: float
    root_cause: str
    source: str = SOURCE


@dataclass(frozen=True, slots=True)
class Rule:
    """An advice and the share of the excess that it addresses."""

    action: str
    share: float


# Shares of one cause add up to less than 1: together they never promise more than the excess.
RULES: dict[tuple[str, str], tuple[Rule, ...]] = {
    ("logistics", "distance_km"): (
        Rule("Serve these orders from the nearest depot or re-plan the route", 0.5),
        Rule("Move the long leg to rail or a lower-emission vehicle", 0.3),
    ),
    ("logistics", "load_kg"): (
        Rule("Spread the load over vehicles that are sized for it", 0.4),
        Rule("Move heavy consignments to rail or a lower-emission vehicle", 0.3),
    ),
    ("logistics", "speed"): (
        Rule("Shift departures out of congestion and keep to 60-80 km/h", 0.6),
        Rule("Train drivers in steady, anticipating driving", 0.2),
    ),
    ("logistics", "stop_events"): (
        Rule("Combine stops and switch the engine off while standing", 0.6),
        Rule("Bundle consignments of neighbouring customers", 0.2),
    ),
    ("factory", "energy_kwh"): (
        Rule("Move energy-intensive steps to hours with low-carbon electricity", 0.4),
        Rule("Check idle machines and compressed-air leaks", 0.25),
    ),
    ("factory", "furnace_usage"): (
        Rule("Batch furnace charges and recover the waste heat", 0.4),
        Rule("Inspect furnace insulation and burner settings", 0.3),
    ),
    ("factory", "cooling_load"): (
        Rule("Raise cooling set points and use outside air when it is cold enough", 0.4),
        Rule("Clean heat exchangers and check the refrigerant charge", 0.3),
    ),
    ("factory", "shift_hours"): (
        Rule("Bring overtime back into the regular shift", 0.5),
        Rule("Shut auxiliary systems down between orders", 0.2),
    ),
    ("warehouse", "energy_kwh"): (
        Rule("Check heating, ventilation and lighting schedules", 0.4),
        Rule("Seal dock doors and improve insulation", 0.25),
    ),
    ("warehouse", "refrigeration_load"): (
        Rule("Check refrigeration set points, door discipline and defrost cycles", 0.45),
        Rule("Concentrate chilled goods in fewer cold rooms", 0.25),
    ),
    ("warehouse", "inventory_volume"): (
        Rule("Clear slow-moving stock", 0.4),
        Rule("Close and stop conditioning zones that stand empty", 0.2),
    ),
    ("warehouse", "temperature"): (
        Rule("Seal dock doors and improve insulation", 0.45),
        Rule("Adjust set points to the season", 0.2),
    ),
    ("delivery", "route_length"): (
        Rule("Re-plan the route and shift stops to neighbouring tours", 0.5),
        Rule("Serve the farthest stops from a pick-up point", 0.2),
    ),
    ("delivery", "traffic_score"): (
        Rule("Deliver outside rush hours", 0.6),
        Rule("Use cargo bikes where traffic is dense", 0.2),
    ),
    ("delivery", "delivery_count"): (
        Rule("Bundle parcels per address and offer pick-up points", 0.5),
        Rule("Spread the deliveries over days with free capacity", 0.2),
    ),
}


@dataclass(frozen=True, slots=True)
class Driver:
    """An input, its typical value, and how many times that it is."""

    name: str
    value: float
    typical: float
    times: float


def dominant(event: Event) -> Driver | None:
    """Give the input that is farthest above its typical value; the first one when none is above.

    Only what the event says counts. None when it says nothing of its kind.
    """
    if event.event_type == "delivery" and event.route_length is None:
        event = replace(event, route_length=event.distance_km)
    found = [
        Driver(name, value, typical, _times(name, value, typical))
        for name, typical in TYPICAL[event.event_type].items()
        if (value := event.quantity(name)) is not None
    ]
    if not found:
        return None
    most = max(found, key=lambda driver: driver.times)
    return most if most.times > 1 else found[0]


def _times(name: str, value: float, typical: float) -> float:
    match name:
        case "speed":  # slow is what costs
            return typical / max(value, 1.0)
        case "temperature":
            return (COMFORT - value) / (COMFORT - typical)
        case _:
            return value / typical


def recommend(event: Event, predicted: float, baseline: float) -> list[Recommendation]:
    """Propose actions for a hot event; kg CO2, together at most the excess over the baseline.

    An event that says nothing about its work gets no proposal.
    """
    cause = dominant(event)
    if cause is None:
        return []
    excess = predicted - baseline
    text = _root_cause(cause)
    return [
        Recommendation(rule.action, _rounded_down(rule.share * excess), text)
        for rule in RULES[event.event_type, cause.name]
    ]


def _rounded_down(kilograms: float) -> float:
    # Down, so that rounding never promises more than the excess.
    return math.floor(kilograms * 100 + 1e-6) / 100


def _root_cause(cause: Driver) -> str:
    name = cause.name.removesuffix("_kwh").removesuffix("_km").removesuffix("_kg")
    unit = QUANTITIES[cause.name]
    what = f"{name.replace('_', ' ').capitalize()} of {cause.value:,.1f} {unit}"
    if cause.times <= 1:
        return f"{what} (no input is above its typical value)"
    return f"{what} where {cause.typical:,.1f} is typical"
