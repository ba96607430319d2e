"""Commands that look at what the worker stored, and correct it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from worker import report, simulate, usual
from worker.database import Database, Row
from worker.detection.observation import Rules
from worker.errors import UsageError
from worker.kilograms.countries import alpha3
from worker.kilograms.energy import Basis
from worker.kilograms.explain import explanation, lines
from worker.logs import printable
from worker.recompute import basis_row, class_rows
from worker.suppliers import Supplier

Connect = Callable[[], AbstractAsyncContextManager[Database]]
ScanOnce = Callable[[Database, Callable[[Row], None]], Any]
"""Scans, telling each step of a recomputation; the summary."""

OK, NOT_FOUND = 0, 1
PAGE = 1000  # ids in one call
LOOK_SECONDS = 1.0
OPERATORS = ("us", "carrier", "supplier", "customer")


def add_parsers(commands: Any) -> None:
    """Add the commands to the parser of `python -m worker`."""
    _add_quarantine(commands)
    _add_suppliers(commands)
    again = commands.add_parser(
        "recompute",
        help="compute stored events anew, with the factors and settings of now",
        description="Computes stored events anew and has their past judged anew. What was computed "
        "with another set of factors stays beside it. Interrupted, it goes on where it was.",
    )
    again.add_argument("--supplier", metavar="NAME", help="only the events of this supplier")
    again.add_argument(
        "--classes-from-loads",
        action="store_true",
        help="first derive the class of trucks from the newest 200 loads of each supplier, where "
        "no person has set it",
    )
    report.add_parser(commands)
    usual.add_parser(commands)
    simulate.add_parser(commands)
    explain = commands.add_parser(
        "explain",
        help="show how the kilograms of an event came about",
        description="Shows inputs, factors with their sources, and the arithmetic to the gram.",
    )
    explain.add_argument("event", type=int, metavar="EVENT_ID", help="id of events_normalized")
    explain.add_argument("--json", action="store_true", help="as JSON")


def _add_quarantine(commands: Any) -> None:
    parser = commands.add_parser(
        "quarantine",
        help="show, release or drop events that are implausible or have no emission factor",
        description="Held events are neither judged nor learned from. An event that is mended in "
        "its table, or gets a factor, is judged by itself; release says that it is right as it is.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    shown = actions.add_parser("list", help="show them with reason and value")
    shown.add_argument("--state", choices=("held", "released", "dropped"), default="held")
    shown.add_argument("--json", action="store_true", help="one JSON object per line")
    _add_selection(shown)
    for name, text in (
        ("release", "have them judged as they are, whatever their ranges"),
        ("drop", "leave them out for good"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        action.add_argument("events", type=int, nargs="*", metavar="EVENT_ID")
        action.add_argument("--all", action="store_true", help="all that are held")
        _add_selection(action)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--supplier", metavar="NAME", help="only those of this supplier")
    parser.add_argument(
        "--kind",
        choices=("range", "factor", "energy", "unit", "time", "size", "disagrees", "history"),
        help="only those that are held for this",
    )


def _add_suppliers(commands: Any) -> None:
    parser = commands.add_parser(
        "suppliers",
        help="show or set what holds for all events of a supplier",
        description="Class of trucks, capacity, country and operator, for events that do not say "
        "it themselves.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    shown = actions.add_parser("list", help="show them, with where each value comes from")
    shown.add_argument("--json", action="store_true", help="one JSON object per line")
    change = actions.add_parser(
        "set",
        help="set some of it, and compute the supplier's events anew",
        description="Sets what is given; `none` takes it back. The supplier's events are computed "
        "anew, so that all of them are compared alike.",
    )
    change.add_argument("supplier", metavar="NAME")
    change.add_argument("--vehicle-class", metavar="CLASS", help="e.g. rigid_7_5, artic_over_33")
    change.add_argument("--capacity-kg", metavar="KG", help="payload, instead of the class's")
    change.add_argument("--country", metavar="ISO", help="of its electricity, e.g. DE")
    change.add_argument("--operated-by", metavar="WHO", help=", ".join(OPERATORS))


async def run(
    options: argparse.Namespace,
    connect: Connect,
    basis: Basis,
    scan_once: ScanOnce,
    rules: Rules,
) -> int:
    """Run one of the commands and give the exit status. Raises UsageError and WorkerError."""
    async with connect() as database:
        match options.command:
            case "quarantine":
                return await _quarantine(options, database)
            case "suppliers" if options.action == "list":
                return await _list_suppliers(options, database)
            case "suppliers":
                changes = _changes(options, basis)
                asked = await database.set_supplier(
                    options.supplier, changes, basis_row(basis), class_rows(basis)
                )
                return await _follow(database, asked, scan_once)
            case "recompute":
                asked = await database.request_recompute(
                    options.supplier,
                    "a person asked for it",
                    basis_row(basis),
                    class_rows(basis),
                    options.classes_from_loads,
                )
                return await _follow(database, asked, scan_once)
            case "report":
                return await report.run(options, database)
            case "usual":
                return await usual.run(options, database, rules)
            case "simulate":
                return await simulate.run(options, database, basis)
            case _:
                return await _explain(options, database, basis)


# Quarantine


async def _quarantine(options: argparse.Namespace, database: Database) -> int:
    if options.action == "list":
        return await _list_quarantine(options, database)
    selected = options.all or options.supplier or options.kind
    if bool(options.events) == bool(selected):
        raise UsageError(
            f"say which: python -m worker quarantine {options.action} EVENT_ID ..., or --supplier, "
            "--kind or --all"
        )
    events = list(options.events)
    if not events:
        events = [row["event_id"] for row in await _held(options, database, "held")]
    verdict = "released" if options.action == "release" else "dropped"
    done = 0
    for first in range(0, len(events), PAGE):
        done += await database.decide_quarantine(events[first : first + PAGE], verdict)
    print(f"{verdict}={done} of {len(events)}")
    if done < len(events):
        print(
            "the others are not held, or are too large to be read, or have no possible time",
            file=sys.stderr,
        )
    if done and verdict == "released":
        print("the next scan judges them")
    return OK if done == len(events) else NOT_FOUND


async def _held(options: argparse.Namespace, database: Database, state: str) -> list[Row]:
    wanted = {"state": state}
    if options.supplier:
        wanted["entity"] = options.supplier
    if options.kind:
        wanted["kind"] = options.kind
    return await _all(database, "quarantine", "event_id", **wanted)


async def _all(database: Database, table: str, key: str, **equal: Any) -> list[Row]:
    rows: list[Row] = []
    while page := await database.select(table, key, rows[-1][key] if rows else None, **equal):
        rows += page
    return rows


async def _list_quarantine(options: argparse.Namespace, database: Database) -> int:
    rows = await _held(options, database, options.state)
    if options.json:
        for row in rows:
            print(json.dumps(row))
        return OK
    kinds: dict[str, int] = {}
    for row in rows:
        kinds[row["kind"]] = kinds.get(row["kind"], 0) + 1
        value = f" ({row['column_name']} = {row['raw_value']})" if row["raw_value"] else ""
        line = f"{row['event_id']:>8}  {row['entity']}  {row['event_type']}: {row['reason']}{value}"
        print(printable(line))
    counts = ", ".join(f"{name} {number}" for name, number in sorted(kinds.items()))
    print(f"{len(rows)} {options.state}" + (f": {counts}" if counts else ""))
    return OK


# Suppliers


async def _list_suppliers(options: argparse.Namespace, database: Database) -> int:
    for row in await _all(database, "suppliers", "supplier_id"):
        print(json.dumps(row) if options.json else printable(_supplier_line(row)))
    return OK


def _supplier_line(row: Row) -> str:
    known = [
        f"{name}={row[name]} ({row[f'{name}_origin']})"
        for name in ("vehicle_class", "vehicle_capacity_kg", "country", "operated_by")
        if row[name] is not None
    ]
    if row["vehicle_class"] is None:
        known.append(f"class unknown yet, {row['loads']} of 12 loads")
    return f"{row['supplier_id']}: {', '.join(known)}"


def _changes(options: argparse.Namespace, basis: Basis) -> dict[str, Any]:
    readers: Mapping[str, tuple[str | None, Callable[[str], Any]]] = {
        "vehicle_class": (options.vehicle_class, lambda text: _class(text, basis)),
        "vehicle_capacity_kg": (options.capacity_kg, _capacity),
        "country": (options.country, lambda text: _country(text, basis)),
        "operated_by": (options.operated_by, _operator),
    }
    changes = {
        name: None if text.lower() == "none" else read(text)
        for name, (text, read) in readers.items()
        if text is not None
    }
    if not changes:
        raise UsageError(
            "say what to set: --vehicle-class, --capacity-kg, --country, --operated-by"
        )
    return changes


def _class(text: str, basis: Basis) -> str:
    classes = basis.factors.classes
    cls = classes.get(text.lower().replace("-", "_"))
    if cls is None:
        raise UsageError(
            f"--vehicle-class {text!r} is unknown (known: {', '.join(sorted(classes))})"
        )
    return cls


def _capacity(text: str) -> float:
    try:
        kilograms = float(text)
    except ValueError:
        kilograms = 0.0
    if not 0 < kilograms <= 60_000:
        raise UsageError(f"--capacity-kg {text!r} is not a number above 0 and up to 60000")
    return kilograms


def _country(text: str, basis: Basis) -> str:
    try:
        country = alpha3(text)
    except ValueError as exc:
        raise UsageError(f"--country {exc}") from exc
    if basis.factors.grid(country, None) is None:
        raise UsageError(f"--country {country} has no electricity factor: give one by FACTORS_FILE")
    return country


def _operator(text: str) -> str:
    if text not in OPERATORS:
        raise UsageError(f"--operated-by {text!r} is unknown (known: {', '.join(OPERATORS)})")
    return text


# Recomputing


class _Progress:
    """A line on the terminal after each page, at most one a second into a file."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._first: int | None = None
        self._text = ""

    def __call__(self, row: Row) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = row["events"]
        interactive = sys.stderr.isatty()
        if row["state"] == "running" and now - self._told < (0.2 if interactive else 5.0):
            return
        self._told = now
        rate = (row["events"] - self._first) / max(now - self._began, 0.001)
        left = max(row["total"] - row["events"] - row["quarantined"], 0)
        text = f"recomputed {row['events']} of {row['total']}"
        if rate > 0 and row["state"] == "running":
            text += f", {rate:.0f}/s, {left / rate:.0f} s left"
        if text == self._text:
            return
        self._text = text
        print(
            f"\r{text}\033[K" if interactive else text,
            end="" if interactive else "\n",
            file=sys.stderr,
            flush=True,
        )


async def _follow(database: Database, asked: Row, scan_once: ScanOnce) -> int:
    """Work the recomputation off, or watch the worker that holds the lease do it."""
    if not asked["total"] and asked["supplier_id"] is not None:
        print(f"no event of {asked['supplier_id']!r} is stored: is this its name?", file=sys.stderr)
    progress = _Progress()
    summary = await scan_once(database, progress)
    if summary.outcome == "held":
        print(
            "another worker has the lease and recomputes; Ctrl-C leaves it at it", file=sys.stderr
        )
    row = asked
    while True:
        (row,) = await database.select("recomputes", "id", id=asked["id"])
        progress(row)
        if row["state"] != "running" or summary.outcome != "held":
            break
        await asyncio.sleep(LOOK_SECONDS)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(
        f"recompute {row['id']} {row['state']}: events={row['events']} changed={row['changed']} "
        f"quarantined={row['quarantined']} requeued={row['requeued']}"
    )
    if row["state"] == "running":
        print("the next scan goes on with it", file=sys.stderr)
    return OK


# Explaining


async def _explain(options: argparse.Namespace, database: Database, basis: Basis) -> int:
    events = await database.select("events_normalized", "id", id=options.event)
    if not events:
        print(f"there is no event {options.event}", file=sys.stderr)
        return NOT_FOUND
    (event,) = events
    suppliers = await database.select("suppliers", "supplier_id", supplier_id=event["supplier_id"])
    predictions = await database.select("predictions", "created_at", event_id=options.event)
    quarantined = await database.select("quarantine", "event_id", event_id=options.event)
    found = explanation(
        event,
        Supplier.from_row(suppliers[0]) if suppliers else Supplier(event["supplier_id"]),
        _preferred(predictions, basis),
        quarantined[0] if quarantined else None,
        basis,
    )
    if options.json:
        print(json.dumps(found, indent=2))
        return OK
    for line in lines(found):
        print(printable(line))
    return OK


def _preferred(predictions: Sequence[Row], basis: Basis) -> Row | None:
    """Give the prediction of the set at hand, else the newest."""
    of_set = [row for row in predictions if row["factor_set"] == basis.factors.name]
    newest: Iterator[Row] = reversed(of_set or list(predictions))
    return next(newest, None)
