"""Reading events from CSV text: one good or bad row per line, never a silent loss."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from worker import vehicles
from worker.events import EVENT_TYPES, QUANTITIES, checked

REQUIRED = ("timestamp", "supplier_id", "event_type")
NAMES = ("route_id", "warehouse_id", "factory_id")
COLUMNS = (*REQUIRED, "vehicle_type", "fuel_type", *QUANTITIES, *NAMES)
COUNTS = ("stop_events", "delivery_count")  # whole numbers

MAX_NAME_CHARACTERS = 200
MAX_LINE_CHARACTERS = 100_000

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


class HeaderError(Exception):
    """The first line does not say what the columns are; nothing of the file can be read."""


@dataclass(frozen=True, slots=True)
class GoodRow:
    """A line's event: every column of `COLUMNS`, None where the cell is empty."""

    line: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that is not an event, and why."""

    line: int
    reason: str


class CsvEvents:
    """The events of a CSV text; iterating gives a GoodRow or a BadRow per line that is not empty.

    Each line is read on its own, so that a stray quote cannot swallow the lines after it. Raises
    HeaderError when made.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = enumerate(lines, start=1)
        self._names = self._header()
        self.ignored = [name for name in self._names if name not in COLUMNS]

    def __iter__(self) -> Iterator[GoodRow | BadRow]:
        for number, line in self._lines:
            if not line.strip():
                continue
            try:
                yield GoodRow(number, self._row(line))
            except ValueError as exc:
                yield BadRow(number, str(exc))

    def _header(self) -> list[str]:
        for _, line in self._lines:
            if line.strip():
                return _header_names(line)
        raise HeaderError("the file is empty")

    def _row(self, line: str) -> dict[str, Any]:
        cells = _cells(line)
        if len(cells) != len(self._names):
            raise ValueError(f"{len(cells)} fields where the header has {len(self._names)}")
        given = {
            name: text.strip()
            for name, text in zip(self._names, cells, strict=True)
            if name in COLUMNS and text.strip()
        }
        return normalised(given)


def _header_names(line: str) -> list[str]:
    try:
        names = [cell.strip().lower() for cell in _cells(line.removeprefix("\ufeff"))]
    except ValueError as exc:
        raise HeaderError(f"the header cannot be read: {exc}") from None
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        hint = "; columns are separated by commas" if len(names) == 1 else ""
        raise HeaderError(f"the header lacks {', '.join(missing)}{hint}")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise HeaderError(f"the header has {', '.join(twice)} more than once")
    return names


def _cells(line: str) -> list[str]:
    if len(line) >= MAX_LINE_CHARACTERS:
        raise ValueError(f"the line is longer than {MAX_LINE_CHARACTERS} characters")
    if any("\udc80" <= character <= "\udcff" for character in line):
        raise ValueError("the line is not valid UTF-8")
    try:
        return next(csv.reader([line.rstrip("\r\n")], strict=True))
    except csv.Error as exc:
        if "unexpected end of data" in str(exc):
            raise ValueError("a quoted field does not end on this line") from None
        raise ValueError(f"the quotes are wrong: {exc}") from None


def normalised(given: dict[str, str]) -> dict[str, Any]:
    """Give the columns of `events_normalized` for the non-empty cells of one row.

    Raises ValueError with a reason for the person who wrote the row.
    """
    for name in REQUIRED:
        if name not in given:
            raise ValueError(f"{name} is empty")
    event_type = given["event_type"].lower()
    if event_type not in EVENT_TYPES:
        raise ValueError(
            f"event_type {given['event_type']!r} is unknown (known: {', '.join(EVENT_TYPES)})"
        )
    vehicle, fuel = vehicles.normalised(given.get("vehicle_type"), given.get("fuel_type"))
    return {
        "timestamp": utc(given["timestamp"]),
        "supplier_id": _name("supplier_id", given["supplier_id"]),
        "event_type": event_type,
        "vehicle_type": vehicle,
        "fuel_type": fuel,
        **{name: _quantity(name, given.get(name)) for name in QUANTITIES},
        **{name: _name(name, given[name]) if name in given else None for name in NAMES},
    }


def utc(text: str) -> str:
    """Give the time as RFC 3339 in UTC; without a zone it is UTC. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise ValueError(
            f"timestamp {text!r} is not a time such as 2026-01-05 09:14:02 or 2026-01-05T09:14:02Z"
        ) from None


def _name(column: str, text: str) -> str:
    if len(text) > MAX_NAME_CHARACTERS:
        raise ValueError(f"{column} is longer than {MAX_NAME_CHARACTERS} characters")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError(f"{column} {text!r} has control characters")
    return text


def _quantity(column: str, text: str | None) -> float | None:
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None:
        # float() would also take 1_000, nan, inf and digits of other scripts.
        raise ValueError(f"{column} {text!r} is not a number")
    number = checked(column, text)
    if column in COUNTS and number is not None and not number.is_integer():
        raise ValueError(f"{column} {text!r} is not a whole number")
    return number
