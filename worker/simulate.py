"""What-if: the kilograms of events with another vehicle, load, fuel or country. Writes nothing."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from worker import vehicles
from worker.advice import UNMEASURED
from worker.database import Database
from worker.errors import UsageError
from worker.events import Event, Implausible, UnusableEvent
from worker.kilograms.calculate import Prediction, calculate
from worker.kilograms.countries import alpha3
from worker.kilograms.energy import Basis
from worker.kilograms.plausible import TRANSPORTS
from worker.kilograms.terms import ZERO, Term, to_the_gram
from worker.suppliers import Supplier

OK, NOT_FOUND = 0, 1
GRAM = Decimal("0.001")
SHOWN_REASONS = 5

Row = dict[str, Any]


def add_parser(commands: Any) -> None:
    """Add `simulate` to the parser of `python -m worker`."""
    parser = commands.add_parser(
        "simulate",
        help="kilograms of an event, or of a supplier, with another vehicle, load, fuel, country",
        description="Computes stored events as they are and with what is given changed, and shows "
        "kg CO2e before and after, factor by factor. Nothing is written. Where fuel was measured, "
        "the change is that of the model: measured litres know no other vehicle.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--event", type=int, metavar="EVENT_ID")
    which.add_argument("--supplier", metavar="NAME", help="all of its events that are stored")
    parser.add_argument("--from", dest="since", metavar="DAY", help="of the supplier's events")
    parser.add_argument("--to", dest="until", metavar="DAY", help="included")
    parser.add_argument("--vehicle", metavar="TYPE", help="e.g. truck, van, electric_vehicle")
    parser.add_argument("--vehicle-class", metavar="CLASS", help="e.g. artic_33, van_III")
    parser.add_argument("--fuel", metavar="FUEL", help="e.g. diesel, cng, electric")
    parser.add_argument("--load-kg", type=float, metavar="KG", help="load of each trip")
    parser.add_argument("--country", metavar="ISO", help="of the electricity, e.g. FR")
    parser.add_argument("--json", action="store_true")


@dataclass(frozen=True, slots=True)
class Change:
    """What is changed; None stays as it is."""

    vehicle_type: str | None = None
    vehicle_class: str | None = None
    fuel_type: str | None = None
    load_kg: float | None = None
    country: str | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Change:
        """Read the options. Raises UsageError."""
        try:
            vehicle, fuel = vehicles.normalised(options.vehicle, options.fuel)
            country = options.country and alpha3(options.country)
        except ValueError as exc:
            raise UsageError(str(exc)) from exc
        if options.load_kg is not None and not 0 < options.load_kg <= 60_000:
            raise UsageError("--load-kg must be above 0 and at most 60000")
        change = cls(vehicle, options.vehicle_class, fuel, options.load_kg, country or None)
        if change == cls():
            raise UsageError("say what to change: --vehicle, --vehicle-class, --fuel, ...")
        return change

    def applied(self, event: Event) -> Event:
        """Give the event with the changes that mean something for its kind of work."""
        if event.event_type not in TRANSPORTS:
            return event if self.country is None else event.changed(country=self.country)
        given = {
            name: value for name in self.__slots__ if (value := getattr(self, name)) is not None
        }
        if self.vehicle_type is not None and self.vehicle_class is None:
            given["vehicle_class"] = None  # that of the former vehicle
            if self.fuel_type is None:
                given["fuel_type"] = None
        return event.changed(**given)


@dataclass(slots=True)
class Sums:
    """kg CO2e before and after, of so many events, in total and by factor.

    Totals are of events rounded to the gram, as predictions are; lines of factors are not.
    """

    events: int = 0
    measured: int = 0
    before: Decimal = ZERO
    after: Decimal = ZERO
    by_factor: dict[str, list[Decimal]] = field(
        default_factory=lambda: defaultdict(lambda: [ZERO] * 2)
    )
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, event: Event, change: Change, supplier: Supplier, basis: Basis) -> None:
        """Compute an event both ways."""
        changed = change.applied(event)
        try:
            before = calculate(event, supplier, basis)
            if before.method == "primary" and _by_model(event, changed):
                pair = self._modelled(before, event, changed, supplier, basis)
                self.measured += 1
            else:
                pair = _terms(before, 1), _terms(calculate(changed, supplier, basis), 1)
        except Implausible as exc:
            self.refused[str(exc)] += 1
            return
        self.events += 1
        totals = [to_the_gram(sum((kg for _, kg in terms), ZERO)) for terms in pair]
        self.before += Decimal(repr(totals[0]))
        self.after += Decimal(repr(totals[1]))
        for place, terms in enumerate(pair):
            for label, kg in terms:
                self.by_factor[label][place] += kg

    @staticmethod
    def _modelled(
        before: Prediction, event: Event, changed: Event, supplier: Supplier, basis: Basis
    ) -> tuple[Sequence[tuple[str, Decimal]], Sequence[tuple[str, Decimal]]]:
        """Scale measured kilograms as the model changes."""
        model = calculate(event.changed(**UNMEASURED), supplier, basis)
        other = calculate(changed.changed(**UNMEASURED), supplier, basis)
        if not model.co2_kg:
            raise Implausible("energy", "the model gives no kg to compare with")
        share = sum((kg for _, kg in _terms(before, 1)), ZERO) / Decimal(repr(model.co2_kg))
        return _terms(before, 1), _terms(other, share)

    def row(self) -> Row:
        """Give everything as plain JSON, kg to the gram."""
        return {
            "events": self.events,
            "kg_before": _gram(self.before),
            "kg_after": _gram(self.after),
            "saved_kg": _gram(self.before - self.after),
            "scaled_by_the_model": self.measured,
            "factors": [
                {"factor": label, "kg_before": _gram(before), "kg_after": _gram(after)}
                for label, (before, after) in sorted(self.by_factor.items())
            ],
            "refused": dict(self.refused),
        }


def _by_model(event: Event, changed: Event) -> bool:
    """Say whether what changes is something that measured fuel does not know of."""
    if event.event_type not in TRANSPORTS:
        return False
    names = ("vehicle_type", "vehicle_class", "fuel_type", "load_kg")
    return any(getattr(event, name) != getattr(changed, name) for name in names)


def _terms(prediction: Prediction, share: Decimal | int) -> list[tuple[str, Decimal]]:
    return [(_label(term), (term.kg_ttw + term.kg_wtt) * share) for term in prediction.terms]


def _label(term: Term) -> str:
    return f"{term.label}, {term.year}" if term.year is not None else term.label


def _gram(kilograms: Decimal) -> float:
    return float(kilograms.quantize(GRAM))


async def run(options: argparse.Namespace, database: Database, basis: Basis) -> int:
    """Simulate, print, and give the exit status. Raises UsageError."""
    change = Change.of(options)
    since, until = _day("--from", options.since), _day("--to", options.until)
    sums, found = Sums(), False
    supplier: Supplier | None = None
    async for row in _events(options, database):
        found = True
        day = row["timestamp"][:10]
        if (since and day < since) or (until and day > until):
            continue
        if supplier is None:
            supplier = await _supplier(database, row["supplier_id"])
        try:
            # What was judged once is computed as it is.
            event = Event.from_row(dict(row) | {"released": True})
        except (Implausible, UnusableEvent) as exc:
            sums.refused[str(exc)] += 1
            continue
        sums.add(event, change, supplier, basis)
    if not found:
        what = f"event {options.event}" if options.event is not None else options.supplier
        sys.stderr.write(f"there is nothing stored of {what}\n")
        return NOT_FOUND
    shown = sums.row()
    lines = [json.dumps(shown, indent=2)] if options.json else _lines(shown)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return OK if sums.events else NOT_FOUND


def _day(option: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a day such as 2026-01-31") from None


async def _events(options: argparse.Namespace, database: Database) -> AsyncIterator[Row]:
    wanted = (
        {"id": options.event} if options.event is not None else {"supplier_id": options.supplier}
    )
    after = None
    while rows := await database.select("events_normalized", "id", after, **wanted):
        for row in rows:
            yield row
        after = rows[-1]["id"]


async def _supplier(database: Database, name: str) -> Supplier:
    rows = await database.select("suppliers", "supplier_id", supplier_id=name)
    return Supplier.from_row(rows[0]) if rows else Supplier(name)


def _lines(shown: Mapping[str, Any]) -> Iterator[str]:
    before, after, saved = shown["kg_before"], shown["kg_after"], shown["saved_kg"]
    if shown["events"]:
        share = f" ({-saved / before:+.1%})" if before else ""
        yield f"{shown['events']:,} events: {before:,.3f} kg CO2e before, {after:,.3f} after{share}"
        yield ""
        yield f"{'kg before':>16}{'kg after':>16}  factor"
        for line in shown["factors"]:
            yield f"{line['kg_before']:>16,.3f}{line['kg_after']:>16,.3f}  {line['factor']}"
    if number := shown["scaled_by_the_model"]:
        yield f"{number:,} of them are measured: their kilograms change as the model's do"
    for reason, number in list(shown["refused"].items())[:SHOWN_REASONS]:
        yield f"{number:,} events cannot be computed: {reason}"
