"""Makes up a supply chain with problems from a script. Pure, and the same for the same seed.

Some twenty suppliers do about five jobs a day each, between which sizes differ ten times. From day
`QUIET_DAYS` on the script lets some of them have problems; each event tells which one it is part
of, so that whatever judges the events can be scored.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

QUIET_DAYS = 60
"""Days before the first problem: enough for 12 closed buckets of the period series."""
CYCLE_DAYS = 300
"""After so many days of problems they begin again."""

Kind = Literal[
    "detour",
    "wasted_fuel",
    "idling",
    "half_empty",
    "worse_vehicle",
    "drift",
    "new_normal",
    "unit",
    "silence",
]
Event = dict[str, Any]

# What each kind of problem is to be found by.
SERIES: dict[Kind, str] = {
    "detour": "event",
    "wasted_fuel": "event",
    "idling": "event or period",
    "half_empty": "period",
    "worse_vehicle": "period",
    "drift": "event or period",
    "new_normal": "event or period",
    "unit": "quality notice, never a hotspot",
    "silence": "no_data notice",
}


@dataclass(frozen=True)
class Problem:
    """What is wrong with a supplier from `first` (days after the quiet ones) for `days`.

    `size` is what the affected column is multiplied by at most, or the worse vehicle's class.
    """

    supplier_id: str
    kind: Kind
    first: int
    days: int
    size: Any = None

    @property
    def series(self) -> str:
        return SERIES[self.kind]

    def progress(self, day: int) -> float | None:
        """From 0 to 1 how far it has come on a day after the quiet ones; None: not now."""
        passed = day % CYCLE_DAYS - self.first
        return (passed + 1) / self.days if 0 <= passed < self.days else None


@dataclass(frozen=True)
class Line:
    """The work of one supplier. Typical values are of the middle job; sizes lie around them.

    `per_unit` is measured energy: litres per 100 km, or kWh per tonne; `load_kg` is the middle
    load. `fixed` is sent as it is.
    """

    supplier_id: str
    event_type: str
    country: str
    km: float = 0.0
    load_kg: float = 0.0
    tonnes: float = 0.0
    per_unit: float = 0.0
    fixed: dict[str, Any] = field(default_factory=dict)


def _truck(
    supplier: str, country: str, km: float, load: float, cls: str, litres: float = 0
) -> Line:
    fixed = {"vehicle_type": "truck", "fuel_type": "diesel", "vehicle_class": cls}
    return Line(supplier, "logistics", country, km, load, per_unit=litres, fixed=fixed)


def _vans(supplier: str, country: str, km: float, fuel: str) -> Line:
    kind = "electric_vehicle" if fuel == "electric" else "van"
    return Line(supplier, "delivery", country, km, fixed={"vehicle_type": kind, "fuel_type": fuel})


def _site(supplier: str, event_type: str, country: str, tonnes: float, kwh: float) -> Line:
    return Line(supplier, event_type, country, tonnes=tonnes, per_unit=kwh)


LINES: tuple[Line, ...] = (
    _truck("Northwind_Freight", "GBR", 140, 4200, "rigid_17"),
    _site("Alpine_Foundry", "factory", "AUT", 8, 620),
    _truck("Fjord_Cargo", "NOR", 320, 11_000, "artic_over_33"),
    _site("Harbour_Cold_Store", "warehouse", "NLD", 40, 38),
    _truck("Rhine_Haulage", "DEU", 210, 6500, "rigid_over_17", litres=24),
    _vans("Metro_Parcels", "FRA", 45, "diesel"),
    _site("Delta_Mills", "factory", "POL", 25, 180),
    _truck("Bergland_Logistik", "CHE", 90, 1300, "rigid_7_5"),
    _site("Iberia_Stores", "warehouse", "ESP", 60, 21),
    _truck("Polar_Dairy", "SWE", 110, 1500, "rigid_7_5", litres=15),
    _vans("Green_Vans", "DEU", 38, "electric"),
    _site("Baltic_Steel", "factory", "LVA", 12, 540),
    _truck("Adria_Lines", "ITA", 260, 9500, "artic_33"),
    _site("Lakeside_Depot", "warehouse", "FIN", 30, 26),
    _truck("Celtic_Couriers", "IRL", 75, 1100, "rigid_7_5"),
    _vans("Quayside_Express", "GBR", 30, "petrol"),
    _site("Carpathia_Glass", "factory", "ROU", 6, 710),
    _truck("Danube_Transport", "HUN", 180, 5200, "rigid_over_17", litres=22),
    _site("Meadow_Foods", "warehouse", "DNK", 50, 31),
    _truck("Atlas_Freight", "MAR", 230, 8800, "artic_33"),
)

PROBLEMS: tuple[Problem, ...] = (
    Problem("Northwind_Freight", "detour", 0, 3, 1.7),
    Problem("Alpine_Foundry", "idling", 2, 14, 1.5),
    Problem("Fjord_Cargo", "half_empty", 6, 40, 0.5),
    Problem("Rhine_Haulage", "wasted_fuel", 12, 8, 1.35),
    Problem("Harbour_Cold_Store", "drift", 20, 50, 1.45),
    Problem("Delta_Mills", "new_normal", 30, CYCLE_DAYS - 30, 1.3),
    Problem("Bergland_Logistik", "worse_vehicle", 45, 60, "rigid_17"),
    Problem("Iberia_Stores", "unit", 60, 3, 1000.0),
    Problem("Polar_Dairy", "silence", 70, 14),
    Problem("Metro_Parcels", "detour", 85, 4, 1.6),
    Problem("Baltic_Steel", "idling", 100, 20, 1.35),
    Problem("Polar_Dairy", "drift", 115, 45, 1.4),
    Problem("Celtic_Couriers", "detour", 130, 2, 2.0),
    Problem("Adria_Lines", "half_empty", 140, 50, 0.45),
    Problem("Danube_Transport", "unit", 155, 2, 1000.0),
    Problem("Carpathia_Glass", "idling", 170, 12, 1.6),
    Problem("Lakeside_Depot", "silence", 185, 20),
    Problem("Celtic_Couriers", "worse_vehicle", 195, 45, "rigid_17"),
    Problem("Danube_Transport", "wasted_fuel", 210, 10, 1.3),
    Problem("Northwind_Freight", "detour", 225, 3, 1.5),
    Problem("Meadow_Foods", "drift", 235, 45, 1.5),
    Problem("Quayside_Express", "detour", 250, 3, 1.8),
    Problem("Atlas_Freight", "half_empty", 255, 40, 0.5),
    Problem("Alpine_Foundry", "idling", 285, 15, 1.4),
)


@dataclass(frozen=True)
class MadeUp:
    """An event as it is written, when it happens, and the problem that it is part of."""

    moment: datetime
    event: Event
    problem: Problem | None = None


def lines(count: int) -> tuple[Line, ...]:
    """The first suppliers; beyond those of the script, further ones without problems."""
    further = (
        Line(
            f"{model.supplier_id}_{number // len(LINES) + 1}",
            model.event_type,
            model.country,
            model.km,
            model.load_kg,
            model.tonnes,
            model.per_unit,
            model.fixed,
        )
        for number in range(len(LINES), count)
        for model in (LINES[number % len(LINES)],)
    )
    return (*LINES[:count], *further)


def day(seed: int, start: datetime, number: int, suppliers: Sequence[Line]) -> list[MadeUp]:
    """All events of the day `number` after `start`, in order of time."""
    made = [event for line in suppliers for event in _jobs(seed, start, number, line)]
    return sorted(made, key=lambda each: (each.moment, each.event["supplier_id"]))


def days(seed: int, start: datetime, suppliers: Sequence[Line]) -> Iterator[list[MadeUp]]:
    """Day after day from `start` on, for ever."""
    number = 0
    while True:
        yield day(seed, start, number, suppliers)
        number += 1


def problem_of(supplier_id: str, number: int) -> Problem | None:
    """The problem that a supplier has on a day after the start."""
    if number < QUIET_DAYS:
        return None
    own = (problem for problem in PROBLEMS if problem.supplier_id == supplier_id)
    return next((each for each in own if each.progress(number - QUIET_DAYS) is not None), None)


def _jobs(seed: int, start: datetime, number: int, line: Line) -> Iterator[MadeUp]:
    # Of its own for each supplier and day: a day can be made without those before it.
    rng = random.Random(f"{seed}/{line.supplier_id}/{number}")  # noqa: S311 - sample data
    midnight = (start + timedelta(days=number)).astimezone(UTC)
    problem = problem_of(line.supplier_id, number)
    progress = None if problem is None else problem.progress(number - QUIET_DAYS)
    for job in range(rng.randint(5, 6)):
        # Working hours, one job after the other.
        moment = midnight + timedelta(hours=6 + 2.3 * job + rng.uniform(0, 2))
        event = _measure(line, rng)
        if problem is not None and progress is not None:
            if problem.kind == "silence":
                continue
            _spoil(event, problem, progress, rng)
        rounded = {name: _rounded(value) for name, value in event.items()}
        yield MadeUp(moment, rounded, problem)


def _size(rng: random.Random) -> float:
    """Of a job beside the middle one: log-normal, and within ten times from least to most."""
    size: float = 10 ** max(-0.5, min(0.5, rng.gauss(0, 0.22)))
    return size


def _measure(line: Line, rng: random.Random) -> Event:
    """A job that goes as it should."""
    event: Event = {
        "event_type": line.event_type,
        "supplier_id": line.supplier_id,
        "country": line.country,
        **line.fixed,
    }

    def noise(sigma: float) -> float:
        return rng.lognormvariate(0, sigma)

    if line.event_type in ("logistics", "delivery"):
        planned = line.km * _size(rng)
        driven = planned * noise(0.03)
        event |= {"planned_distance_km": planned, "distance_km": driven, "stop_events": 1}
        if line.event_type == "logistics":
            event |= {"load_kg": line.load_kg * _size(rng) ** 0.6, "speed": rng.uniform(52, 68)}
        else:
            drops = max(1, round(planned * rng.uniform(0.7, 0.9)))
            event |= {"route_length": driven, "delivery_count": drops}
            event |= {"traffic_score": rng.randint(2, 7)}
            del event["distance_km"], event["stop_events"]
        if line.per_unit:
            laden = 0.8 + 0.2 * event["load_kg"] / line.load_kg  # a fuller truck takes some more
            event["fuel_litres"] = driven * line.per_unit / 100 * laden * noise(0.04)
    else:
        tonnes = line.tonnes * _size(rng)
        event["energy_kwh"] = tonnes * line.per_unit * noise(0.04)
        if line.event_type == "factory":
            event |= {"output_quantity": tonnes, "output_unit": "t", "shift_hours": 8}
        else:
            event |= {"throughput_t": tonnes, "temperature": rng.uniform(2, 6)}
            event |= {"inventory_volume": line.tonnes * 12, "refrigeration_load": 4}
    return event


def _spoil(event: Event, problem: Problem, progress: float, rng: random.Random) -> None:
    """Make the event one of the problem."""
    energy = "fuel_litres" if "fuel_litres" in event else "energy_kwh"
    if problem.kind == "detour":
        if rng.random() < 0.85:
            km = "distance_km" if "distance_km" in event else "route_length"
            event[km] *= problem.size * rng.uniform(0.92, 1.08)
    elif problem.kind == "half_empty":
        event["load_kg"] *= problem.size
    elif problem.kind == "worse_vehicle":
        event["vehicle_class"] = problem.size
    elif problem.kind == "drift":
        event[energy] *= 1 + (problem.size - 1) * progress
    else:  # idling, wasted fuel, a new normal, a wrong unit
        event[energy] *= problem.size


def _rounded(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value
