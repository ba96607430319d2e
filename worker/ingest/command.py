"""`python -m worker ingest FILE`: the options, and what the person at the terminal is told."""

from __future__ import annotations

import argparse
import asyncio
import codecs
import contextlib
import csv
import io
import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from worker.detection.detector import READY
from worker.ingest.files import BadRow, CsvRecords, FileError, decoded, lines, size_of
from worker.ingest.forecast import Forecast
from worker.ingest.numbers import units_of
from worker.ingest.order import EventOrder
from worker.ingest.rows import COLUMNS, EventRows, GoodRow, Reading, known_columns, suggestion
from worker.ingest.times import Times
from worker.ingest.workbook import WorkbookRecords
from worker.ingest.writing import Ingested, Key, Table, read, write

FIRST_ROWS = 5
MOST_REPORTED = 200
MOST_KEYS = 50

OK, BAD_ROWS = 0, 1


class Counting(Table, Protocol):
    """A table that also tells how many usable events suppliers have."""

    async def usable_events(self, suppliers: list[str], /) -> Mapping[Key, int]: ...


Connect = Callable[[], AbstractAsyncContextManager[Counting]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ingest`."""
    parser.add_argument("file", metavar="FILE", help="CSV or .xlsx; - is CSV on standard input")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show the first rows as understood and what would be refused; write nothing",
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        type=_renaming,
        metavar='"NAME=COLUMN"',
        help='what a column is called in the file, such as "Distanz=distance_km"; repeatable',
    )
    parser.add_argument(
        "--units",
        type=_units,
        default={},
        metavar="COLUMN=UNIT,...",
        help="units of the file where they are others, such as distance=mi,load=t",
    )
    parser.add_argument(
        "--timezone",
        type=_zone,
        metavar="ZONE",
        help="zone of times that have none, such as Europe/Berlin (UTC)",
    )
    order = parser.add_mutually_exclusive_group()
    order.add_argument(
        "--day-first",
        action="store_true",
        default=None,
        help="05/01/2026 is the fifth of January",
    )
    order.add_argument(
        "--month-first",
        dest="day_first",
        action="store_false",
        help="05/01/2026 is the first of May",
    )
    parser.add_argument(
        "--time",
        choices=("text", "epoch-s", "epoch-ms"),
        default="text",
        help="times are text (the default), or seconds or milliseconds since 1970",
    )
    parser.add_argument(
        "--decimal",
        choices=("point", "comma"),
        help="decimal mark, where the numbers of the file do not show it",
    )
    parser.add_argument(
        "--encoding",
        type=_encoding,
        help="encoding of a file without byte order mark, such as windows-1252 (utf-8)",
    )
    parser.add_argument("--sheet", help="sheet of the workbook (the first that is not empty)")
    parser.add_argument(
        "--refused",
        type=Path,
        metavar="FILE.csv",
        help="also write line and reason of each refused or quarantined row to this file",
    )


def run(options: argparse.Namespace, forecast: Forecast, connect: Connect | None = None) -> int:
    """Read the file, write its events and give the exit status; without `connect` a dry run.

    Raises FileError and WorkerError.
    """
    try:
        return _run(options, forecast, connect)
    except OSError as error:
        what = error.filename or tempfile.gettempdir()
        raise FileError(f"{what} cannot be used: {error.strerror}") from error


def _run(options: argparse.Namespace, forecast: Forecast, connect: Connect | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of any language, any terminal
    times = Times(options.time, options.timezone, options.day_first)
    reading = Reading(times, options.decimal, dict(options.map), options.units)
    with ExitStack() as opened:
        source, fraction = _open(options, reading, opened)
        events = EventRows(source, reading)
        terminal = _Terminal(fraction, opened.enter_context(_listing(options.refused)))
        _say_what_is_skipped(source, events)
        order = EventOrder()
        opened.callback(order.close)
        shown: Iterable[GoodRow | BadRow] = events
        if connect is None:
            _print_understanding(options, source, events)
            shown = _printing_first(events)
        done = read(shown, order, terminal, forecast)
        terminal.say_what_was_not_reported()
        if times.unzoned and times.zone is None:
            _note(f"{times.unzoned} times without a zone were taken as UTC, see --timezone")
        if forecast.without_country:
            _note(
                f"{forecast.without_country} events use electricity of no known country: the "
                "world's average grid is taken; give a column country, or set GRID_COUNTRY"
            )
        if connect is None:
            good = done.usable.total() + done.quarantined
            print(
                f"dry run, nothing was written: rows={good} refused={done.refused} "
                f"quarantined={done.quarantined}"
            )
            _print_keys(done.usable, done.usable)
        else:
            stored = asyncio.run(_write(connect, order, done, terminal))
            print(done)
            _print_keys(done.usable, stored)
    return BAD_ROWS if done.refused else OK


async def _write(
    connect: Connect, order: EventOrder, done: Ingested, terminal: _Terminal
) -> Mapping[Key, int]:
    """Write, and give the usable events that these suppliers have now."""
    async with connect() as table:
        terminal.start_writing(done.usable.total() + done.quarantined)
        await write(table, order, done, terminal)
        stored: dict[Key, int] = {}
        suppliers = iter(sorted({supplier for supplier, _ in _shown_keys(done.usable)}))
        while some := list(itertools.islice(suppliers, 100)):
            stored |= await table.usable_events(some)
        return stored


Source = CsvRecords | WorkbookRecords


def _open(
    options: argparse.Namespace, reading: Reading, opened: ExitStack
) -> tuple[Source, Callable[[int], float | None]]:
    """The file as records, and which share of it so many rows are; None when nobody knows."""

    def known(header: list[str]) -> int:
        return known_columns(header, reading.renamed)

    if options.file == "-":
        piped = opened.enter_context(os.fdopen(os.dup(sys.stdin.fileno()), "rb"))
        return CsvRecords(lines(decoded(piped, options.encoding)), known), _unknown
    path = Path(options.file)
    binary = opened.enter_context(path.open("rb"))
    if binary.peek(4)[:4] == b"PK\x03\x04":
        workbook = WorkbookRecords(path, options.sheet, known)
        return workbook, lambda rows: rows / workbook.height
    if options.sheet is not None:
        raise FileError("--sheet is for workbooks (.xlsx)")
    size = size_of(binary)
    source = CsvRecords(lines(decoded(binary, options.encoding)), known)
    return source, (lambda _: binary.tell() / size) if size else _unknown


def _unknown(rows: int) -> None:
    return None


def _say_what_is_skipped(source: Source, events: EventRows) -> None:
    if source.skipped:
        above = ", ".join(map(repr, source.skipped))
        _note(f"the header is line {source.header_lines.start}; skipped above it: {above[:200]}")
    if events.ignored:
        _note(f"columns that are not known are ignored: {', '.join(map(repr, events.ignored))}")
    for name in events.ignored:
        if meant := suggestion(name, events.columns):
            _note(f'  is {name!r} {meant}? Then say --map "{name}={meant}"')


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _print_understanding(options: argparse.Namespace, source: Source, events: EventRows) -> None:
    if isinstance(source, CsvRecords):
        names = {"\t": "tabs", ",": "commas", ";": "semicolons"}
        cells = names.get(source.delimiter, repr(source.delimiter))
        marks = events.decimal_mark or "point or comma, no cell shows which"
        print(f"{options.file}: cells between {cells}, decimal {marks}")
    else:
        print(f"{options.file}: sheet {source.sheet!r}")
    print("columns:")
    for name, column in events.columns.items():
        unit = options.units.get(column)
        print(f"  {name:<24} -> {column}{f', from {unit}' if unit else ''}")
    for name in events.ignored:
        print(f"  {name:<24}    ignored")
    print("first rows as understood:")


def _printing_first(rows: Iterable[GoodRow | BadRow]) -> Iterator[GoodRow | BadRow]:
    shown = 0
    for row in rows:
        if isinstance(row, GoodRow) and shown < FIRST_ROWS:
            shown += 1
            given = [row.values[name] for name in ("timestamp", "supplier_id", "event_type")]
            rest = [f"{name}={row.values[name]}" for name in COLUMNS[3:] if name in row.values]
            print(f"  line {row.line}: {', '.join(map(str, [*given, *rest]))}")
        yield row


def _shown_keys(usable: Counter[Key]) -> list[Key]:
    """The keys that fit on a screen, those with the fewest events first where not all do."""
    fewest = sorted(usable, key=lambda key: (usable[key], key))
    return sorted(fewest[:MOST_KEYS])


def _print_keys(usable: Counter[Key], stored: Mapping[Key, int]) -> None:
    shown = _shown_keys(usable)
    if not shown:
        return
    width = max(len("supplier"), *(len(supplier) for supplier, _ in shown))
    print(f"{'supplier':<{width}}  {'activity':<9}  {'events':>9}  judged")
    for supplier, activity in shown:
        count = stored.get((supplier, activity), 0)
        missing = READY - count
        when = "yes" if missing <= 0 else f"after {missing} more"
        print(f"{supplier:<{width}}  {activity:<9}  {count:>9,}  {when}")
    if len(usable) > len(shown):
        print(f"... and {len(usable) - len(shown):,} more with as many events or more")


Listing = Callable[[int, str, str], object]


@contextmanager
def _listing(path: Path | None) -> Iterator[Listing]:
    """Where all refused and quarantined rows are listed."""
    if path is None:
        yield lambda line, what, reason: None
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("line", "what", "reason"))
        yield lambda line, what, reason: writer.writerow((line, what, reason))


class _Terminal:
    """Tells the person at the terminal what happens, and how long it will go on."""

    def __init__(self, fraction: Callable[[int], float | None], listing: Listing) -> None:
        self._fraction = fraction
        self._listing = listing
        self._reported = 0
        self._rows = 0
        self._started = time.monotonic()

    def refused(self, row: BadRow) -> None:
        self._row(row.line, "refused", row.reason)

    def quarantined(self, line: int, reason: str) -> None:
        self._row(line, "quarantined", reason)

    def _row(self, line: int, what: str, reason: str) -> None:
        self._listing(line, what, reason)
        self._reported += 1
        if self._reported <= MOST_REPORTED:
            _note(f"line {line}: {what}: {reason}")

    def say_what_was_not_reported(self) -> None:
        if (more := self._reported - MOST_REPORTED) > 0:
            _note(f"... and {more:,} more such rows; --refused FILE.csv lists all")

    def reading(self, rows: int) -> None:
        self._progress("read", rows, self._fraction(rows))

    def start_writing(self, rows: int) -> None:
        self._rows = rows
        self._started = time.monotonic()

    def writing(self, done: Ingested) -> None:
        rows = done.written + done.repeated
        self._progress("wrote", rows, rows / self._rows)

    def _progress(self, verb: str, rows: int, fraction: float | None) -> None:
        seconds = time.monotonic() - self._started
        left = ""
        if fraction is not None and fraction > 0:
            minutes, rest = divmod(round(seconds / fraction - seconds), 60)
            left = f", {min(fraction, 1):.0%}, {minutes}:{rest:02d} left"
        pace = rows / max(seconds, 0.001)
        _note(f"{verb} {rows:,} rows, {pace:,.0f} rows/s{left}")


def _renaming(text: str) -> tuple[str, str]:
    name, sign, column = text.rpartition("=")
    if not sign or not name.strip():
        raise argparse.ArgumentTypeError(f'{text!r} is not "NAME=COLUMN"')
    return name.strip(), _column(column)


def _units(text: str) -> dict[str, str]:
    units = {}
    for part in text.split(","):
        name, sign, unit = part.partition("=")
        if not sign:
            raise argparse.ArgumentTypeError(f"{part!r} is not COLUMN=UNIT")
        column = _column(name, measured=True)
        known = units_of(column)
        if unit.strip().lower() not in known:
            what = f"one of {', '.join(known)}" if known else "no units"
            raise argparse.ArgumentTypeError(f"{column} has {what}, not {unit.strip()!r}")
        units[column] = unit.strip().lower()
    return units


def _column(text: str, measured: bool = False) -> str:
    """A column by its name, or by its name without the unit: `distance` is `distance_km`."""
    name = text.strip().lower()
    if name in COLUMNS:
        return name
    columns = [column for column in COLUMNS if units_of(column) or not measured]
    longer = [column for column in columns if column.rpartition("_")[0] == name]
    if len(longer) != 1:
        raise argparse.ArgumentTypeError(f"{name!r} is none of the columns {', '.join(COLUMNS)}")
    return longer[0]


def _zone(text: str) -> ZoneInfo:
    with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no time zone such as Europe/Berlin")


def _encoding(text: str) -> str:
    try:
        return codecs.lookup(text).name if "a".encode(text) else text
    except LookupError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no encoding such as utf-8, utf-16-le or windows-1252"
        ) from None
