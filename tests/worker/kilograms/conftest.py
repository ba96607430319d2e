"""Events and suppliers in few words."""

from __future__ import annotations

from typing import Any

from worker.events import Event
from worker.kilograms.calculate import Prediction, calculate
from worker.kilograms.energy import Basis
from worker.kilograms.factors import load
from worker.suppliers import Supplier

FACTORS = load()


def event(event_type: str, **columns: Any) -> Event:
    """An event as it is read from the table."""
    row = {"id": 1, "event_type": event_type, "supplier_id": "A"} | columns
    return Event.from_row(row)


def trip(**columns: Any) -> Event:
    """A transport by a diesel truck, with changes."""
    truck = {"vehicle_type": "truck", "fuel_type": "diesel", "distance_km": 120, "load_kg": 450}
    return event("logistics", **(truck | columns))


def kilograms(
    found: Event, supplier: Supplier | None = None, grid_country: str | None = None
) -> Prediction:
    """The prediction by the bundled factors."""
    return calculate(found, supplier or Supplier("A"), Basis(FACTORS, grid_country))
