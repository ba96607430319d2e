"""One supply-chain event as it stands in `events_normalized`, with units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from worker import vehicles

EVENT_TYPES = ("logistics", "factory", "warehouse", "delivery")

# Column -> unit. All of them are zero or more, except the temperature.
QUANTITIES = {
    "distance_km": "km",
    "load_kg": "kg",
    "speed": "km/h",
    "stop_events": "stops",
    "energy_kwh": "kWh",
    "furnace_usage": "model units",
    "cooling_load": "kWh",
    "shift_hours": "h",
    "machine_runtime_hours": "h",
    "temperature": "degrees C",
    "refrigeration_load": "model units",
    "inventory_volume": "m3",
    "route_length": "km",
    "traffic_score": "1 to 10",
    "delivery_count": "deliveries",
}
ABSOLUTE_ZERO = -273.15  # degrees C


class UnusableEvent(Exception):
    """The event can never be judged; the text says why, for the person who sent it."""


class Key(NamedTuple):
    """What has a baseline and at most one open episode."""

    entity: str
    entity_type: str
    event_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event with canonical names and finite quantities; what is unknown is None."""

    id: int
    event_type: str
    supplier_id: str
    vehicle_type: str | None = None
    fuel_type: str | None = None
    distance_km: float | None = None
    load_kg: float | None = None
    speed: float | None = None
    stop_events: float | None = None
    energy_kwh: float | None = None
    furnace_usage: float | None = None
    cooling_load: float | None = None
    shift_hours: float | None = None
    machine_runtime_hours: float | None = None
    temperature: float | None = None
    refrigeration_load: float | None = None
    inventory_volume: float | None = None
    route_length: float | None = None
    traffic_score: float | None = None
    delivery_count: float | None = None

    @property
    def key(self) -> Key:
        return Key(self.supplier_id, "supplier", self.event_type)

    def quantity(self, column: str) -> float | None:
        """Give the quantity in the unit of QUANTITIES, None when it is unknown."""
        value: float | None = getattr(self, column)
        return value

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Event:
        """Read a row of `events_normalized`; rows of other writers are checked here as well.

        Raises UnusableEvent.
        """
        try:
            vehicle, fuel = vehicles.normalised(
                row.get("vehicle_type") or None, row.get("fuel_type") or None
            )
            quantities = {name: checked(name, row.get(name)) for name in QUANTITIES}
        except ValueError as exc:
            raise UnusableEvent(str(exc)) from exc
        event_type = str(row.get("event_type") or "").strip().lower()
        if event_type not in EVENT_TYPES:
            raise UnusableEvent(f"event_type {row.get('event_type')!r} is unknown")
        supplier = row.get("supplier_id") or ""
        if not supplier.strip():
            raise UnusableEvent("supplier_id is missing")
        return cls(
            id=row["id"],
            event_type=event_type,
            supplier_id=supplier,  # unchanged: by it the database finds the baseline again
            vehicle_type=vehicle,
            fuel_type=fuel,
            **quantities,
        )


def checked(column: str, value: Any) -> float | None:
    """Give the quantity as a float, None for None.

    Raises ValueError when it is not a number, not finite, or below what is physically possible.
    """
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{column} {value!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{column} {value!r} is not a finite number")
    if column == "temperature":
        if number < ABSOLUTE_ZERO:
            raise ValueError(f"temperature {value!r} is below absolute zero")
    elif number < 0:
        raise ValueError(f"{column} {value!r} is negative")
    return number
