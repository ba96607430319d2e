"""What the switched-on faults do to changes on their way to the subscribers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from emulator.faults.registry import Fault, Faults

Lane = Literal["postgres_changes", "broadcast"]
T = TypeVar("T")

NAMES = ("withhold", "duplicate", "reorder")


@dataclass(frozen=True, slots=True)
class Passage(Generic[T]):
    """An item under way: its row, by which order is kept, and its table where it has one."""

    item: T
    row: Hashable
    table: str | None = None


def passing(faults: Faults, lane: Lane, items: Sequence[Passage[T]]) -> list[T]:
    """The items that go on, in the order in which they do; the faults count the others."""
    withholding = faults.active("withhold")
    left = [
        passage
        for passage in items
        if not any(_meets(f, lane, passage) and faults.hit(f) for f in withholding)
    ]
    faults.lost["withheld"] += len(items) - len(left)
    for fault in faults.active("duplicate"):
        left = _doubled(faults, fault, lane, left)
    for fault in faults.active("reorder"):
        left = _mixed(faults, fault, lane, left)
    return [passage.item for passage in left]


def late(faults: Faults, lane: Lane, items: int) -> float:
    """How many seconds the next `items` are to come later."""
    delays = [f for f in faults.active("delay") if f.options["lane"] in ("all", lane)]
    return sum(float(f.options["by"]) for f in delays if items and faults.hit(f, items))


def _meets(fault: Fault, lane: Lane, passage: Passage[T]) -> bool:
    wanted = fault.options
    return wanted["lane"] in ("all", lane) and wanted["table"] in (None, passage.table)


def _doubled(faults: Faults, fault: Fault, lane: Lane, items: list[Passage[T]]) -> list[Passage[T]]:
    twice: list[Passage[T]] = []
    for passage in items:
        twice += [passage] * (1 + (_meets(fault, lane, passage) and faults.hit(fault)))
    return twice


def _mixed(faults: Faults, fault: Fault, lane: Lane, items: list[Passage[T]]) -> list[Passage[T]]:
    """The rows in the opposite order, each with its own changes as they were."""
    taken = [p for p in items if _meets(fault, lane, p)]
    rows: dict[Hashable, list[Passage[T]]] = {}
    for passage in taken:
        rows.setdefault(passage.row, []).append(passage)
    if len(rows) < 2 or not faults.hit(fault, len(taken)):
        return items
    mixed = iter([passage for row in reversed(rows.values()) for passage in row])
    return [next(mixed) if _meets(fault, lane, p) else p for p in items]
