"""From the bytes of a file to numbered records of text cells: encoding, dialect, quoting."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from typing import TextIO

MAX_LINE_CHARACTERS = 100_000
DELIMITERS = (",", ";", "\t", "|")
HEADER_LINES = 10
"""How many lines with text may precede or be the header: titles, and the date of an export."""
HEADER_SEARCH_LINES = 1000
"""And how many with the empty ones between them."""

# The longer mark first: that of UTF-32 (little endian) begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FORMATS = (
    (
        b"\xd0\xcf\x11\xe0",
        "an old Excel workbook (.xls), or one with a password: save it as .xlsx, or as CSV UTF-8",
    ),
    (b"<!DOCTYPE", "an HTML page: open it in Excel and save it as .xlsx"),
    (b"<html", "an HTML page: open it in Excel and save it as .xlsx"),
    (b"<?xml", "XML, perhaps of an old Excel: open it in Excel and save it as .xlsx"),
    (b"%PDF", "a PDF: export the table as CSV"),
    (b"\x1f\x8b", "compressed with gzip: gunzip it first"),
    (b"PAR1", "a Parquet file: write it as CSV first"),
)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


class FileError(Exception):
    """Nothing of the file can be read; the message says what helps."""


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one row; `line` to `last` are the lines of the file that it takes."""

    line: int
    last: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no event, and why."""

    line: int
    reason: str


def decoded(binary: BufferedIOBase, encoding: str | None) -> TextIO:
    """Give the text of the file, line ends untouched; what cannot be decoded becomes U+FFFD.

    By its byte order mark, else by `encoding`, else as UTF-8. Raises FileError.
    """
    head = binary.read(4096)
    raw: io.RawIOBase = _Rejoined(head, binary)
    for magic, what in _OTHER_FORMATS:
        if head.startswith(magic):
            raise FileError(f"the file is {what}")
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    encoding = marked or encoding or _unmarked(head)  # a mark leaves no doubt
    return io.TextIOWrapper(
        io.BufferedReader(raw, 1 << 16), encoding=encoding, errors="replace", newline=""
    )


def _unmarked(head: bytes) -> str:
    if b"\0" not in head:
        return "utf-8"
    even, odd = head[::2], head[1::2]
    for name, zeros in (("utf-16-le", odd), ("utf-16-be", even)):
        if zeros.count(0) > 0.7 * len(zeros) and head.count(0) < 0.6 * len(head):
            raise FileError(
                f"the file looks like {name} without a byte order mark: say --encoding {name}"
            )
    if head.count(0) < 0.1 * len(head):
        return "utf-8"
    raise FileError("the file has zero bytes and is no text: CSV or .xlsx is needed")


class _Rejoined(io.RawIOBase):
    """A file whose first bytes were read already; also of a pipe."""

    def __init__(self, head: bytes, rest: BufferedIOBase) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        taken = self._head[: len(view)] or self._rest.read1(len(view))
        self._head = self._head[len(view) :]
        view[: len(taken)] = taken
        return len(taken)


def lines(file: TextIO) -> Iterator[str]:
    """Give the lines of a file that was opened with newline="", none longer than the limit.

    The rest of a longer line is skipped, so that a file without line ends fits into memory.
    """
    while line := file.readline(MAX_LINE_CHARACTERS):
        yield line
        while len(line) == MAX_LINE_CHARACTERS and not line.endswith(("\n", "\r")):
            line = file.readline(MAX_LINE_CHARACTERS)


class CsvRecords:
    """Header and records of a CSV text. Raises FileError when it is made.

    `known` tells how many of a list of names are columns of events: the line, and the delimiter,
    with most of them make the header. Cells may be quoted, with blanks outside of the quotes and
    line breaks inside. A quote that is never closed costs its own line only.
    """

    mark: None = None  # the cells tell
    first_column = 0

    def __init__(self, text: Iterator[str], known: Callable[[list[str]], int]) -> None:
        self._lines = _Lines(text)
        first, told = self._first_lines()
        # The header is searched for; with "sep=" its delimiter is told.
        candidates = [
            (*likeness(known(names), names, number), delimiter)
            for number, (_, line) in enumerate(first)
            if not _blank(line)
            for delimiter in (told or DELIMITERS)
            for names in [_split(line, delimiter)]
        ]
        if not candidates:
            raise FileError("the file is empty")
        *_, place, _, self.delimiter = max(candidates)
        self.skipped = [line.strip() for _, line in first[:-place] if not _blank(line)]
        self._lines.put_back(first[-place:])
        self._records = self._read()
        header = next(self._records, None)
        if not isinstance(header, Record):
            reason = header.reason if header else "the file is empty"
            raise FileError(f"the header cannot be read: {reason}")
        self.header = header.cells
        self.header_lines = range(header.line, header.last + 1)
        self.commas_separate = self.delimiter == ","

    def __iter__(self) -> Iterator[Record | BadRow]:
        return self._records

    def _first_lines(self) -> tuple[list[tuple[int, str]], str | None]:
        found: list[tuple[int, str]] = []
        told = None
        texts = 0
        for line in self._lines:
            self._lines.begin()
            if len(found) == HEADER_SEARCH_LINES:
                self._lines.put_back([(self._lines.number, line)])
                break
            if _blank(line):
                if texts:
                    found.append((self._lines.number, line))
                continue
            separator = _SEPARATOR_LINE.fullmatch(line.removeprefix("\ufeff"))
            if separator and texts == 0 and told is None:
                told = separator[1]
                continue
            if texts == 0:
                line = line.removeprefix("\ufeff")
            texts += 1
            found.append((self._lines.number, line))
            if texts == HEADER_LINES:
                break
        return found, told

    def _read(self) -> Iterator[Record | BadRow]:
        source = self._lines
        reader = csv.reader(source, delimiter=self.delimiter, strict=True, skipinitialspace=True)
        while True:
            source.begin()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._mended(str(error))
                continue
            if source.longest >= MAX_LINE_CHARACTERS:
                yield source.too_long()
                continue
            if '"' in source.taken[0] and any(cell.lstrip().startswith('"') for cell in cells):
                # Blanks before the quote that the csv module does not skip: tabs, no-break ones.
                cells = _cells_with_blanks("".join(source.taken), self.delimiter) or cells
            if any(cell and not cell.isspace() for cell in cells):
                yield Record(source.first, source.number, cells)

    def _mended(self, error: str) -> Record | BadRow:
        """The record that the csv module refused, or its first line as a bad row."""
        source = self._lines
        taken = source.taken
        if source.longest >= MAX_LINE_CHARACTERS:
            reason = source.too_long().reason
        else:
            cells = _cells_with_blanks("".join(taken), self.delimiter)
            if cells is not None:
                return Record(source.first, source.number, cells)
            unclosed = "unexpected end of data" in error
            reason = "a quoted cell does not end" if unclosed else f"the quotes are wrong: {error}"
            if len(taken) > 1:
                reason = "a quoted cell does not end where a cell ends"
        first = source.first
        source.put_back(list(enumerate(taken[1:], start=first + 1)))
        return BadRow(first, reason)


class _Lines:
    """Numbered lines, those of the record in hand, and a way to read some of them again."""

    def __init__(self, text: Iterator[str]) -> None:
        self._text = enumerate(text, start=1)
        self._again: deque[tuple[int, str]] = deque()
        self.begin()
        self.number = 0

    def begin(self) -> None:
        """Begin a record."""
        self.taken: list[str] = []
        self.first = self.longest = self._characters = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._characters >= MAX_LINE_CHARACTERS:
            raise StopIteration  # a record has to end somewhere; begin() goes on
        number, line = self._again.popleft() if self._again else next(self._text)
        self.number = number
        if not self.taken:
            self.first = number
        self.taken.append(line)
        self.longest = max(self.longest, len(line))
        self._characters += len(line)
        return line

    def put_back(self, numbered: list[tuple[int, str]]) -> None:
        """Read these lines again, before all others."""
        self._again.extendleft(reversed(numbered))

    def too_long(self) -> BadRow:
        return BadRow(self.first, f"the line is longer than {MAX_LINE_CHARACTERS} characters")


def likeness(known: int, names: list[str], number: int) -> tuple[int, int, int, int]:
    """Give how much a line is like a header: by known columns, else by how many names it has.

    Of equals the first; the third part is the negative of its number.
    """
    width = sum(bool(name.strip()) for name in names)
    return known, 0 if known else width, -number, width


def _blank(line: str) -> bool:
    return not line.strip("\ufeff \t\r\n")


def _split(line: str, delimiter: str) -> list[str]:
    """The cells of a line that may be a header, whatever its quotes."""
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])


def _cells_with_blanks(record: str, delimiter: str) -> list[str] | None:
    """The cells of a record with blanks outside of the quotes; None when it has other faults."""
    d = re.escape(delimiter)
    blanks = rf"[^\S\r\n{d}]*"
    cell = re.compile(rf'{blanks}(?:"((?:[^"]|"")*+)"{blanks}|([^{d}"\r\n]*+))({d}|\r?\n?\Z)')
    cells, at = [], 0
    while match := cell.match(record, at):
        quoted, plain, end = match.groups()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        at = match.end()
        if end != delimiter:
            return cells if at == len(record) else None
    return None


def size_of(binary: BufferedIOBase) -> int | None:
    """The bytes of a regular file; None for a pipe."""
    status = os.fstat(binary.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None
