"""Which events the worker will put into quarantine, told before they are written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from worker.events import Event, Implausible, UnusableEvent
from worker.kilograms import plausible
from worker.kilograms.energy import Basis
from worker.predictions import predict
from worker.suppliers import Suppliers

# Whether there is a factor for an event follows from these and from which columns it has ...
NAMES = (
    "event_type",
    "vehicle_type",
    "fuel_type",
    "vehicle_class",
    "temperature_control",
    "shared_vehicle",
    "furnace_unit",
    "co2e_boundary",
    "country",
)
# ... unless it states something measured, which may contradict the rest of it.
MEASURED = frozenset(("fuel_litres", "fuel_kg", "natural_gas_kwh", "heat_kwh", "co2e_kg"))


class Forecast:
    """What the worker would say of the events of one file, in the order of the file.

    Kilograms are computed as the worker does, but only once for all events that differ in nothing
    but harmless numbers. The settings of a supplier are not known here.
    """

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._suppliers = Suppliers([], basis.factors.truck_classes)
        self._known: dict[tuple[Any, ...], tuple[str | None, bool]] = {}
        self.without_country = 0
        """Events whose electricity the worker computes with the world's grid."""

    def __call__(self, values: Mapping[str, Any]) -> str | None:
        """Give the reason for quarantine of an event of ingest, None for none."""
        given = dict(values)
        moment = datetime.fromisoformat(given.pop("timestamp"))
        for name in ("route_id", "warehouse_id", "factory_id"):
            given.pop(name, None)
        event = Event(id=0, occurred_at=moment, **given)
        kind = (*map(values.get, NAMES), *values)
        # What a mini truck is counted as depends on its load.
        if (
            kind in self._known
            and event.vehicle_type != "mini_truck"
            and not MEASURED & given.keys()
        ):
            try:
                plausible.check(event)
            except Implausible as implausible:
                return str(implausible)
            reason, assumed = self._known[kind]
            self.without_country += assumed
            return reason
        outcome = predict(event, self._suppliers, self._basis)
        if not isinstance(outcome, (Implausible, UnusableEvent)):
            assumed = "country_assumed" in outcome.flags
            self._known[kind] = None, assumed
            self.without_country += assumed
            return None
        if isinstance(outcome, UnusableEvent) or outcome.kind in ("factor", "energy", "unit"):
            self._known[kind] = str(outcome), False
        return str(outcome)
