"""The header of a file: which column is which, and in which unit the file has it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from worker.events import CHOICES, QUANTITIES
from worker.ingest.files import FileError
from worker.ingest.units import (
    AMBIGUOUS,
    UnitError,
    bracketed,
    is_length,
    own_unit,
    stem,
    trailing_units,
    unit_named,
    unit_of,
    units_of,
)

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
ALIASES: Mapping[str, tuple[str, ...]] = {
    "timestamp": ("time_stamp", "datetime", "date_time", "event_time", "event_date", "date"),
    "supplier_id": ("supplier",),
    "event_type": ("activity",),
}
"""Other names of columns; of several that a file has, the first."""
STEM_ALIASES = {"weight": "load"}
DATE, TIME = "date", "time"
"""Two columns that are one timestamp."""
NO_UNITS = ("min", "to", "of")
"""Words that are units in brackets, and something else in a name such as `Temp min`."""
UNIT_COLUMNS = {"output_quantity": "output_unit", "furnace_usage": "furnace_unit"}
"""Quantities whose unit is a column itself, or stands in the header."""

MAX_LIST_CHARACTERS = 400
MAX_NAME_CHARACTERS = 200
_BETWEEN_WORDS = re.compile(r"\W+")
_PER = re.compile(r"\b(?:per|pro)\b", re.IGNORECASE)
_SEVERAL_ZONES = re.compile(r"local.*|[A-Z]{2,4}T|MEZ|MESZ", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column of events is in a file.

    `indices` has two cells for a date and its time. `unit` is the one to convert from, None for the
    column's own.
    """

    indices: tuple[int, ...]
    title: str
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Units:
    """What a person said of units: by column, and of all distances that say nothing themselves."""

    by_column: Mapping[str, str]
    of_distances: str | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a file says.

    `zone` is that of the times, where the header names one. `units` has the texts of units that are
    columns themselves, such as {"output_unit": "t"}.
    """

    places: dict[str, Place]
    ignored: list[str]
    zone: tzinfo | None
    units: dict[str, str]


def folded(name: str) -> str:
    """Give one name for `Supplier ID` and `supplier_id`, for `Load (kg)` and `load_kg`."""
    name = unicodedata.normalize("NFC", name).casefold()
    return _BETWEEN_WORDS.sub("_", name).strip("_")


def column_named(name: str) -> str | None:
    """The column of a name without a unit, by one of its names."""
    if name in COLUMNS:
        return name
    return next((column for column, names in ALIASES.items() if name in names), None)


def known_columns(names: Sequence[str], renamed: Mapping[str, str]) -> int:
    """How many columns of events these names are, by themselves or because they are mapped."""
    mapped = {folded(part) for name in renamed for part in (name, *name.split("+"))}
    found = {column_of(name) or folded(name) for name in names if name.strip()}
    return len(found & {*COLUMNS, DATE, TIME}) + sum(folded(name) in mapped for name in names)


def column_of(name: str) -> str | None:
    """The column that a header means by itself: by its name, an alias, or its stem and a unit."""
    return _column_of(name) if len(name) <= MAX_NAME_CHARACTERS else None


@lru_cache(maxsize=4096)  # a header is looked for in lines of data
def _column_of(name: str) -> str | None:
    if found := column_named(folded(name)):
        return found
    if column_named(_without_zone(name)) == "timestamp":
        return "timestamp"
    for base, unit in _parted(name):
        if found := _measured(folded(base), unit):
            return found
    return None


def _without_zone(name: str) -> str:
    """The folded name of `Time (UTC)`, `Date [Europe/Berlin]` or `timestamp_utc` without that."""
    parted = bracketed(name)
    if parted:
        return folded(parted[0])
    base, _, zone = folded(name).rpartition("_")
    return base if zone in ("utc", "gmt") else folded(name)


def _parted(name: str) -> Iterator[tuple[str, str]]:
    if parted := bracketed(name):
        yield parted
    else:
        yield from trailing_units(name)


def _measured(base: str, unit: str) -> str | None:
    """The column with this stem that can be read in this unit."""
    base = STEM_ALIASES.get(base, base)
    if base in UNIT_COLUMNS:
        return base
    for column in COLUMNS:
        if base in (column, stem(column)) and reads(column, unit):
            return column
    return None


def reads(column: str, text: str) -> bool:
    """Say whether a column can be read in the unit, or one of the units, that a text means."""
    known = units_of(column)
    named = unit_named(text)
    return named in known or any(unit in known for unit in AMBIGUOUS.get(named or "", ()))


class _Reader:
    """Reads one header. Raises FileError."""

    def __init__(self, names: Sequence[str], renamed: Mapping[str, str], units: Units) -> None:
        self._names = [" ".join(name.split()) for name in names]
        self._folded = [folded(name) for name in names]
        self._units = units
        self._found: dict[str, tuple[int, ...]] = {}
        self._mapped: set[int] = set()
        for name, column in renamed.items():
            self._put(column, self._mapping(name))
        for number, name in enumerate(self._names):
            if number not in self._mapped and name and (found := column_of(name)):
                self._take(found, number)
        self._date_and_time()

    def _mapping(self, name: str) -> tuple[int, ...]:
        wanted = [folded(name)]
        if wanted[0] not in self._folded and "+" in name:
            wanted = [folded(part) for part in name.split("+")]
        if any(part not in self._folded for part in wanted):
            raise FileError(f"--map names {name}, which the header lacks: {listed(self._names)}")
        indices = tuple(self._folded.index(part) for part in wanted)
        self._mapped.update(indices)
        return indices

    def _put(self, column: str, indices: tuple[int, ...]) -> None:
        if column in self._found:
            raise FileError(f"the header has {column} more than once")
        if len(indices) > 2 or (len(indices) == 2 and column != "timestamp"):
            raise FileError("--map joins the two columns of a date and its time, and no others")
        self._found[column] = indices

    def _take(self, column: str, number: int) -> None:
        """Take a column by its own name; an alias only where nothing better has it."""
        own = self._rank(column, number)
        if column not in self._found:
            self._found[column] = (number,)
            return
        there = self._found[column][0]
        if there in self._mapped and own:
            return
        rank = self._rank(column, there)
        if rank == own or there in self._mapped:
            raise FileError(
                f"the header has {column} more than once: {self._names[there]!r} and "
                f"{self._names[number]!r}"
            )
        if own < rank:
            self._found[column] = (number,)

    def _rank(self, column: str, number: int) -> int:
        """0 for the column's own name; aliases, and another unit beside the own one, are more."""
        title = self._names[number]
        if units_of(column) and self._folded[number] != column:
            return int(any(unit_named(unit) != own_unit(column) for _, unit in _parted(title)))
        names, name = ALIASES.get(column, ()), _without_zone(title)
        return names.index(name) + 1 if name in names else 0

    def _date_and_time(self) -> None:
        bases = [_without_zone(name) for name in self._names]
        if DATE not in bases or TIME not in bases:
            return
        date, time = bases.index(DATE), bases.index(TIME)
        if self._mapped.isdisjoint((date, time)) and self._found.get("timestamp") == (date,):
            self._found["timestamp"] = (date, time)

    def header(self) -> Header:
        places: dict[str, Place] = {}
        for column in COLUMNS:
            if column in self._found:
                indices = self._found[column]
                title = " + ".join(self._names[index] for index in indices)
                places[column] = Place(indices, title, self._unit(column, indices))
        self._check_units(places)
        taken = {index for place in places.values() for index in place.indices}
        return Header(
            places,
            [name for number, name in enumerate(self._names) if name and number not in taken],
            self._zone(places),
            {
                UNIT_COLUMNS[column]: parted[1]
                for column, place in places.items()
                if column in UNIT_COLUMNS
                and UNIT_COLUMNS[column] not in places
                and (parted := bracketed(place.title))
            },
        )

    def _unit(self, column: str, indices: tuple[int, ...]) -> str | None:
        """The unit to convert from: what the header says and what a person said agree."""
        if not units_of(column):
            return None
        title = self._names[indices[0]]
        told = self._units.by_column.get(column)
        try:
            stated = _stated(column, title)
        except UnitError as error:
            if told is None:
                name = column if stem(column) == "fuel" else stem(column)
                several = AMBIGUOUS.get(unit_named(_text(title)) or "", (own_unit(column),))
                raise FileError(
                    f"the header says {title!r}: {error}; say --units {name}={several[0]}, or "
                    "another of its units"
                ) from None
            stated = None
        length = self._units.of_distances if is_length(column) else None
        if told is None and length is not None and stem(column) == "distance":
            told = length
        if told is not None and stated is not None and told != stated:
            raise FileError(
                f"the header says {title!r}, so {column} is in {stated}, and --units says {told}: "
                "leave --units away, or rename the column"
            )
        unit = told or stated or length
        return None if unit == own_unit(column) else unit

    def _check_units(self, places: Mapping[str, Place]) -> None:
        for column in self._units.by_column:
            if column not in places:
                raise FileError(f"--units names {column}, which the file does not have")
        if self._units.of_distances and not any(map(is_length, places)):
            raise FileError("--units names distance, and the file has no distances")

    def _zone(self, places: Mapping[str, Place]) -> tzinfo | None:
        if "timestamp" not in places:
            return None
        for index in places["timestamp"].indices:
            name = self._names[index]
            parted = bracketed(name)
            text = parted[1] if parted else folded(name).rpartition("_")[2]
            if text.upper() in ("UTC", "GMT", "Z"):
                return UTC
            if parted and "/" in text:
                try:
                    return ZoneInfo(text)
                except (ZoneInfoNotFoundError, ValueError, OSError):
                    continue
        return None


def _text(title: str) -> str:
    parted = bracketed(title)
    return parted[1] if parted else next((unit for _, unit in trailing_units(title)), "")


def _stated(column: str, title: str) -> str | None:
    """The unit that a header states beside its name. Raises UnitError for one of something else."""
    if parted := bracketed(title):
        return unit_of(column, parted[1])
    if folded(title) == column:
        return None  # `load_kg` is the name of the column, see --units
    title = _PER.split(title)[0].strip() or title
    for _, text in trailing_units(title):
        if reads(column, text):
            return unit_of(column, text)
        if is_plain_unit(text):
            unit_of(column, text)
    # `Miles`, `Miles driven`
    words = (word for word in title.split() if is_plain_unit(word))
    return next((unit_of(column, word) for word in words if reads(column, word)), None)


def is_plain_unit(text: str) -> bool:
    """Say whether a word can hardly mean anything but a unit, as single letters can."""
    return len(text) > 1 and text.casefold() not in NO_UNITS and unit_named(text) is not None


def read_header(names: Sequence[str], renamed: Mapping[str, str], units: Units) -> Header:
    """Read a header. Raises FileError when a unit is not understood, or a column is twice there.

    `renamed` maps names of the file to columns; `A+B` is a date and its time.
    """
    return _Reader(names, renamed, units).header()


def doubtful_zone(header: Header) -> str | None:
    """The zone that the header of the times names and that may be several."""
    place = header.places.get("timestamp")
    parted = bracketed(place.title) if place and len(place.indices) == 1 else None
    if parted and header.zone is None and _SEVERAL_ZONES.fullmatch(parted[1]):
        return parted[1]
    return None


def listed(names: Sequence[str]) -> str:
    """Give the names of a header for a message."""
    return ", ".join(repr(name.strip()) for name in names if name.strip())[:MAX_LIST_CHARACTERS]
