"""Figures of several runs as a median and a spread, and ratios within one run. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

FLOOR = "floor-send"

Run = Mapping[str, Any]  # scenario, contestant, clients, round, and its figures


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of `runs` runs, and the least and the most of them."""

    median: float
    least: float
    most: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def as_json(self) -> dict[str, float]:
        """Rounded for a file."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def chosen(runs: Iterable[Run], scenario: str, clients: int | None = None) -> list[Run]:
    """Those of one scenario, and of one number of clients if given."""
    return [
        run for run in runs if run["scenario"] == scenario and clients in (None, run.get("clients"))
    ]


def spread(runs: Iterable[Run], contestant: str, figure: str) -> Spread | None:
    """A figure of one contestant; None when it was not measured."""
    values = [run[figure] for run in runs if run["contestant"] == contestant and figure in run]
    return Spread.of(values) if values else None


def ratio(runs: Sequence[Run], contestant: str, figure: str, to: str = FLOOR) -> Spread | None:
    """A figure of one contestant divided by that of `to` in the same round."""
    floors = {run["round"]: run.get(figure) for run in runs if run["contestant"] == to}
    values = [
        run[figure] / floor
        for run in runs
        if run["contestant"] == contestant and figure in run and (floor := floors.get(run["round"]))
    ]
    return Spread.of(values) if values else None
