"""From an event to a prediction: primary data before the model, the model before defaults.

Both are kept where both are known, and told apart: a ratio outside of 1/3 to 3 is flagged, outside
of 1/10 to 10 the event is implausible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from worker.events import Event, Implausible
from worker.kilograms import plausible
from worker.kilograms.activity import activity
from worker.kilograms.energy import Basis, measured, year_of
from worker.kilograms.terms import (
    DECLARED,
    PROXY,
    ZERO,
    Estimate,
    Grid,
    Record,
    Term,
    decimal,
    to_the_gram,
)
from worker.kilograms.transport import modelled
from worker.suppliers import Supplier

MODEL_VERSION = "kilograms-1"
FLAG_RATIO, QUARANTINE_RATIO = 3, 10
TRANSPORTS = plausible.TRANSPORTS
MOST_ACTIVITY = 1e15  # beyond it a quotient with it would lose its digits
MOST_KG = Decimal(plausible.MOST_KG)  # a Decimal is quickly compared with another one only


@dataclass(slots=True, kw_only=True)
class Prediction:
    """kg CO2e of one event, rounded to the gram, and where they come from.

    `co2_kg` is well to wheel. `kg_ttw` and `kg_wtt` are its parts, None where only the sum is
    known. `kg_model` is what distance, class and load lead to beside primary data. `activity` is in
    the unit of `activity_basis`, None for the basis `none`. `dq` runs from 1 (metered) to 5
    (proxy). `estimated`: something was assumed that the event does not say. `terms` are the
    products that were added up; they are not stored.
    """

    co2_kg: float
    kg_ttw: float | None = None
    kg_wtt: float | None = None
    kg_model: float | None = None
    kg_biogenic: float | None = None
    scopes: dict[str, float] = field(default_factory=dict)
    method: str = "service"
    factor_set: str = ""
    factors_sha256: str | None = None
    model_version: str = MODEL_VERSION
    factor_ids: tuple[str, ...] = ()
    grid: Grid | None = None
    vehicle_class: str | None = None
    kg_per_km: float | None = None
    activity: float | None = None
    activity_basis: str = "none"
    inputs: dict[str, tuple[Any, str]] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    dq: int = PROXY
    estimated: bool = False
    terms: Sequence[Term] = ()

    @property
    def in_range(self) -> bool:
        return plausible.UNUSUAL.isdisjoint(self.flags)

    def common(self) -> dict[str, Any]:
        """Give the columns of `predictions` that are the same for many events of a key."""
        grid = self.grid
        return _given(
            {
                "model_version": self.model_version,
                "factor_set": self.factor_set,
                "factors_sha256": self.factors_sha256,
                "method": self.method,
                "factor_ids": list(self.factor_ids),
                "grid_country": grid and grid.country,
                "grid_year": grid and grid.year,
                "grid_basis": grid and grid.basis,
                "vehicle_class": self.vehicle_class,
                "kg_per_km": self.kg_per_km,
                "activity_basis": self.activity_basis,
                "flags": list(self.flags),
                "dq": self.dq,
                "estimated": self.estimated,
                "in_range": self.in_range,
            }
        )

    def row(self) -> dict[str, Any]:
        """Give the columns of `predictions` but for the event's own and the verdict.

        What is None is left out.
        """
        own = {
            "predicted_co2": self.co2_kg,
            "kg_ttw": self.kg_ttw,
            "kg_wtt": self.kg_wtt,
            "kg_model": self.kg_model,
            "kg_biogenic": self.kg_biogenic,
            "scopes": self.scopes,
            "activity": self.activity,
            "inputs": {name: list(value) for name, value in self.inputs.items()},
        }
        return self.common() | _given(own)


def _given(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def calculate(event: Event, supplier: Supplier, basis: Basis) -> Prediction:
    """Give the kilograms of an event. Raises Implausible.

    An event that was released from quarantine is taken as it is, whatever its ranges.
    """
    plausible.check(event)
    primary, model = _estimates(event, supplier, basis)
    best = primary or model
    stated = _stated(event, best)
    if stated is not None:
        model, best = best, stated
    elif primary is None:
        model = None
    if best is None:
        reason = "it gives no energy_kwh, fuel, heat or co2e_kg"
        raise Implausible("energy", reason)
    return _prediction(event, supplier, basis, best, model)


def _estimates(
    event: Event, supplier: Supplier, basis: Basis
) -> tuple[Estimate | None, Estimate | None]:
    """Give the estimates by measured energy and by the model, where there are such.

    Raises Implausible when there is neither, nor stated kilograms, for a transport.
    """
    enough = _states_all(event)
    try:
        primary = measured(event, supplier, basis)
    except Implausible:
        if not enough:
            raise
        primary = None
    if event.event_type not in TRANSPORTS:
        return primary, None
    try:
        return primary, modelled(event, supplier, basis)
    except Implausible:
        if primary is None and event.co2e_kg is None:
            raise
        if primary is None and not enough and event.co2e_boundary != "ttw":
            raise
        return primary, None


def _states_all(event: Event) -> bool:
    return (
        event.co2e_kg is not None and event.co2e_boundary == "wtw" and event.co2e_method is not None
    )


def _stated(event: Event, other: Estimate | None) -> Estimate | None:
    """Give the estimate by the kilograms that the source states, None where they do not count."""
    if event.co2e_kg is None or not (_states_all(event) or event.co2e_boundary == "ttw"):
        return None
    record = Record()
    record.take("co2e_kg", event.co2e_kg)
    record.take("co2e_boundary", event.co2e_boundary)
    record.lower(DECLARED)
    if event.co2e_method is not None:
        record.take("co2e_method", event.co2e_method)
    kg = decimal(event.co2e_kg)
    method, grid = "primary", None
    if event.co2e_boundary == "wtw":
        # Only the sum is stated; its parts are those of the other estimate, where there is one.
        share = other.ttw / other.total if other is not None and other.total else None
        record.flag("split_modelled" if share is not None else "split_unknown")
        ttw, wtt = (kg, ZERO) if share is None else (kg * share, kg * (1 - share))
    elif other is None:
        record.flag("wtt_missing")
        record.lower(PROXY)
        ttw, wtt = kg, ZERO
    else:
        ttw, wtt, method, grid = kg, other.wtt, other.method, other.grid
        record.inputs.update(other.record.inputs)
        record.assumed = other.record.assumed
        record.flags.extend(other.record.flags)
        record.flag("ttw_stated")
        record.lower(other.record.dq)
    term = Term(
        "stated by the source",
        "stated",
        Decimal(1),
        "event",
        ttw,
        wtt,
        (*_ids(other.terms),) if event.co2e_boundary == "ttw" and other else (),
        None,
    )
    return Estimate.of([term], method, record, grid=grid)


def _ids(terms: Sequence[Term]) -> tuple[str, ...]:
    if len(terms) == 1 and len(terms[0].ids) == 1:
        return terms[0].ids
    return tuple(dict.fromkeys(name for term in terms for name in term.ids))


def _prediction(
    event: Event, supplier: Supplier, basis: Basis, best: Estimate, model: Estimate | None
) -> Prediction:
    """Give the chosen estimate with what is told beside it."""
    record, terms, factors = best.record, best.terms, basis.factors
    operator = _operator(event, supplier, record)
    if model is not None and model.total:
        _compare(event, best, model)
    for name in plausible.unusual(event):
        record.flag(name)
    if event.co2e_kg is not None and "co2e_kg" not in record.inputs:
        record.flag("co2e_unused")
    if _of_another_year(terms, year_of(event)):
        record.flag("factor_year")
    amount, unit, flag = activity(event)
    if flag is not None:
        record.flag(flag)
    if amount is not None and amount > MOST_ACTIVITY:
        reason = f"an activity of {amount:.3g} ({unit}): an input is far too large"
        raise Implausible("range", reason)
    total = best.total
    largest = total if model is None else max(total, model.total)
    if largest > MOST_KG:
        raise Implausible("range", f"{largest:.3g} kg CO2e: an input is far too large")
    kg = to_the_gram(total)
    ttw, wtt = _parts(best, kg)
    scopes = _own_scopes(best) if operator == "us" else {_scope(event, operator): kg}
    shown = best if best.vehicle_class or model is None else model
    return Prediction(
        co2_kg=kg,
        kg_ttw=ttw,
        kg_wtt=wtt,
        kg_model=None if model is None else to_the_gram(model.total),
        kg_biogenic=_biogenic(terms),
        scopes=scopes,
        method=best.method,
        factor_set=factors.name,
        factors_sha256=factors.sha256,
        factor_ids=_ids(terms),
        grid=best.grid,
        vehicle_class=shown.vehicle_class,
        kg_per_km=shown.kg_per_km,
        activity=amount,
        activity_basis=unit,
        inputs=record.inputs,
        flags=tuple(record.flags),
        dq=record.dq,
        estimated=record.assumed,
        terms=terms,
    )


def _operator(event: Event, supplier: Supplier, record: Record) -> str:
    operator, origin = event.operated_by, "event"
    if operator is None:
        operator, origin = supplier.operated_by, "setting"
    if operator is None:
        return "supplier"
    record.take("operated_by", operator, origin)
    return operator


def _compare(event: Event, best: Estimate, model: Estimate) -> None:
    """Hold primary data against the model."""
    ratio = best.total / model.total
    if not Decimal(1) / QUARANTINE_RATIO <= ratio <= QUARANTINE_RATIO and not event.released:
        column = next(name for name in best.record.inputs if name not in ("fuel_type", "country"))
        reason = (
            f"{column} leads to {best.total:.1f} kg CO2e where distance, class and load lead "
            f"to {model.total:.1f}: a unit may be wrong"
        )
        raise Implausible("disagrees", reason, column, event.quantity(column))
    if not Decimal(1) / FLAG_RATIO <= ratio <= FLAG_RATIO:
        best.record.flag("primary_disagrees")
    litres = event.fuel_litres is not None and model.ttw
    if litres and not Decimal("0.5") <= best.ttw / model.ttw <= 2:
        best.record.flag("consumption_unusual")


def _of_another_year(terms: Sequence[Term], year: int | None) -> bool:
    if year is not None:
        for term in terms:
            if term.year != year and term.year is not None:
                return True
    return False


def _parts(best: Estimate, kg: float) -> tuple[float | None, float | None]:
    """Give the kilograms of operation and supply, `kg` their sum; None where only it is known."""
    if "split_unknown" in best.record.flags:
        return None, None
    if not best.ttw:
        return 0.0, kg
    return to_the_gram(best.ttw), to_the_gram(best.wtt)


def _biogenic(terms: Sequence[Term]) -> float | None:
    found = [term.quantity * term.biogenic for term in terms if term.biogenic]
    return to_the_gram(sum(found, ZERO)) if found else None


def _scope(event: Event, operator: str) -> str:
    """Give the scope of the GHG Protocol that another operator's kilograms are in."""
    if event.event_type == "factory":
        return "3.1"
    return "3.9" if operator == "customer" else "3.4"


def _own_scopes(best: Estimate) -> dict[str, float]:
    """Give the kilograms of our own operation by scope of the GHG Protocol."""
    scopes: dict[str, Decimal] = {}
    for term in best.terms:
        for name, kg in _scopes_of(term, best.record):
            scopes[name] = scopes.get(name, ZERO) + kg
    return {name: to_the_gram(kg) for name, kg in scopes.items()}


def _scopes_of(term: Term, record: Record) -> Iterable[tuple[str, Decimal]]:
    match term.kind:
        case "electricity" if term.scope2 is not None:
            generated = term.quantity * term.scope2
            return (("2", generated), ("3.3", term.kg_wtt - generated))
        case "electricity":
            # A life-cycle figure cannot be parted: no clean figure of scope 2.
            record.flag("scope2_lifecycle")
            return (("2", term.kg_wtt),)
        case "heat":
            return (("2", term.kg_ttw), ("3.3", term.kg_wtt))
        case "stated" if "split_unknown" in record.flags:
            return (("unsplit", term.kg_ttw),)
        case _:
            return (("1", term.kg_ttw), ("3.3", term.kg_wtt))
