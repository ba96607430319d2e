"""What the worker will make of the events of a file, told before they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from worker.detection.series import ABSOLUTE, EVENT, PERIOD, Identity
from worker.events import Event, Implausible, UnusableEvent
from worker.kilograms import plausible
from worker.kilograms.activity import activity
from worker.kilograms.energy import Basis
from worker.predictions import predict
from worker.readings import Kilograms
from worker.suppliers import Supplier, Suppliers

# Whether there is a factor for an event, and which detector it is for, follows from these and from
# which columns it has, and has as 0 ...
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
    "output_unit",
)
# ... unless it states something measured, which may contradict the rest of it.
MEASURED = frozenset(("fuel_litres", "fuel_kg", "natural_gas_kwh", "heat_kwh", "co2e_kg"))
FAHRENHEIT = (60, 140)  # degrees C that no place has, and that are ordinary in degrees F


class Foreseen(NamedTuple):
    """What will become of an event.

    `reason` is that of its quarantine, None for none. `identity` is the detector that learns from
    it, None where none does: it is held, or has no kilograms.
    """

    reason: str | None
    identity: Identity | None


class Forecast:
    """What the worker would say of the events of one file, in the order of their time.

    Kilograms are computed as the worker does, but only once for all events that differ in nothing
    but harmless numbers. `know` tells the settings of suppliers.
    """

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._suppliers = Suppliers([], basis.factors.truck_classes)
        self._settings: dict[str, tuple[Any, ...]] = {}
        self._known: dict[tuple[Any, ...], tuple[Foreseen, bool]] = {}
        self.without_country = 0
        """Events whose electricity the worker computes with the world's grid."""

    def know(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take rows of `suppliers`: before the first event."""
        rows = list(rows)
        self._suppliers = Suppliers(rows, self._basis.factors.truck_classes)
        for row in rows:
            supplier = Supplier.from_row(row)
            by_person = supplier.vehicle_class_origin == "person"
            self._settings[supplier.supplier_id] = (
                supplier.vehicle_class if by_person else None,
                supplier.vehicle_capacity_kg,
                supplier.country,
                supplier.operated_by,
            )

    def __call__(self, values: Mapping[str, Any]) -> Foreseen:
        """Say what becomes of an event of ingest."""
        given = dict(values)
        moment = datetime.fromisoformat(given.pop("timestamp"))
        for name in ("route_id", "warehouse_id", "factory_id"):
            given.pop(name, None)
        event = Event(id=0, occurred_at=moment, **given)
        zeros = [name for name, value in given.items() if not value] if 0 in given.values() else ()
        settings = self._settings.get(event.supplier_id)
        kind = (*map(values.get, NAMES), settings, *given, None, *zeros)
        # What a mini truck is counted as depends on its load.
        plain = event.vehicle_type != "mini_truck" and not MEASURED & given.keys()
        if event.energy_kwh is not None and event.event_type in plausible.TRANSPORTS:
            plain = False  # the vehicle's meter may contradict the distance
        if plain and kind in self._known:
            try:
                plausible.check(event)
            except Implausible as implausible:
                return _held(implausible)
            foreseen, assumed = self._known[kind]
            self.without_country += assumed
            return foreseen
        foreseen, assumed, lasting = self._computed(event)
        if lasting:
            self._known[kind] = foreseen, assumed
        self.without_country += assumed
        return foreseen

    def of_stored(self, row: Mapping[str, Any]) -> Foreseen:
        """Say what becomes of a row of `events_normalized`."""
        try:
            event = Event.from_row(row)
        except (Implausible, UnusableEvent) as error:
            return Foreseen(str(error), None)
        return self._computed(event)[0]

    def _computed(self, event: Event) -> tuple[Foreseen, bool, bool]:
        """What becomes of an event, if a country is assumed, and if that holds for its like."""
        outcome = predict(event, self._suppliers, self._basis)
        if isinstance(outcome, Implausible):
            return _held(outcome), False, outcome.kind in ("factor", "energy", "unit")
        if isinstance(outcome, UnusableEvent):
            return Foreseen(str(outcome), None), False, True
        kilograms = Kilograms.of(outcome)
        basis = activity(event).basis
        series = PERIOD if basis == ABSOLUTE else EVENT
        identity = Identity(series, kilograms.method, basis, kilograms.country)
        usable = kilograms.kg > 0
        foreseen = Foreseen(None, identity if usable else None)
        return foreseen, "country_assumed" in outcome.flags, usable


def _held(why: Implausible) -> Foreseen:
    reason = str(why)
    least, most = FAHRENHEIT
    if why.column == "temperature" and isinstance(why.value, float) and least < why.value <= most:
        reason += "; if these are degrees F, say --units temperature=f"
    return Foreseen(reason, None)
