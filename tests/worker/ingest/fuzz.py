"""Made-up files of made-up people: `python -m tests.worker.ingest.fuzz --files 50000`.

Half of them are well-formed in some dialect, with rows that are good or bad in a known way: each
row has to be written, repeated or refused as it was made. The others are damaged afterwards; they
may be refused as a whole, and otherwise each of their lines belongs to a row that is accounted for.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl

from tests.worker.ingest.reading import NOW, times
from worker.ingest.files import BadRow, CsvRecords, FileError, Record, decoded, lines
from worker.ingest.forecast import Forecast
from worker.ingest.header import known_columns
from worker.ingest.order import EventOrder
from worker.ingest.rows import EventRows, GoodRow, Reading
from worker.ingest.workbook import WorkbookRecords
from worker.ingest.writing import Ingested, read, settle, write
from worker.kilograms.energy import Basis
from worker.kilograms.factors import load

BERLIN = ZoneInfo("Europe/Berlin")
BASIS = Basis(load(()))
NAMES = (
    "Acme",
    "Müller & Söhne",
    "Smith, Inc.",
    'The "Best"',
    "名古屋運輸",
    "a" * 200,
    "Zoë;GmbH",
    "007",
)
BAD_CELLS = {
    "timestamp": (
        "",
        "#N/A",
        "NaT",
        "yesterday",
        "2026-02-30",
        "1999-01-01",
        "2126-01-01",
        "05/01/2026",
        "2026",
    ),
    "supplier_id": ("", "#REF!", "n/a", "x" * 201, "a\x01b", " "),
    "event_type": ("", "sailing", "logistic"),
    "distance_km": ("-1", "far", "inf", "1e999", "1.2.3", "12,3,4", "--", "1_0", "#DIV/0!"),
    "vehicle_type": ("lorry", "rocket"),
}


@dataclass
class Made:
    """A file, the options that it needs, and what has to become of its rows."""

    raw: bytes
    encoding: str | None = None
    zone: ZoneInfo | None = None
    rows: int | None = None
    refused: int = 0
    expected: Counter[tuple[Any, ...]] = field(default_factory=Counter)


class Table:
    """What was written, once per key."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.rows: list[Mapping[str, Any]] = []

    async def add_events(self, rows: Sequence[Mapping[str, Any]], /) -> set[str]:
        new = [row for row in rows if row["source_key"] not in self.keys]
        self.keys |= (keys := {row["source_key"] for row in new})
        self.rows += new
        return keys


class Silent:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.bad: list[BadRow] = []
        self.held: list[int] = []

    def refused(self, row: BadRow) -> None:
        self.bad.append(row)

    def quarantined(self, line: int, reason: str) -> None:
        self.held.append(line)

    def reading(self, rows: int) -> None: ...

    def writing(self, done: Ingested) -> None: ...


def spelled(moment: datetime, rng: random.Random, zone: ZoneInfo | None) -> str:
    """The time in one of the ways that are understood."""
    local = moment.astimezone(zone or UTC)
    ways: list[Callable[[], str]] = [
        lambda: moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda: moment.strftime("%Y%m%dT%H%M%SZ"),
        lambda: moment.strftime("%Y%m%d%H%M%SZ"),
        lambda: moment.isoformat(" "),
        lambda: moment.astimezone(BERLIN).isoformat(),
        lambda: local.strftime("%Y-%m-%d %H:%M:%S"),
        lambda: local.strftime("%d.%m.%Y %H:%M:%S"),
        lambda: f"{local.year}/{local.month}/{local.day} {local:%H:%M:%S}",
    ]
    return rng.choice(ways)()


def well_formed(rng: random.Random) -> Made:
    """A file in some dialect whose rows have known fates."""
    delimiter = rng.choice(",,,;;\t|")
    comma = delimiter != "," and rng.random() < 0.5
    zone = rng.choice((None, BERLIN))
    columns = ["timestamp", "supplier_id", "event_type", "distance_km", "vehicle_type", "note"]
    columns.append("load_kg")
    rng.shuffle(columns)
    unit, factor = rng.choice((("km", "1"), ("km", "1"), ("mi", "1.609344"), ("m", "0.001")))
    gap = rng.choice(("", "n/a", "NaN", "-", "0", "0.0"))  # of a column that nobody filled
    padding = [""] * rng.choice((0, 0, 0, 3))
    made = Made(b"", zone=zone, rows=0)
    header = [
        rng.choice((str, str.upper, lambda n: n.replace("_", " ").title()))(c) for c in columns
    ]
    if unit != "km":
        where = columns.index("distance_km")
        header[where] = rng.choice(("Distance ({})", "distance_{}", "Distance [{}]")).format(unit)
    table = [header + padding]
    for _ in range(rng.randrange(12)):
        # Winter, and never an hour that the clocks of Berlin skip or repeat.
        moment = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=rng.randrange(50 * 86_400))
        km = rng.randrange(1, 10_000_000) / 10 ** rng.choice((0, 1, 2))
        name = rng.choice(NAMES)
        shown = f"{km:.2f}" if km % 1 else str(int(km))
        cells = {
            "timestamp": spelled(moment, rng, zone),
            "supplier_id": name,
            "event_type": rng.choice(("logistics", "LOGISTICS")),
            "distance_km": shown.replace(".", ",") if comma else shown,
            "vehicle_type": rng.choice(("", "truck", "Van")),
            "load_kg": gap.replace(".", ",") if comma else gap,
            "note": rng.choice(("", "x", "two\nlines", 'say "hi"', "a;b,c\td|e", "=1+1")),
        }
        if rng.random() < 0.2:
            column = rng.choice(list(BAD_CELLS))
            cells[column] = rng.choice(BAD_CELLS[column])
            made.refused += 1
        else:
            made.expected[moment, name, float(Decimal(shown) * Decimal(factor))] += 1
        made.rows = (made.rows or 0) + 1
        table.append([cells[column] for column in columns] + padding)
        if rng.random() < 0.1:
            table.append([""] * rng.randrange(9))
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=delimiter,
        quoting=rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
        lineterminator=rng.choice(("\n", "\r\n")),
    )
    if rng.random() < 0.1:
        text.write(f"sep={delimiter}\r\n")
    writer.writerows(table)
    encoding = rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le"))
    made.encoding = encoding if encoding == "utf-16-le" else None
    made.raw = text.getvalue().encode(encoding)
    return made


SPLINTERS = (
    b'"',
    b",",
    b";",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"sep=;\n",
    b"\t",
    b'""',
)


def damaged(rng: random.Random) -> Made:
    """A well-formed file after an accident."""
    made = well_formed(rng)
    raw = bytearray(made.raw)
    for _ in range(rng.randrange(1, 8)):
        at, width = rng.randrange(len(raw) + 1), rng.randrange(1, 40)
        accident = rng.randrange(5)
        if accident == 0:
            raw[at : at + width] = b""
        elif accident == 1:
            raw[at:at] = rng.choice(SPLINTERS)
        elif accident == 2:
            raw[at:at] = raw[max(0, at - width) : at]
        elif accident == 3:
            raw[at:at] = rng.randbytes(width)
        else:
            del raw[at:]
    return Made(bytes(raw), encoding=made.encoding, zone=made.zone)


def check(made: Made) -> str:
    """Ingest the file twice and say what it came to. Raises AssertionError."""
    reading = Reading(times(zone=made.zone))

    def known(header: list[str]) -> int:
        return known_columns(header, {})

    def records() -> CsvRecords:
        return CsvRecords(lines(decoded(io.BytesIO(made.raw), made.encoding)), known)

    try:
        events = EventRows(records(), reading)
    except FileError as exc:
        if made.rows is not None:
            raise AssertionError("a well-formed file was refused") from exc
        return "refused as a whole"
    table, silent = Table(), Silent()
    found = list(events)
    done = ingested(found, table, silent)
    assert done.rows == len(found) == done.written + done.refused
    assert done.refused == len(silent.bad)
    assert all(bad.reason for bad in silent.bad)
    again = ingested(found, table, Silent())
    assert (again.written, again.repeated, again.refused) == (0, done.written, done.refused)
    stamps = [row["timestamp"] for row in table.rows]
    assert stamps == sorted(stamps)
    if made.rows is not None:
        assert (done.rows, done.refused) == (made.rows, made.refused), silent.bad
        stored = Counter(
            (datetime.fromisoformat(row["timestamp"]), row["supplier_id"], row["distance_km"])
            for row in table.rows
        )
        assert stored == made.expected
        assert not any("load_kg" in row for row in table.rows)
    covered(made, records())
    return "well-formed" if made.rows is not None else "damaged"


def ingested(found: Sequence[GoodRow | BadRow], table: Table, silent: Silent) -> Ingested:
    order = EventOrder(memory_characters=2000)
    done = read(found, order, silent)
    learned: list[object] = []
    rows = settle(order, done, silent, Forecast(BASIS))
    asyncio.run(write(table, rows, done, silent, lambda row, _: learned.append(row)))
    order.close()
    assert done.quarantined == len(silent.held)
    assert done.good + done.refused == len(found)
    assert len(learned) == done.written
    return done


def covered(made: Made, records: CsvRecords) -> None:
    """Each line with more than separators is part of a record, or stands above the header."""
    text = decoded(io.BytesIO(made.raw), made.encoding).read()
    normal = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    seen = set(range(1, records.header_lines.stop))
    for record in records:
        last = record.last if isinstance(record, Record) else record.line
        seen |= set(range(record.line, last + 1))
    for number, line in enumerate(normal, start=1):
        if number not in seen:
            bare = line.replace(records.delimiter, "").replace('"', "")
            assert not bare.strip(), (number, line)


def check_workbook(rng: random.Random, directory: Path) -> str:
    """A workbook with random cells, half of them damaged: read or refused, never a crash."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["timestamp", "supplier_id", "event_type", "distance_km"])
    cells = (NOW.replace(tzinfo=None), "A", "logistics", 12.5, None, True, -3, "=1/0", "2026-01-05")
    count = rng.randrange(8)
    for _ in range(count):
        sheet.append([rng.choice(cells) for _ in range(rng.randrange(1, 6))])
    path = directory / "made-up.xlsx"
    book.save(path)
    broken = rng.random() < 0.5
    if broken:
        raw = bytearray(path.read_bytes())
        for _ in range(rng.randrange(1, 20)):
            raw[rng.randrange(4, len(raw))] = rng.randrange(256)
        path.write_bytes(raw)
    try:
        source = WorkbookRecords(path, None, lambda header: known_columns(header, {}))
        found = list(EventRows(source, Reading(times())))
    except FileError:
        assert broken
        return "workbook refused"
    assert broken or len(found) <= count
    return "workbook"


def run(files: int, seed: int) -> Counter[str]:
    """Check so many files; how many of each kind there were."""
    kinds: Counter[str] = Counter()
    started = told = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hr-fuzz-") as directory:
        for number in range(files):
            rng = random.Random(f"{seed}-{number}")
            made = None
            try:
                if number % 50 == 49:
                    kinds[check_workbook(rng, Path(directory))] += 1
                else:
                    made = damaged(rng) if number % 2 else well_formed(rng)
                    kinds[check(made)] += 1
            except BaseException:
                print(f"file {number} of seed {seed}: {made and made.raw!r}", file=sys.stderr)
                raise
            if time.monotonic() - told > 10:
                told = time.monotonic()
                print(f"{number:,} files, {number / (told - started):,.0f}/s", file=sys.stderr)
    return kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000, help="how many (50000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the files (1)")
    options = parser.parse_args()
    for kind, count in run(options.files, options.seed).most_common():
        print(f"{count:>7,} {kind}")


if __name__ == "__main__":
    main()
