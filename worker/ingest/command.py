"""`python -m worker ingest FILE`: from the file to rows of the table, and a summary."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from datetime import tzinfo
from pathlib import Path
from typing import Any, Protocol

from worker.ingest.files import BadRow, CsvRecords, FileError, decoded, lines, size_of
from worker.ingest.forecast import Forecast
from worker.ingest.header import COLUMNS, known_columns
from worker.ingest.options import reading_of
from worker.ingest.order import EventOrder
from worker.ingest.readiness import Key, Readiness
from worker.ingest.rows import EventRows, GoodRow, Reading
from worker.ingest.suggestions import suggestions
from worker.ingest.terminal import Terminal, listing, note, print_summary, say
from worker.ingest.units import own_unit
from worker.ingest.workbook import WorkbookRecords
from worker.ingest.writing import Ingested, Table, read, settle, write

FIRST_ROWS = 5
MOST_KEYS = 50
MOST_PENDING = 2000
"""Events of earlier files that still wait for the worker and are looked at for the summary."""

OK, BAD_ROWS = 0, 1

Row = dict[str, Any]


class Project(Table, Protocol):
    """A table that also tells what the worker knows of suppliers."""

    async def learned_of(self, suppliers: Sequence[str], most: int, /) -> Row: ...

    async def select(self, table: str, key: str, after: Any = None, /) -> list[Row]: ...


Connect = Callable[[], AbstractAsyncContextManager[Project]]
Source = CsvRecords | WorkbookRecords


class Days:
    """How the worker divides days: its zone, and its clock, None where events tell the time."""

    def __init__(self, zone: tzinfo, clock: Callable[[], float] | None) -> None:
        self.zone = zone
        self.clock = clock


def run(
    options: argparse.Namespace, forecast: Forecast, days: Days, connect: Connect | None = None
) -> int:
    """Read the file, write its events and give the exit status; without `connect` a dry run.

    Raises FileError and WorkerError.
    """
    try:
        return _run(options, forecast, days, connect)
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
        raise FileError(
            "nobody reads the output any more: what was written stays, and repeating the file "
            "adds nothing twice"
        ) from error
    except OSError as error:
        what = error.filename or tempfile.gettempdir()
        raise FileError(f"{what} cannot be used: {error.strerror}") from error


def _run(
    options: argparse.Namespace, forecast: Forecast, days: Days, connect: Connect | None
) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of any language, any terminal
    reading = reading_of(options)
    with ExitStack() as opened:
        source, fraction = _open(options, reading, opened)
        events = EventRows(source, reading)
        terminal = Terminal(fraction, opened.enter_context(listing(options.refused)))
        opened.callback(terminal.say_rows)  # also when Ctrl-C or an error ends it
        _say_what_is_skipped(source, events)
        order = EventOrder()
        opened.callback(order.close)
        first: list[GoodRow] = []
        done = read(_keeping_first(events, first), order, terminal)
        terminal.say_rows()
        readiness = Readiness(_shown_keys(done.keys), days.zone, days.clock)
        if connect is None:
            _print_understanding(options, source, events, first, done)
            for settled in settle(order, done, terminal, forecast):
                readiness.add(settled.row, settled.identity)
            result = f"dry run, nothing was written: rows={done.good} refused={done.refused} "
            result += f"quarantined={done.quarantined}"
        else:
            asyncio.run(_write(connect, order, done, terminal, forecast, readiness))
            result = str(done)
        terminal.say_rows()
        _say_what_was_assumed(reading, forecast, done)
        print(result)
        _print_converted(events)
        print_summary(readiness.lines(), max(0, len(done.keys) - MOST_KEYS))
        sys.stdout.flush()  # while its failure can still be told
    return BAD_ROWS if done.refused else OK


async def _write(
    connect: Connect,
    order: EventOrder,
    done: Ingested,
    terminal: Terminal,
    forecast: Forecast,
    readiness: Readiness,
) -> None:
    """Write the rows; what detectors know already is asked before, so that nothing counts twice."""
    async with connect() as table:
        if done.good:
            forecast.know(await _known_suppliers(table, {supplier for supplier, _ in done.keys}))
            await _ask_what_is_learned(table, forecast, readiness)
        terminal.start_writing(done.good)
        rows = settle(order, done, terminal, forecast)
        await write(table, rows, done, terminal, readiness.add)


async def _known_suppliers(table: Project, wanted: set[str]) -> list[Row]:
    found: list[Row] = []
    after = None
    while page := await table.select("suppliers", "supplier_id", after):
        found += [row for row in page if row["supplier_id"] in wanted]
        after = page[-1]["supplier_id"]
    return found


async def _ask_what_is_learned(table: Project, forecast: Forecast, readiness: Readiness) -> None:
    answer = await table.learned_of(readiness.suppliers, MOST_PENDING)
    readiness.know(answer["detectors"])
    for row in answer["pending"]:
        readiness.add(row, forecast.of_stored(row).identity)
    if (more := answer["waiting"] - len(answer["pending"])) > 0:
        note(
            f"{more:,} earlier events of these suppliers wait for the worker: they are not counted"
        )


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
    size = size_of(binary)
    text = decoded(binary, options.encoding)
    if options.sheet is not None:
        raise FileError("--sheet is for workbooks (.xlsx)")
    source = CsvRecords(lines(text), known)
    return source, (lambda _: binary.tell() / size) if size else _unknown


def _unknown(rows: int) -> None:
    return None


def _say_what_is_skipped(source: Source, events: EventRows) -> None:
    if isinstance(source, WorkbookRecords) and source.others:
        others = ", ".join(map(repr, source.others))
        note(f"of the workbook the sheet {source.sheet!r} is read, and not {others}: see --sheet")
    if source.skipped:
        above = ", ".join(map(repr, source.skipped))
        note(f"the header is line {source.header_lines.start}; skipped above it: {above[:200]}")
    if events.ignored:
        note(f"columns that are not known are ignored: {', '.join(map(repr, events.ignored))}")
    for meant in suggestions(events.ignored, events.places):
        note(f"  {meant}")


def _say_what_was_assumed(reading: Reading, forecast: Forecast, done: Ingested) -> None:
    for kind, names in sorted(done.zeros.items()):
        if names:
            note(f"0 in every {kind} row, so taken as missing there: {', '.join(sorted(names))}")
    times = reading.times
    if times.unzoned and times.zone is None:
        note(f"{times.unzoned} times without a zone were taken as UTC, see --timezone")
    if forecast.without_country:
        note(
            f"{forecast.without_country} events use electricity of no known country: the "
            "world's average grid is taken; give a column country, or set GRID_COUNTRY"
        )


def _keeping_first(
    rows: Iterable[GoodRow | BadRow], first: list[GoodRow]
) -> Iterator[GoodRow | BadRow]:
    for row in rows:
        if len(first) < FIRST_ROWS and isinstance(row, GoodRow):
            first.append(row)
        yield row


def _print_understanding(
    options: argparse.Namespace,
    source: Source,
    events: EventRows,
    first: Sequence[GoodRow],
    done: Ingested,
) -> None:
    if isinstance(source, CsvRecords):
        names = {"\t": "tabs", ",": "commas", ";": "semicolons"}
        cells = names.get(source.delimiter, repr(source.delimiter))
        marks = events.decimal_mark or "point or comma, no cell shows which"
        say(f"{options.file}: cells between {cells}, decimal {marks}")
    else:
        say(f"{options.file}: sheet {source.sheet!r}")
    say("columns:")
    for column, place in events.places.items():
        unit = f", from {place.unit}" if place.unit else ""
        say(f"  {place.title:<24} -> {column}{unit}")
    for name in events.ignored:
        say(f"  {name:<24}    ignored")
    say("first rows as understood:")
    for row in first:
        say(f"  line {row.line}: {_shown(row.values, done.zeros)}")


def _shown(values: Mapping[str, Any], zeros: Mapping[str, frozenset[str]]) -> str:
    given = [str(values[name]) for name in ("timestamp", "supplier_id", "event_type")]
    missing = zeros[values["event_type"]]
    rest = [f"{name}={values[name]}" for name in COLUMNS[3:] if name in values.keys() - missing]
    return ", ".join(given + rest)


def _print_converted(events: EventRows) -> None:
    for column, place in events.converted.items():
        say(f"converted: {place.title!r} from {place.unit} to {own_unit(column)} ({column})")


def _shown_keys(keys: Counter[Key]) -> list[Key]:
    """The keys that fit on a screen, those with the fewest rows first where not all do."""
    return sorted(sorted(keys, key=lambda key: (keys[key], key))[:MOST_KEYS])
