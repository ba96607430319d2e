"""The records of an Excel workbook (.xlsx), as text cells with decimal points and ISO times."""

from __future__ import annotations

import itertools
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from worker.ingest.files import HEADER_LINES, BadRow, FileError, Record, likeness
from worker.ingest.meanings import NOT_CALCULATED

MAX_UNPACKED_BYTES = 2_000_000_000
"""A workbook is a zip archive: a small file may hold more than fits into memory."""
PART_BYTES = 1 << 20
LONGEST_CELL = 200_000
"""Bytes of one cell's XML that are searched for an error: Excel's cells have 32,767 characters."""

# The reader gives no value for a cell with an error, nor for a formula that was never calculated.
_ERROR = re.compile(
    rb"<(?:\w+:)?c\s(?=[^>]*\bt=[\"']e[\"'])[^>]*\br=[\"']([A-Z]+)(\d+)[\"'][^>]*>"
    rb"(?:(?!</(?:\w+:)?c>).)*?<(?:\w+:)?v>([^<]*)<",
    re.DOTALL,
)
_NOT_CALCULATED = re.compile(
    rb"<(?:\w+:)?c\s(?![^>]*\bt=[\"']str[\"'])[^>]*\br=[\"']([A-Z]+)(\d+)[\"'][^>]*>"
    rb"<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>[^<]*</(?:\w+:)?f>)"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>)?</(?:\w+:)?c>"
)
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


class WorkbookRecords:
    """Header and records of one sheet; a row's line is its number in Excel.

    The sheet is the named one, else the one whose header has most known columns, the first of
    equals; `others` are those that are not read though they are not empty. Raises FileError when it
    is made. A sheet is read whole, which Excel's own limit of 1,048,576 rows bounds.
    """

    commas_separate = True  # numbers are numbers here, whatever the country
    mark: Literal["point"] = "point"

    def __init__(self, path: Path, sheet: str | None, known: Callable[[list[str]], int]) -> None:
        try:
            import python_calamine as calamine
        except ImportError:
            raise FileError(
                "to read .xlsx install the extra: pip install 'hotspot-relay[xlsx]'; "
                "or save the file as CSV UTF-8"
            ) from None
        try:
            parts = _sheet_parts(path)
            workbook = calamine.CalamineWorkbook.from_path(path)
            names = workbook.sheet_names
            if sheet is not None and sheet not in names:
                raise FileError(f"there is no sheet {sheet!r}: the workbook has {', '.join(names)}")
            found = self._choose(workbook, [sheet] if sheet is not None else names, known)
            self._errors = _errors(path, parts[self.sheet]) if self.sheet in parts else {}
        except (*_UNREADABLE, calamine.CalamineError) as error:
            raise FileError(f"the workbook cannot be read: {error}") from None
        self.height = found.height
        self.first_column: int = (found.start or (0, 0))[1]
        self._rows = self._records(found)
        self.skipped: list[str] = []
        self.header, line = self._header(known)
        self.header_lines = range(line, line + 1)

    def __iter__(self) -> Iterator[Record | BadRow]:
        return (Record(number, number, cells) for number, cells in self._rows)

    def _choose(self, workbook: Any, names: list[str], known: Callable[[list[str]], int]) -> Any:
        """The sheet that is read; only one of them is kept."""
        best, chosen = -1, None
        self.others: list[str] = []
        for name in names:
            found = workbook.get_sheet_by_name(name)
            first = itertools.islice(filter(any, _cells(found)), HEADER_LINES)
            likeness_of = max((known(cells) for cells in first), default=-1)
            if likeness_of >= 0:
                self.others.append(name)
            if likeness_of > best:
                best, chosen, self.sheet = likeness_of, found, name
        if chosen is None:
            raise FileError("the workbook is empty")
        self.others.remove(self.sheet)
        return chosen

    def _records(self, found: Any) -> Iterator[tuple[int, list[str]]]:
        """The rows with text, by their number in Excel."""
        for number, cells in enumerate(_cells(found), start=1):
            for column, error in self._errors.get(number, ()):
                if 0 <= column - self.first_column < len(cells):
                    cells[column - self.first_column] = error
            if any(cells):
                yield number, cells

    def _header(self, known: Callable[[list[str]], int]) -> tuple[list[str], int]:
        first = [
            (*likeness(known(cells), cells, number), cells)
            for number, cells in itertools.islice(self._rows, HEADER_LINES)
        ]
        if not first:
            raise FileError("the workbook is empty")
        *_, place, _, header = max(first)
        self.skipped = [" ".join(filter(None, row)) for *_, at, _, row in first if at > place]
        after = [(-at, row) for *_, at, _, row in first if at < place]
        self._rows = itertools.chain(after, self._rows)
        return header, -place


_UNREADABLE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    NotImplementedError,
    ElementTree.ParseError,
    EOFError,
    OSError,  # a damaged offset: the file itself is there
    KeyError,  # a part that the workbook names is missing
    RuntimeError,  # a password
    ValueError,
    struct.error,
    zlib.error,
)


def _sheet_parts(path: Path) -> dict[str, str]:
    """The part of the archive that each sheet is in. Raises FileError for other archives."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise FileError(f"unpacked the workbook has {unpacked} bytes: save it as CSV UTF-8")
        kinds = {entry.compress_type for entry in archive.infolist()}
        if not kinds <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise FileError("the workbook is packed in a way that Excel does not use: save it anew")
        if "xl/workbook.xml" not in archive.namelist():
            raise FileError("the file is a zip archive, and no .xlsx: save the table as .xlsx")
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 - expat bounds entities
        relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    targets = {
        relation.get("Id"): posixpath.normpath(posixpath.join("/xl", relation.get("Target", "")))
        for relation in relations
    }
    return {
        sheet.get("name", ""): targets[sheet.get(_RELATION)].lstrip("/")
        for sheet in book.iter()
        if sheet.tag.endswith("}sheet") and sheet.get(_RELATION) in targets
    }


def _errors(path: Path, part: str) -> Mapping[int, list[tuple[int, str]]]:
    """Row -> index of the column and the error, for each cell without a value that should have one.

    They are searched for in the XML, which costs a small part of what reading it costs.
    """
    found: dict[int, list[tuple[int, str]]] = {}
    with zipfile.ZipFile(path) as archive:
        if part not in archive.namelist():
            return found
        with archive.open(part) as stream:
            rest = b""
            while read := stream.read(PART_BYTES):
                text = rest + read
                end = max(text.rfind(b"</c>"), text.rfind(b":c>")) + 4
                if end < 4:
                    rest = text[-LONGEST_CELL:]
                    continue
                whole, rest = text[:end], text[end:]
                if b't="e"' in whole or b"t='e'" in whole:
                    for column, row, error in _ERROR.findall(whole):
                        _note(found, row, column, error.decode(errors="replace").strip())
                if b"<f" in whole or b":f" in whole:
                    for column, row in _NOT_CALCULATED.findall(whole):
                        _note(found, row, column, NOT_CALCULATED)
    return found


def _note(found: dict[int, list[tuple[int, str]]], row: bytes, column: bytes, error: str) -> None:
    index = 0
    for letter in column:
        index = index * 26 + letter - ord("A") + 1
    found.setdefault(int(row), []).append((index - 1, error or "#VALUE!"))


def _cells(sheet: Any) -> Iterator[list[str]]:
    return (list(map(_text, row)) for row in sheet.iter_rows())


def _text(cell: Any) -> str:
    """The cell as a CSV of pandas would have it."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        return _rounded(cell).isoformat(" ")
    if isinstance(cell, time):
        return _rounded(datetime.combine(date(2000, 1, 1), cell)).time().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    return "" if cell is None else str(cell)


def _rounded(moment: datetime) -> datetime:
    """Excel keeps times as fractions of a day: 09:14:02 may be a little before itself."""
    rounded = moment + timedelta(microseconds=500)
    return rounded.replace(microsecond=rounded.microsecond // 1000 * 1000)
