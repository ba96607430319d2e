"""Makes up a supply chain: sites that work quietly, spike, drift and recover. Pure and seedable."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]

WARM_UP_EVENTS = 8
"""Quiet events that each line starts with: more than a baseline needs to be ready."""


@dataclass(frozen=True)
class Line:
    """One kind of work of one supplier; `drivers` are the inputs that its emissions grow with.

    Ranges are (low, high) in the units of `events_normalized`; `fixed` is sent as it is.
    """

    supplier_id: str
    event_type: str
    drivers: dict[str, tuple[float, float]]
    others: dict[str, tuple[float, float]] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)


LINES = (
    Line(
        "Northwind_Freight",
        "logistics",
        {"distance_km": (98, 105)},
        {"load_kg": (395, 410), "speed": (62, 68)},
        {"vehicle_type": "truck", "fuel_type": "diesel", "stop_events": 2},
    ),
    Line(
        "Alpine_Foundry",
        "factory",
        {"energy_kwh": (6000, 6200), "furnace_usage": (1.0, 1.1), "cooling_load": (250, 265)},
        fixed={"shift_hours": 8},
    ),
    Line(
        "Harbour_Cold_Store",
        "warehouse",
        {"energy_kwh": (460, 480), "refrigeration_load": (4.0, 4.4)},
        {"temperature": (2, 5), "inventory_volume": (530, 550)},
    ),
    Line(
        "Metro_Parcels",
        "delivery",
        {"distance_km": (13, 14), "delivery_count": (25, 27)},
        {"traffic_score": (3, 4)},
        {"vehicle_type": "van", "fuel_type": "petrol"},
    ),
    Line(
        "Green_Vans",
        "logistics",
        {"distance_km": (45, 49)},
        {"load_kg": (260, 275), "speed": (66, 72)},
        {"vehicle_type": "electric_vehicle", "fuel_type": "electric", "stop_events": 1},
    ),
    Line(
        "Delta_Mills",
        "factory",
        {"energy_kwh": (3400, 3520), "furnace_usage": (1.4, 1.5), "cooling_load": (180, 190)},
        fixed={"shift_hours": 12},
    ),
)


def factors(rng: random.Random, *, quiet_first: int) -> Iterator[float]:
    """What a line's drivers are multiplied by, event by event, for ever.

    Quiet work (1.0) alternates with a short spike or with a drift that grows until it is seen,
    each followed by recovery.
    """
    quiet = quiet_first
    while True:
        yield from (1.0 for _ in range(quiet))
        if rng.random() < 0.7:
            height = rng.choice((1.2, 1.4, 1.8, 2.5))
            yield from (height for _ in range(rng.randint(1, 4)))
        else:
            steps = rng.randint(12, 20)
            yield from (1.0 + 0.6 * step / steps for step in range(1, steps + 1))
        quiet = rng.randint(12, 40)


def measure(line: Line, factor: float, rng: random.Random) -> Event:
    """One event of `line`, without its time."""

    def draw(ranges: dict[str, tuple[float, float]], scale: float) -> Event:
        return {name: round(rng.uniform(*span) * scale, 2) for name, span in ranges.items()}

    return {
        "event_type": line.event_type,
        "supplier_id": line.supplier_id,
        **line.fixed,
        **draw(line.others, 1.0),
        **draw(line.drivers, factor),
    }


def events(seed: int, lines: tuple[Line, ...] = LINES) -> Iterator[Event]:
    """Events of all lines in turn, for ever; the same for the same seed.

    The first `WARM_UP_EVENTS` rounds are quiet, the first line deviates right after them.
    """
    rng = random.Random(seed)  # noqa: S311 - sample data, no secret
    courses = [factors(rng, quiet_first=WARM_UP_EVENTS + 6 * place) for place in range(len(lines))]
    while True:
        for line, course in zip(lines, courses, strict=True):
            yield measure(line, next(course), rng)
