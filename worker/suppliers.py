"""What holds for all events of a supplier: its class of truck, country, capacity and operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from worker.events import Event

LOADS_NEEDED = 12
TRUCKS = ("truck", "truck_cng")


@dataclass(frozen=True, slots=True)
class Supplier:
    """A row of `suppliers`; None is what is not known. `vehicle_class` is known once there were
    `LOADS_NEEDED` loads, or a person set it."""

    supplier_id: str = ""
    vehicle_class: str | None = None
    vehicle_class_origin: str | None = None
    vehicle_capacity_kg: float | None = None
    country: str | None = None
    operated_by: str | None = None
    loads: int = 0
    largest_load_kg: float | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Supplier:
        return cls(**{name: row[name] for name in cls.__slots__})

    def row(self) -> dict[str, Any]:
        """Give what `commit_batch` takes."""
        return {
            "supplier_id": self.supplier_id,
            "vehicle_class": self.vehicle_class,
            "vehicle_class_origin": self.vehicle_class_origin,
            "loads": self.loads,
            "largest_load_kg": self.largest_load_kg,
        }


def smallest_class(load_kg: float, classes: Iterable[tuple[str, Decimal]]) -> str:
    """Give the smallest of the classes (smallest payload first) that holds the load, or the
    largest."""
    last = ""
    for last, payload in classes:
        if load_kg <= payload:
            return last
    return last


class Suppliers:
    """The suppliers of a batch: a fold over its events in order of arrival.

    The class follows from the loads that came first, so it does not depend on how the events were
    divided into batches.
    """

    def __init__(
        self, rows: Iterable[Mapping[str, Any]], classes: Iterable[tuple[str, Decimal]]
    ) -> None:
        self._known = {row["supplier_id"]: Supplier.from_row(row) for row in rows}
        self._classes = tuple(classes)
        self._changed: set[str] = set()

    def of(self, event: Event) -> Supplier:
        """Give what is known of the event's supplier, before this event."""
        supplier = self._known.get(event.supplier_id)
        if supplier is None:
            supplier = self._known[event.supplier_id] = Supplier(event.supplier_id)
        return supplier

    def learn(self, event: Event) -> None:
        """Count the load of a plausible event."""
        load = event.load_kg
        if (
            load is None
            or event.vehicle_class is not None
            or event.vehicle_type not in TRUCKS
            or event.shared_vehicle
        ):
            return
        supplier = self.of(event)
        if supplier.vehicle_class is not None:
            return
        supplier = replace(
            supplier,
            loads=supplier.loads + 1,
            largest_load_kg=max(load, supplier.largest_load_kg or 0.0),
        )
        if supplier.loads >= LOADS_NEEDED:
            cls = smallest_class(supplier.largest_load_kg or 0.0, self._classes)
            supplier = replace(supplier, vehicle_class=cls, vehicle_class_origin="loads")
        self._known[event.supplier_id] = supplier
        self._changed.add(event.supplier_id)

    def rows(self) -> list[dict[str, Any]]:
        """Give the rows of those that changed."""
        return [self._known[name].row() for name in sorted(self._changed)]
