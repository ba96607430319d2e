"""What was emitted between two days: one line per supplier and kind of work, and totals.

Sums are of decimals, so that lines, totals and stored predictions agree to the gram.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from worker.database import Database
from worker.detection.reason import unit_of
from worker.errors import UsageError
from worker.kilograms.countries import WORLD
from worker.kilograms.explain import METHODS, QUALITY
from worker.logs import printable

Row = dict[str, Any]

KILOGRAMS = ("kg", "kg_ttw", "kg_wtt", "usual_kg", "excess_kg")
SCOPES = {
    "scope_1": "1, direct",
    "scope_2": "2, purchased energy",
    "scope_3_1": "3.1, purchased goods",
    "scope_3_3": "3.3, fuel and energy supply",
    "scope_3_4": "3.4, upstream transport",
    "scope_3_9": "3.9, downstream transport",
    "unscoped": "not divided, with rounding",
}
COUNTS = ("events", "hot", "estimated", "judged")
COLUMNS = (
    "entity",
    "event_type",
    "since",
    "until",
    "method",
    "basis",
    "country",
    "dq",
    *COUNTS,
    *KILOGRAMS,
    "activity",
    "intensity",
    *SCOPES,
)
LARGEST = 20  # suppliers that Markdown names
GRAM = Decimal("0.001")
_BREAKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")  # other spaces belong to names


def add_parser(commands: Any) -> None:
    """Add `report` to the parser of `python -m worker`."""
    parser = commands.add_parser(
        "report",
        help="kg CO2e between two days, as CSV or Markdown",
        description="Sums what the worker computed, to the gram: as CSV one line per supplier, "
        "kind of work and way to find the kilograms, as Markdown the totals by scope, method and "
        "quality. Days are those of WORKER_TIMEZONE; events that retention has pruned are in it.",
    )
    parser.add_argument("--from", dest="since", required=True, metavar="DAY", help="2026-01-01")
    parser.add_argument("--to", dest="until", required=True, metavar="DAY", help="included")
    parser.add_argument(
        "--by", choices=("total", "month", "day"), default="total", help="lines of the CSV"
    )
    parser.add_argument("--format", choices=("csv", "markdown"), default="csv")
    parser.add_argument("--output", metavar="FILE", help="instead of the terminal")


async def run(options: argparse.Namespace, database: Database) -> int:
    """Write the report; 0. Raises UsageError."""
    since, until = _day("--from", options.since), _day("--to", options.until)
    if until < since:
        raise UsageError(f"--to {until} is before --from {since}")
    rows = [row async for row in database.emissions(since, until, options.by)]
    held = len(await database.select("quarantine", "event_id", state="held"))

    if options.format == "csv":
        text = io.StringIO()
        write_csv(rows, text)
        _write(text.getvalue(), options.output)
        sys.stderr.writelines(f"{warning}\n" for warning in warnings(rows, held))
    else:
        lines = markdown(rows, since, until, held)
        _write("".join(f"{line}\n" for line in lines), options.output)
    return 0


def _write(text: str, output: str | None) -> None:
    if output is None:
        if sys.stdout.isatty():  # a file or a program gets the names as they are
            text = "\n".join(map(printable, text.split("\n")))
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, encoding="utf-8", newline="")
    except OSError as exc:
        raise UsageError(f"{output} cannot be written: {exc.strerror}") from exc


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a day such as 2026-01-31") from None


def exact(value: Any) -> Decimal:
    """Give a number of the database as the decimal that it is printed as."""
    return Decimal(0) if value is None else Decimal(repr(value))


def total(rows: Iterable[Row], column: str) -> Decimal:
    """Add a column up, to the gram."""
    return sum((exact(row[column]) for row in rows), Decimal(0))


def write_csv(rows: Iterable[Row], file: TextIO) -> None:
    """Write the lines with a head. A text that a spreadsheet would compute is set off by a '."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_cell(name, row[name]) for name in COLUMNS)


def _cell(name: str, value: Any) -> Any:
    if name in KILOGRAMS or name in SCOPES:
        return f"{exact(value):.3f}"
    if isinstance(value, str) and value[:1] in "=+-@\t\r":
        return f"'{value}"
    return value


def warnings(rows: Sequence[Row], held: int) -> Iterator[str]:
    """Say what a reader has to know beside the figures."""
    assumed = total((row for row in rows if row["country"] == WORLD), "kg")
    if assumed:
        yield (
            f"{_kg(assumed)} kg are of electricity of an unknown country, computed with the "
            "world's average grid: set GRID_COUNTRY, or `suppliers set NAME --country`"
        )
    if held:
        number = f"{held}{' or more' if held >= 1000 else ''}"
        yield f"{number} events are held in quarantine and are in no total"


def markdown(rows: Sequence[Row], since: date, until: date, held: int) -> Iterator[str]:
    """Give the report as Markdown: each table adds up to the total."""
    whole = total(rows, "kg")
    events = sum(row["events"] for row in rows)
    yield f"# Emissions from {since} to {until}"
    yield ""
    if not rows:
        yield "No event of these days has kilograms."
        return
    excess = total(rows, "excess_kg")
    yield (
        f"**{_kg(whole)} kg CO2e** (well to wheel) of {events:,} events; tank to wheel "
        f"{_kg(total(rows, 'kg_ttw'))}, well to tank {_kg(total(rows, 'kg_wtt'))}."
    )
    if whole:
        yield (
            f"The same work usually costs {_kg(whole - excess)} kg: {_kg(excess)} kg "
            f"({excess / whole:+.1%}) above. {sum(row['judged'] for row in rows):,} events were "
            f"compared, {sum(row['hot'] for row in rows):,} were hot."
        )
    yield from (line for text in warnings(rows, held) for line in ("", f"> {text}."))
    scopes = [(name, total(rows, column)) for column, name in SCOPES.items()]
    yield from _table("Scope", [(name, kg, None) for name, kg in scopes if kg], whole)
    for title, name_of in _GROUPS:
        yield from _table(title, _grouped(rows, name_of), whole)
    suppliers = sorted(_grouped(rows, _entity), key=lambda line: (-line[1], line[0]))
    shown = suppliers[:LARGEST]
    if rest := suppliers[LARGEST:]:
        kg = sum((line[1] for line in rest), Decimal(0))
        shown.append((f"{len(rest)} others", kg, sum(line[2] or 0 for line in rest)))
    yield from _table("Supplier", shown, whole)


Line = tuple[str, Decimal, int | None]


def _grouped(rows: Iterable[Row], name_of: Callable[[Row], str]) -> list[Line]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[name_of(row)].append(row)
    return [
        (name, total(group, "kg"), sum(row["events"] for row in group))
        for name, group in sorted(groups.items())
    ]


def _entity(row: Row) -> str:
    return str(row["entity"])


def _quality(row: Row) -> str:
    return f"{row['dq']}, {QUALITY.get(row['dq'], 'not known')}"


def _method(row: Row) -> str:
    return f"{row['method']}, {METHODS.get(row['method'], 'by another predictor')}"


def _activity(row: Row) -> str:
    unit = "" if row["basis"] == "none" else f", per {unit_of(row['basis'])}"
    return f"{row['event_type']}{unit}"


_GROUPS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("Method", _method),
    ("Quality of the data", _quality),
    ("Kind of work", _activity),
)


def _table(title: str, lines: Iterable[Line], whole: Decimal) -> Iterator[str]:
    yield from ("", f"| {title} | kg CO2e | share | events |", "|---|---:|---:|---:|")
    added, counted = Decimal(0), 0
    for name, kg, events in lines:
        added, counted = added + kg, counted + (events or 0)
        share = f"{kg / whole:.1%}" if whole else ""
        number = "" if events is None else f"{events:,}"
        yield f"| {_escaped(name)} | {_kg(kg)} | {share} | {number} |"
    yield f"| **total** | **{_kg(added)}** | | {f'{counted:,}' if counted else ''} |"


def _escaped(name: str) -> str:
    """Keep names from ending a cell, or from being read as markup."""
    text = "".join(f"\\{c}" if c in "\\|`*_[]<>#" else c for c in name)
    return _BREAKS.sub(" ", text).strip(" ")


def _kg(kilograms: Decimal) -> str:
    return f"{kilograms.quantize(GRAM):,}"
