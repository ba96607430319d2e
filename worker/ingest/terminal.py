"""What the person at the terminal is told: progress, what was refused and why, and the summary."""

from __future__ import annotations

import csv
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from worker.ingest.files import BadRow
from worker.ingest.readiness import Line
from worker.ingest.writing import Ingested
from worker.logs import printable

MOST_GROUPS = 50
SHOWN_LINES = 3
ALIKE = 3
"""So many reasons that differ in a value only are shown each by itself, more of them as one."""
MOST_WORDS = 20
"""Unknown words are shown each by itself up to so many: each needs an answer."""

_VALUE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d[\d.,]*|\b[A-Z]{1,3}\d+\b")

Listing = Callable[[int, str, str], object]


def note(text: str) -> None:
    """Say a line on stderr, without what a name of the file may do to the terminal."""
    print(printable(text), file=sys.stderr)


def say(text: str) -> None:
    """Say a line on stdout, without what a name of the file may do to the terminal."""
    print(printable(text))


@contextmanager
def listing(path: Path | None) -> Iterator[Listing]:
    """Where all refused and quarantined rows are listed."""
    if path is None:
        yield lambda line, what, reason: None
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("line", "what", "reason"))
        yield lambda line, what, reason: writer.writerow((line, what, reason))


class _Lines:
    """The first of some lines of a file, and how many there are."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.first: list[int] = []
        self.count = 0

    def add(self, line: int) -> None:
        self.count += 1
        if len(self.first) < SHOWN_LINES:
            self.first.append(line)

    def __str__(self) -> str:
        more = self.count - len(self.first)
        *before, last = map(str, self.first)
        if more:
            return f"lines {', '.join([*before, last])} and {more:,} more"
        return f"lines {', '.join(before)} and {last}" if before else f"line {last}"


class _Alike:
    """Rows whose reasons differ in values only: the first such reasons, and the other lines."""

    __slots__ = ("most", "others", "reasons")

    def __init__(self, reason: str) -> None:
        self.most = MOST_WORDS if "--values" in reason else ALIKE
        self.reasons: dict[str, _Lines] = {}
        self.others = _Lines()

    def add(self, line: int, reason: str) -> None:
        found = self.reasons.get(reason)
        if found is None and len(self.reasons) < self.most:
            found = self.reasons[reason] = _Lines()
        (self.others if found is None else found).add(line)

    def told(self, what: str) -> Iterator[str]:
        """Give a line for each reason."""
        for reason, lines in self.reasons.items():
            yield f"{lines}: {what}: {reason}"
        if self.others.count:
            like = next(iter(self.reasons.values())).first[0]
            yield f"{self.others}: {what}, each much like line {like}"


class Terminal:
    """Tells what happens, and how long it will go on.

    `fraction` says which share of the file so many rows are, None when nobody knows.
    """

    def __init__(self, fraction: Callable[[int], float | None], listing: Listing) -> None:
        self._fraction = fraction
        self._listing = listing
        self._groups: dict[tuple[str, str], _Alike] = {}
        self._without_group = 0
        self._untold: Counter[str] = Counter()
        self._rows = 0
        self._started = time.monotonic()

    def refused(self, row: BadRow) -> None:
        self._row(row.line, "refused", row.reason)

    def quarantined(self, line: int, reason: str) -> None:
        self._row(line, "quarantined", reason)

    def _row(self, line: int, what: str, reason: str) -> None:
        self._listing(line, what, reason)
        self._untold[what] += 1
        kind = what, _VALUE.sub("?", reason)
        group = self._groups.get(kind)
        if group is None:
            if len(self._groups) == MOST_GROUPS:
                self._without_group += 1
                return
            group = self._groups[kind] = _Alike(reason)
        group.add(line, reason)

    def say_rows(self) -> None:
        """Say which rows were refused or quarantined since the last time, each reason once."""
        for (what, _), group in self._groups.items():
            for text in group.told(what):
                note(text)
        if self._without_group:
            note(f"... and {self._without_group:,} more such rows; --refused FILE.csv lists all")
        self._groups.clear()
        self._untold.clear()
        self._without_group = 0

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
        bad = "".join(f", {number:,} {what}" for what, number in self._untold.items())
        note(f"{verb} {rows:,} rows{bad}, {pace:,.0f} rows/s{left}")


def print_table(table: Sequence[Sequence[str]], right: int | None = None) -> None:
    """Print rows of cells in columns, the one at the place `right` aligned to its right."""
    rows = [[printable(cell) for cell in row] for row in table]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        gaps = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [
            gap + cell if place == right else cell + gap
            for place, (cell, gap) in enumerate(zip(row, gaps, strict=True))
        ]
        print("  ".join(cells).rstrip(" "))


def _width(text: str) -> int:
    """Give how many columns of a terminal the text takes: East Asian letters are two wide."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(letter) in ("Mn", "Me", "Cf")
        else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def print_summary(lines: Sequence[Line], not_shown: int) -> None:
    """Say how much each detector has to learn from, and when it judges."""
    if not lines:
        return
    table = [("supplier", "activity", "compared by", "learned from", "judged")]
    for line in lines:
        unit = "day" if line.daily else "event"
        learned = f"{line.learned:,} {unit}{'' if line.learned == 1 else 's'}"
        table.append((line.supplier, line.event_type, line.compared, learned, line.judged))
    print_table(table, right=3)
    if not_shown:
        print(f"... and {not_shown:,} more suppliers and activities, with as many rows or more")
    if any(line.judged == "yes" for line in lines):
        print("once they are scanned, `hotspot-worker usual` says from where on a job is told")
