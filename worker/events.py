"""One supply-chain event as it stands in `events_normalized`, with units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from worker import vehicles
from worker.kilograms.countries import alpha3

EVENT_TYPES = ("logistics", "factory", "warehouse", "delivery")

# Column -> unit. All of them are zero or more, except the temperature.
QUANTITIES = {
    "distance_km": "km",
    "load_kg": "kg",
    "speed": "km/h",
    "stop_events": "stops",
    "empty_km": "km",
    "sfd_km": "km",
    "gcd_km": "km",
    "planned_distance_km": "km",
    "vehicle_capacity_kg": "kg",
    "fuel_litres": "litres",
    "fuel_kg": "kg",
    "energy_kwh": "kWh",
    "natural_gas_kwh": "kWh",
    "heat_kwh": "kWh",
    "co2e_kg": "kg",
    "furnace_usage": "of furnace_unit",
    "cooling_load": "kWh",
    "shift_hours": "h",
    "machine_runtime_hours": "h",
    "temperature": "degrees C",
    "refrigeration_load": "model units",
    "inventory_volume": "m3",
    "route_length": "km",
    "traffic_score": "1 to 10",
    "delivery_count": "deliveries",
    "throughput_t": "t",
    "pallets": "pallets",
    "output_quantity": "of output_unit",
}

# Column -> spelling in small letters, blanks and hyphens as "_" -> what it means.
CHOICES: Mapping[str, Mapping[str, str]] = {
    "temperature_control": {
        "ambient": "ambient",
        "none": "ambient",
        "dry": "ambient",
        "refrigerated": "refrigerated",
        "chilled": "refrigerated",
        "frozen": "refrigerated",
        "reefer": "refrigerated",
    },
    "furnace_unit": {
        "litre/h": "litre/h",
        "litres/h": "litre/h",
        "liter/h": "litre/h",
        "l/h": "litre/h",
        "kwh": "kWh",
    },
    "co2e_boundary": {"wtw": "wtw", "well_to_wheel": "wtw", "ttw": "ttw", "tank_to_wheel": "ttw"},
    "operated_by": {
        "us": "us",
        "carrier": "carrier",
        "supplier": "supplier",
        "customer": "customer",
    },
}
TEXTS = ("vehicle_class", "co2e_method", "output_unit")
ABSOLUTE_ZERO = -273.15  # degrees C


class UnusableEvent(Exception):
    """The event can never be judged; the text says why, for the person who sent it."""


class Implausible(Exception):
    """The event is to be quarantined until it is mended or a person releases it.

    `kind` is one of those of the table `quarantine`; `column` and `value` are what the event says.
    """

    def __init__(
        self, kind: str, reason: str, column: str | None = None, value: object = None
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.column = column
        self.value = value

    def row(self, event_id: int) -> dict[str, Any]:
        """Give the entry of `quarantined` for `commit_batch`."""
        return {
            "event_id": event_id,
            "kind": self.kind,
            "reason": str(self)[:1000],
            "column_name": self.column,
            "raw_value": None if self.value is None else str(self.value)[:1000],
        }


class Key(NamedTuple):
    """What has a baseline and at most one open episode."""

    entity: str
    entity_type: str
    event_type: str


@dataclass(slots=True, kw_only=True)
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
    empty_km: float | None = None
    sfd_km: float | None = None
    gcd_km: float | None = None
    planned_distance_km: float | None = None
    vehicle_capacity_kg: float | None = None
    fuel_litres: float | None = None
    fuel_kg: float | None = None
    natural_gas_kwh: float | None = None
    heat_kwh: float | None = None
    co2e_kg: float | None = None
    throughput_t: float | None = None
    pallets: float | None = None
    output_quantity: float | None = None
    occurred_at: datetime | None = None
    arrived_at: datetime | None = None
    vehicle_class: str | None = None
    shared_vehicle: bool | None = None
    temperature_control: str | None = None
    furnace_unit: str | None = None
    co2e_boundary: str | None = None
    co2e_method: str | None = None
    country: str | None = None
    operated_by: str | None = None
    output_unit: str | None = None
    released: bool = False

    @property
    def key(self) -> Key:
        return Key(self.supplier_id, "supplier", self.event_type)

    def quantity(self, column: str) -> float | None:
        """Give the quantity in the unit of QUANTITIES, None when it is unknown."""
        value: float | None = getattr(self, column)
        return value

    def changed(self, **columns: Any) -> Event:
        """Give a copy with other values; dataclasses.replace() takes ten times as long."""
        other = object.__new__(Event)
        for name in Event.__slots__:
            setattr(other, name, getattr(self, name))
        for name, value in columns.items():
            setattr(other, name, value)
        return other

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Event:
        """Read a row of `events_normalized`; rows of other writers are checked here as well.

        `released` is a mark of `claim_events`: a person said that the event is right. Raises
        UnusableEvent, and Implausible for a name that has no meaning here.
        """
        try:
            columns: dict[str, Any] = {
                # Most are floats from 0 on, which need no closer look.
                name: value
                if type(value) is float and 0 <= value < math.inf
                else checked(name, value)
                for name, value in row.items()
                if value is not None and name in QUANTITIES
            }
        except ValueError as exc:
            raise UnusableEvent(str(exc)) from exc
        vehicle, fuel = _names(row)
        event_type = str(row.get("event_type") or "").strip().lower()
        if event_type not in EVENT_TYPES:
            raise UnusableEvent(f"event_type {row.get('event_type')!r} is unknown")
        supplier = row.get("supplier_id") or ""
        if not supplier.strip():
            raise UnusableEvent("supplier_id is missing")
        columns["occurred_at"] = _time("timestamp", row.get("timestamp"))
        columns["arrived_at"] = _time("created_at", row.get("created_at"))
        for name in TEXTS:
            if name in row:
                columns[name] = _text(row[name])
        if row.get("country") is not None:
            columns["country"] = _country(row["country"])
        for name in CHOICES:
            if name in row:
                columns[name] = choice(name, row)
        return cls(
            id=row["id"],
            event_type=event_type,
            supplier_id=supplier,  # unchanged: by it the database finds the baseline again
            vehicle_type=vehicle,
            fuel_type=fuel,
            shared_vehicle=row.get("shared_vehicle"),
            released=bool(row.get("released")),
            **columns,
        )


def _names(row: Mapping[str, Any]) -> tuple[str | None, str | None]:
    given = row.get("vehicle_type") or None, row.get("fuel_type") or None
    try:
        return vehicles.normalised(*given)
    except ValueError as exc:
        column = "fuel_type" if str(exc).startswith("fuel_type") else "vehicle_type"
        raise Implausible("factor", str(exc), column, row.get(column)) from exc


def _time(column: str, value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError as exc:  # infinity, or before the common era
        raise Implausible("time", f"{column} {value!r} is not a time", column, value) from exc


def _text(value: Any) -> str | None:
    return None if value is None else value.strip() or None


def _country(value: str) -> str | None:
    text = _text(value)
    try:
        return text and alpha3(text)
    except ValueError as exc:
        raise Implausible("factor", f"country {exc}", "country", value) from exc


def choice(column: str, row: Mapping[str, Any]) -> str | None:
    """Give the meaning of a text of `CHOICES`, None for none. Raises Implausible."""
    value = row.get(column)
    if value is None or (text := _text(value)) is None:
        return None
    known = CHOICES[column]
    meaning = known.get(text.lower().replace("-", "_").replace(" ", "_"))
    if meaning is None:
        names = ", ".join(dict.fromkeys(known.values()))
        raise Implausible("unit", f"{column} {value!r} is unknown (known: {names})", column, value)
    return meaning


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
