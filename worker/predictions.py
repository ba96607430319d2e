"""Who predicts the kilograms of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Protocol

from pydantic_core import to_json

from worker.events import Event, Implausible, Key, UnusableEvent
from worker.kilograms.calculate import Prediction, calculate
from worker.kilograms.energy import Basis
from worker.suppliers import Suppliers

Outcome = Prediction | Implausible | UnusableEvent


class Predictor(Protocol):
    """Something that predicts; one outcome per event, in the order of the events.

    `suppliers` is what is known of them before the first event; what the events teach is noted
    there.
    """

    async def predict(self, events: Sequence[Event], suppliers: Suppliers) -> Sequence[Outcome]: ...


@dataclass(frozen=True)
class FactorPredictor:
    """Predicts by published emission factors."""

    basis: Basis

    async def predict(self, events: Sequence[Event], suppliers: Suppliers) -> Sequence[Outcome]:
        return [predict(event, suppliers, self.basis) for event in events]


def predict(event: Event, suppliers: Suppliers, basis: Basis) -> Outcome:
    """Predict one event by what is known of its supplier, and learn from it."""
    try:
        prediction = calculate(event, suppliers.of(event), basis)
    except Implausible as exc:
        return exc
    except ArithmeticError as exc:
        # Only a released event gets here: no one event may stop the others.
        reason = f"its numbers cannot be computed with: {type(exc).__name__}"
        return Implausible("range", reason)
    suppliers.learn(event)
    return prediction


class Columns:
    """The predictions of a batch by column, as `write_computed` takes them.

    A row for each event would be four times as long: most columns are the same for many events.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[Any, ...], int] = {}
        self._common: list[dict[str, Any]] = []
        self._own: list[tuple[Any, ...]] = []

    def add(
        self,
        event: Event,
        key: Key,
        prediction: Prediction,
        day: int,
        hot: bool,
        usual: tuple[float | None, float | None],
    ) -> None:
        """Take the prediction of the next event.

        `key` is the event's, `day` is counted from 1 January 1970, `usual` what it usually costs
        and the scatter of that.
        """
        common = (key, *COMMON(prediction))
        kind = self._kinds.get(common)
        if kind is None:
            self._common.append({**key._asdict(), **prediction.common()})
            kind = self._kinds[common] = len(self._common)
        self._own.append((event.id, kind, event.occurred_at, day, hot, *usual, *OWN(prediction)))

    def parts(self) -> dict[str, Any]:
        """Give them: texts of arrays, and JSON where there are objects.

        A figure that no event has is left out.
        """
        columns = list(zip(*self._own, strict=True)) or [()] * len(COLUMNS)
        given = dict(zip(COLUMNS, columns, strict=True))
        objects = {name: given.pop(name) for name in ("scopes", "inputs")}
        arrays = {
            name: _array(values)
            for name, values in given.items()
            if values.count(None) < len(values)
        }
        return {"kinds": self._common, **objects, **arrays}


COMMON = attrgetter(
    "method", "factor_ids", "grid", "vehicle_class", "kg_per_km", "activity_basis", "flags", "dq",
    "estimated", "model_version", "factor_set", "factors_sha256",
)  # fmt: skip
FIGURES = ("predicted_co2", "kg_ttw", "kg_wtt", "kg_model", "kg_biogenic", "activity")
COLUMNS = (
    "event_id", "kind", "occurred_at", "day", "hotspot", "expected_kg", "spread", *FIGURES,
    "scopes", "inputs",
)  # fmt: skip
OWN = attrgetter("co2_kg", *FIGURES[1:], "scopes", "inputs")


def _array(values: Sequence[float | datetime | None]) -> str:
    """Give the text of a PostgreSQL array, which for these is that of JSON in other brackets."""
    return f"{{{to_json(values)[1:-1].decode()}}}"
