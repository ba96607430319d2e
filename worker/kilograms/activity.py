"""What the work of an event is measured by, so that its kilograms can be compared.

ISO 14083 measures a transport by the shortest feasible or the great-circle distance, never by the
driven one: else a detour would improve the intensity.
"""

from __future__ import annotations

from typing import NamedTuple

from worker.events import Event
from worker.kilograms.plausible import kilometres


class Activity(NamedTuple):
    """An amount and what it is an amount of; `flag` says what is wrong with that basis."""

    amount: float | None
    basis: str
    flag: str | None = None


NONE = Activity(None, "none")
DIRECT = (
    ("sfd_km", "sfd", None),
    ("gcd_km", "gcd", None),
    ("planned_distance_km", "planned", "planned_distance"),
)


def activity(event: Event) -> Activity:
    """Give the first available activity of the event's type."""
    match event.event_type:
        case "logistics":
            return _transport(event)
        case "delivery":
            if event.delivery_count:
                return Activity(event.delivery_count, "deliveries")
            return _transport(event)
        case "warehouse":
            return _warehouse(event)
        case _:
            return _output(event)


def _transport(event: Event) -> Activity:
    for name, basis, flag in DIRECT:
        if km := event.quantity(name):
            return _of_km(event, km, basis, flag)
    if not (km := kilometres(event)):
        return NONE
    return _of_km(event, km, "actual", "actual_distance")


def _of_km(event: Event, km: float, basis: str, flag: str | None) -> Activity:
    """Tonne-km, or km where the load is unknown or nothing."""
    if event.load_kg:
        return Activity(event.load_kg / 1000 * km, f"t_km_{basis}", flag)
    return Activity(km, f"km_{basis}", flag)


def _warehouse(event: Event) -> Activity:
    if event.throughput_t:
        return Activity(event.throughput_t, "throughput_t")
    if event.pallets:
        return Activity(event.pallets, "pallets")
    if event.output_quantity:
        return _output(event)
    if event.inventory_volume:
        return Activity(event.inventory_volume, "m3_days", "one_day_assumed")
    return NONE


def _output(event: Event) -> Activity:
    """The unit is part of the basis: tonnes and pieces are never compared."""
    if not event.output_quantity:
        return NONE
    unit = (event.output_unit or "").strip().lower()
    return Activity(event.output_quantity, f"output:{unit}" if unit else "output")
