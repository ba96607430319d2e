"""From records of cells to events: what each cell says."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from worker import vehicles
from worker.events import CHOICES, EVENT_TYPES, QUANTITIES, Implausible, checked, choice
from worker.ingest import meanings
from worker.ingest.files import BadRow, FileError, Record
from worker.ingest.header import (
    REQUIRED,
    TEXTS,
    Place,
    Units,
    doubtful_zone,
    listed,
    read_header,
)
from worker.ingest.meanings import EMPTY
from worker.ingest.numbers import Mark, Numbers
from worker.ingest.suggestions import probable
from worker.ingest.times import Times
from worker.ingest.units import converted
from worker.kilograms.countries import alpha3

COUNTS = ("stop_events", "delivery_count")  # whole numbers

MAX_REASON_CHARACTERS = 400
SAMPLE_RECORDS = 1000
"""From so many rows the decimal mark is found."""

UNDECODED = (
    "; it is not in the encoding of the file: say which one that is, for example --encoding "
    "windows-1252"
)
_INVISIBLE = "\u200b\u2060\ufeff"

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

    @property
    def first_column(self) -> int:
        """The index of the first cell's column in a spreadsheet."""
        ...

    def __iter__(self) -> Iterator[Record | BadRow]: ...


@dataclass(slots=True)
class Reading:
    """What a person said about the file.

    `renamed`: header -> column. `units`: column -> unit in which the file has it; `distances` is
    that of all distances. `values`: column -> word of the file, as of `meanings.word` -> what it
    means. `constants`: column -> what all rows have there.
    """

    times: Times = field(default_factory=Times)
    mark: Mark | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    distances: str | None = None
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GoodRow:
    """An event: the columns of `events_normalized` that the row says something about."""

    line: int
    values: dict[str, Any]


class EventRows:
    """The events of a file; iterating gives a GoodRow or BadRow for each record.

    `places` has the known columns, `ignored` the other names. Raises FileError when it is made, if
    the header does not say what the columns are.
    """

    def __init__(self, source: Source, reading: Reading) -> None:
        self._records: Iterator[Record | BadRow] = iter(source)
        self._first_column = source.first_column
        self._width = len(source.header)
        named = [place for place, name in enumerate(source.header, start=1) if name.strip()]
        self._fewest = max(named, default=0)
        header = read_header(
            source.header, reading.renamed, Units(reading.units, reading.distances)
        )
        self.places, self.ignored = header.places, header.ignored
        self._constants = {
            column: self._constant(column, text)
            for column, text in {**header.units, **reading.constants}.items()
        }
        self._check(source.header, reading)
        self._times = _zoned(reading.times, header.zone, doubtful_zone(header))
        self._values_of = reading.values
        self._numbers = self._look(source, reading.mark)
        self._when = self.places["timestamp"].indices
        self._readers = [
            (place.indices[0], column, self._reader(column, place))
            for column, place in self.places.items()
            if column != "timestamp"
        ]

    @property
    def decimal_mark(self) -> Mark | None:
        return self._numbers.mark

    @property
    def converted(self) -> dict[str, Place]:
        """The columns whose unit is not the file's."""
        return {column: place for column, place in self.places.items() if place.unit}

    def __iter__(self) -> Iterator[GoodRow | BadRow]:
        for record in self._records:
            if isinstance(record, BadRow):
                yield record
                continue
            try:
                yield GoodRow(record.line, self._values(record))
            except (ValueError, ArithmeticError) as error:
                yield BadRow(record.line, str(error)[:MAX_REASON_CHARACTERS])

    def _check(self, names: list[str], reading: Reading) -> None:
        if twice := [column for column in reading.constants if column in self.places]:
            raise FileError(
                f"--set names {twice[0]}, which the file has: {self.places[twice[0]].title!r}"
            )
        missing = [name for name in REQUIRED if name not in {*self.places, *self._constants}]
        if missing:
            raise FileError(self._lacks(missing, names))
        if absent := [c for c in reading.values if c not in self.places]:
            raise FileError(f"--values names {absent[0]}, which the file does not have")

    def _lacks(self, missing: Sequence[str], names: list[str]) -> str:
        text = f"the header lacks {', '.join(missing)}"
        found = probable(self.ignored, self.places)
        maps = [
            f'--map "{name}={column}"'
            for column, name in found.items()
            if column not in self._constants
        ]
        if maps:
            text += f"; if these are what they look like, say {' '.join(maps)}"
        if rest := [name for name in missing if name not in found]:
            same = {"supplier_id": "supplier_id=Acme", "event_type": "event_type=logistics"}
            settable = [same[name] for name in rest if name in same]
            text += f'; where such a column has another name, say --map "Its name={rest[0]}"'
            if settable:
                text += f", and what is the same in all rows, --set {settable[0]}"
        undecoded = UNDECODED if any(chr(0xFFFD) in name for name in names) else ""
        return f"{text}. The header is: {listed(names)}{undecoded}"

    def _look(self, source: Source, mark: Mark | None) -> Numbers:
        sample = list(itertools.islice(self._records, SAMPLE_RECORDS))
        self._records = itertools.chain(sample, self._records)
        numbers = [self.places[name].indices[0] for name in QUANTITIES if name in self.places]
        cells = (
            record.cells[place].strip()
            for record in sample
            if isinstance(record, Record) and len(record.cells) >= self._width
            for place in numbers
        )
        return Numbers(mark or source.mark, cells, commas_separate=source.commas_separate)

    def _constant(self, column: str, text: str) -> Any:
        """The value of --set, which is written as in this project's own columns."""
        if column == "timestamp":
            raise FileError("--set timestamp: the time differs from row to row")
        try:
            value = _own_reader(column, None, Numbers("point", (), commas_separate=True))(text)
            _check_vehicle(column, value)
        except ValueError as error:
            raise FileError(f"--set {column}: {error}") from None
        return value

    def _reader(self, column: str, place: Place) -> Reader:
        read = _own_reader(column, place.unit, self._numbers)
        if column in meanings.ZERO_IS_EMPTY:
            read = _none_for_zero(read)
        if words := self._values_of.get(column):
            for meaning in words.values():
                try:
                    _check_vehicle(column, read(meaning))
                except ValueError as error:
                    raise FileError(f"--values: {error}") from None
            read = _translated(read, words)
        return read

    def _values(self, record: Record) -> dict[str, Any]:
        cells = record.cells
        # Excel pads rows with empty cells, and they may be missing where the header has no name.
        if len(cells) != self._width and (
            len(cells) < self._fewest or any(map(str.strip, cells[self._width :]))
        ):
            raise ValueError(self._count(record))
        values: dict[str, Any] = dict(self._constants)
        if when := self._time(record):
            values["timestamp"] = when
        for place, column, read in self._readers:
            text = cells[place].strip()
            if not text or text in EMPTY:
                continue
            if text[0] in "#E" or not text.isascii():
                text = self._looked_at(column, place, text, record)
            if text and (value := read(text)) is not None:
                values[column] = value
        for name in REQUIRED:
            if name not in values:
                raise ValueError(f"{name} is empty")
        given = values.get("vehicle_type"), values.get("fuel_type")
        try:
            vehicle, fuel = vehicles.normalised(*given)
        except ValueError as error:
            column = "fuel_type" if str(error).startswith("fuel_type") else "vehicle_type"
            if "is unknown" in str(error):
                error = ValueError(f"{error}; {meanings.hint(column, values[column])}")
            raise error from None
        if vehicle is not None:
            values["vehicle_type"] = vehicle
        if fuel is not None:
            values["fuel_type"] = fuel
        return values

    def _time(self, record: Record) -> str | None:
        text = record.cells[self._when[0]].strip()
        if len(self._when) == 1 and text[:1].isdigit() and text.isascii():
            return self._times.utc(text)
        parts = []
        for place in self._when:
            text = record.cells[place].strip()
            if text in meanings.EMPTY:
                text = ""
            if text and (text[0] in "#E" or not text.isascii()):
                text = self._looked_at("timestamp", place, text, record)
            parts.append(text)
        if not parts[0]:
            return None
        return self._times.utc(*parts)

    def _looked_at(self, column: str, place: int, text: str, record: Record) -> str:
        """NFC, without invisible characters at the ends. Raises ValueError for what is no text."""
        if wrong := meanings.error_in(text):
            cell = meanings.excel_name(place + self._first_column, record.line)
            raise ValueError(f"{column} (cell {cell}) {wrong}")
        return _composed(column, text)

    def _count(self, record: Record) -> str:
        reason = f"{len(record.cells)} fields where the header has {self._width}"
        if record.last == record.line:
            return reason
        return f"{reason}; a quoted cell reaches to line {record.last}"


def _zoned(times: Times, stated: Any, doubtful: str | None) -> Times:
    """The times of a file whose header may name their zone. Raises FileError."""
    if doubtful and times.zone is None and times.form == "text":
        raise FileError(
            f"the header says that the times are {doubtful!r}: say which zone that is, such as "
            "--timezone Europe/Berlin"
        )
    if stated is None:
        return times
    if times.zone is not None and str(times.zone) != str(stated):
        raise FileError(
            f"the header says that the times are {stated}, and --timezone says {times.zone}: "
            "leave --timezone away, or rename the column"
        )
    times.zone = stated
    return times


def _own_reader(column: str, unit: str | None, numbers: Numbers) -> Reader:
    if column == "event_type":
        return _event_type
    if column in ("vehicle_type", "fuel_type"):
        return str
    if column in QUANTITIES:
        return _quantity(column, unit, numbers)
    return _READERS.get(column) or (lambda text: _text(column, text))


def _quantity(column: str, unit: str | None, numbers: Numbers) -> Reader:
    canonical = numbers.canonical

    def read(text: str) -> float | None:
        try:
            number = canonical(text)
        except ValueError as error:
            if text in meanings.EMPTY_NUMBERS:
                return None
            raise ValueError(f"{column} {text!r} {error}") from None
        if unit is not None:
            number = converted(column, unit, number)
        value = checked(column, number)
        if column in COUNTS and value is not None and not value.is_integer():
            raise ValueError(f"{column} {text!r} is not a whole number")
        return value

    return read


def _check_vehicle(column: str, value: Any) -> None:
    """Raise ValueError for a vehicle or fuel that is not known."""
    if column == "vehicle_type":
        vehicles.normalised(value, None)
    elif column == "fuel_type":
        vehicles.normalised(None, value)


def _none_for_zero(read: Reader) -> Reader:
    return lambda text: None if text in meanings.ZEROS else read(text)


def _translated(read: Reader, words: Mapping[str, str]) -> Reader:
    return lambda text: read(words.get(meanings.word(text), text))


def _event_type(text: str) -> str:
    name = text.lower()
    if name not in EVENT_TYPES:
        known = ", ".join(EVENT_TYPES)
        hint = meanings.hint("event_type", text)
        raise ValueError(f"event_type {text!r} is unknown (known: {known}); {hint}")
    return name


def _composed(column: str, text: str) -> str:
    if "\ufffd" in text:
        raise ValueError(
            f"{column} {text!r} is not in the encoding of the file: say which one it is, for "
            "example --encoding windows-1252"
        )
    text = unicodedata.normalize("NFC", text.strip(_INVISIBLE).strip())
    return "" if text in meanings.EMPTY else text


def _country(text: str) -> str:
    try:
        return alpha3(text)
    except ValueError as error:
        raise ValueError(f"country {error}") from None


def _yes_or_no(text: str) -> bool:
    if text.lower() not in meanings.YES_OR_NO:
        hint = meanings.hint("shared_vehicle", text)
        raise ValueError(f"shared_vehicle {text!r} is neither yes nor no; {hint}")
    return meanings.YES_OR_NO[text.lower()]


def _choice(column: str) -> Reader:
    def read(text: str) -> str | None:
        try:
            return choice(column, {column: text})
        except Implausible as error:
            raise ValueError(f"{error}; {meanings.hint(column, text)}") from None

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
