"""Who predicts the kilograms of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.events import Event, Implausible, UnusableEvent
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
