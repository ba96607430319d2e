"""From records of cells to events: which column is which, and what each cell says."""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from worker import vehicles
from worker.events import CHOICES, EVENT_TYPES, QUANTITIES, Implausible, checked, choice
from worker.ingest.files import BadRow, FileError, Record
from worker.ingest.numbers import Mark, Numbers, converted
from worker.ingest.times import Times
from worker.kilograms.countries import alpha3

REQUIRED = ("timestamp", "supplier_id", "event_type")
# Column of text -> most characters, as the table has them.
TEXTS = {
    "supplier_id": 200,
    "route_id": 200,
    "warehouse_id": 200,
    "factory_id": 200,
    "vehicle_class": 100,
    "output_unit": 100,
    "co2e_method": 200,
}
COLUMNS = (
    *REQUIRED,
    "vehicle_type",
    "fuel_type",
    *QUANTITIES,
    *CHOICES,
    "shared_vehicle",
    "country",
    *(name for name in TEXTS if name not in REQUIRED),
)
YES_OR_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
COUNTS = ("stop_events", "delivery_count")  # whole numbers

MAX_REASON_CHARACTERS = 400
SAMPLE_RECORDS = 1000
"""From so many rows the decimal mark is found."""

_INVISIBLE = "\u200b\u2060\ufeff"
_BETWEEN_WORDS = re.compile(r"\W+")

Reader = Callable[[str], Any]


class Source(Protocol):
    """A file as a header and records of cells, see `CsvRecords`."""

    @property
    def header(self) -> list[str]: ...

    @property
    def commas_separate(self) -> bool:
        """Whether a number with a decimal comma would have to be quoted."""
        ...

    @property
    def mark(self) -> Mark | None:
        """The decimal mark, where the format says it."""
        ...

    def __iter__(self) -> Iterator[Record | BadRow]: ...


@dataclass(slots=True)
class Reading:
    """What a person said about the file.

    `renamed`: header -> column. `units`: column -> unit in which the file has it.
    """

    times: Times = field(default_factory=Times)
    mark: Mark | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GoodRow:
    """An event: the columns of `events_normalized` that the row says something about."""

    line: int
    values: dict[str, Any]


def known_columns(header: list[str], renamed: Mapping[str, str]) -> int:
    """How many of these names are columns of events, or are mapped to one."""
    names = {folded(name) for name in header}
    return len(names & (set(COLUMNS) | {folded(name) for name in renamed}))


def folded(name: str) -> str:
    """Give one name for `Supplier ID` and `supplier_id`, for `Load (kg)` and `load_kg`."""
    name = unicodedata.normalize("NFC", name).casefold()
    return _BETWEEN_WORDS.sub("_", name).strip("_")


class EventRows:
    """The events of a file; iterating gives a GoodRow or BadRow for each record.

    `columns` has the known columns by their names in the file, `ignored` the other names. Raises
    FileError when it is made, if the header does not say what the columns are.
    """

    def __init__(self, source: Source, reading: Reading) -> None:
        self._records: Iterator[Record | BadRow] = iter(source)
        self._width = len(source.header)
        named = [place for place, name in enumerate(source.header, start=1) if name.strip()]
        self._fewest = max(named, default=0)
        self._places, self.ignored = _places(source.header, reading.renamed)
        self.columns = {
            " ".join(source.header[place].split()): column for column, place in self._places.items()
        }
        for column in reading.units:
            if column not in self._places:
                raise FileError(f"--units names {column}, which the file does not have")
        self._numbers = self._look(source, reading.mark)
        self._readers: list[tuple[int, str, Reader]] = [
            (place, column, self._reader(column, reading)) for column, place in self._places.items()
        ]

    @property
    def decimal_mark(self) -> Mark | None:
        return self._numbers.mark

    def __iter__(self) -> Iterator[GoodRow | BadRow]:
        for record in self._records:
            if isinstance(record, BadRow):
                yield record
                continue
            try:
                yield GoodRow(record.line, self._values(record))
            except (ValueError, ArithmeticError) as error:
                yield BadRow(record.line, str(error)[:MAX_REASON_CHARACTERS])

    def _look(self, source: Source, mark: Mark | None) -> Numbers:
        sample = list(itertools.islice(self._records, SAMPLE_RECORDS))
        self._records = itertools.chain(sample, self._records)
        numbers = [self._places[name] for name in QUANTITIES if name in self._places]
        cells = (
            record.cells[place].strip()
            for record in sample
            if isinstance(record, Record) and len(record.cells) >= self._width
            for place in numbers
        )
        return Numbers(mark or source.mark, cells, commas_separate=source.commas_separate)

    def _reader(self, column: str, reading: Reading) -> Reader:
        if column == "timestamp":
            return reading.times.utc
        if column == "event_type":
            return _event_type
        if column in ("vehicle_type", "fuel_type"):
            return str
        if column in QUANTITIES:
            return self._quantity(column, reading.units.get(column))
        return _READERS.get(column) or (lambda text: _text(column, text))

    def _quantity(self, column: str, unit: str | None) -> Reader:
        canonical = self._numbers.canonical

        def read(text: str) -> float | None:
            try:
                number = canonical(text)
            except ValueError as error:
                raise ValueError(f"{column} {text!r} {error}") from None
            if unit is not None:
                number = converted(column, unit, number)
            value = checked(column, number)
            if column in COUNTS and value is not None and not value.is_integer():
                raise ValueError(f"{column} {text!r} is not a whole number")
            return value

        return read

    def _values(self, record: Record) -> dict[str, Any]:
        cells = record.cells
        # Excel pads rows with empty cells, and they may be missing where the header has no name.
        if len(cells) != self._width and (
            len(cells) < self._fewest or any(map(str.strip, cells[self._width :]))
        ):
            raise ValueError(self._count(record))
        values: dict[str, Any] = {}
        for place, column, read in self._readers:
            text = cells[place].strip()
            if not text.isascii():
                text = _composed(column, text)
            if text:
                values[column] = read(text)
        for name in REQUIRED:
            if name not in values:
                raise ValueError(f"{name} is empty")
        vehicle, fuel = vehicles.normalised(values.get("vehicle_type"), values.get("fuel_type"))
        if vehicle is not None:
            values["vehicle_type"] = vehicle
        if fuel is not None:
            values["fuel_type"] = fuel
        return values

    def _count(self, record: Record) -> str:
        reason = f"{len(record.cells)} fields where the header has {self._width}"
        if record.last == record.line:
            return reason
        return f"{reason}; a quoted cell reaches to line {record.last}"


def _places(header: list[str], renamed: Mapping[str, str]) -> tuple[dict[str, int], list[str]]:
    """The place of each column of events, and the names that are none."""
    names = [folded(name) for name in header]
    mapping = {folded(name): column for name, column in renamed.items()}
    if absent := [name for name in renamed if folded(name) not in names]:
        raise FileError(f"--map names {', '.join(absent)}, which the header lacks: {_list(header)}")
    found = [mapping.get(name, name) for name in names]
    if missing := [name for name in REQUIRED if name not in found]:
        raise FileError(
            f"the header lacks {', '.join(missing)}; where such a column has another name, say "
            f'--map "Its name={missing[0]}". The header is: {_list(header)}'
        )
    columns = [name for name in found if name in COLUMNS]
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise FileError(f"the header has {', '.join(twice)} more than once")
    places = {name: found.index(name) for name in COLUMNS if name in columns}
    ignored = [
        name.strip() for name, column in zip(header, found, strict=True) if column not in places
    ]
    return places, [name for name in ignored if name]


def _list(header: list[str]) -> str:
    return ", ".join(repr(name.strip()) for name in header if name.strip())[:MAX_REASON_CHARACTERS]


def suggestion(name: str, taken: Mapping[str, str]) -> str | None:
    """The column that a name of the header is probably meant for."""
    free = [column for column in COLUMNS if column not in taken.values()]
    return next(iter(difflib.get_close_matches(folded(name), free, n=1, cutoff=0.8)), None)


def _event_type(text: str) -> str:
    name = text.lower()
    if name not in EVENT_TYPES:
        raise ValueError(f"event_type {text!r} is unknown (known: {', '.join(EVENT_TYPES)})")
    return name


def _composed(column: str, text: str) -> str:
    """NFC, without invisible characters at the ends; U+FFFD is what could not be decoded."""
    if "\ufffd" in text:
        raise ValueError(
            f"{column} {text!r} is not in the encoding of the file: say which one it is, for "
            "example --encoding windows-1252"
        )
    return unicodedata.normalize("NFC", text.strip(_INVISIBLE).strip())


def _country(text: str) -> str:
    try:
        return alpha3(text)
    except ValueError as error:
        raise ValueError(f"country {error}") from None


def _yes_or_no(text: str) -> bool:
    if text.lower() not in YES_OR_NO:
        raise ValueError(f"shared_vehicle {text!r} is neither yes nor no")
    return YES_OR_NO[text.lower()]


def _choice(column: str) -> Reader:
    def read(text: str) -> str | None:
        try:
            return choice(column, {column: text})
        except Implausible as error:
            raise ValueError(str(error)) from None

    return read


_READERS: dict[str, Reader] = {
    "country": _country,
    "shared_vehicle": _yes_or_no,
    **{column: _choice(column) for column in CHOICES},
}


def _text(column: str, text: str) -> str:
    if len(text) > TEXTS[column]:
        raise ValueError(f"{column} is longer than {TEXTS[column]} characters")
    if not text.isprintable() and any(unicodedata.category(c) == "Cc" for c in text):
        raise ValueError(f"{column} {text!r} has control characters")
    return text
