"""The records of an Excel workbook (.xlsx), as text cells with decimal points and ISO times."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from worker.ingest.files import HEADER_LINES, BadRow, FileError, Record, likeness

MAX_UNPACKED_BYTES = 2_000_000_000
"""A workbook is a zip archive: a small file may hold more than fits into memory."""


class WorkbookRecords:
    """Header and records of one sheet; a row's line is its number in Excel.

    The sheet is the named one, else the first that is not empty. Raises FileError when it is made.
    A sheet is read whole, which Excel's own limit of 1,048,576 rows bounds.
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
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MAX_UNPACKED_BYTES:
                raise FileError(f"unpacked the workbook has {unpacked} bytes: save it as CSV UTF-8")
            workbook = calamine.CalamineWorkbook.from_path(path)
            names = workbook.sheet_names
            if sheet is not None and sheet not in names:
                raise FileError(f"there is no sheet {sheet!r}: the workbook has {', '.join(names)}")
            if not names:
                raise FileError("the workbook is empty")
            for name in [sheet] if sheet is not None else names:
                self.sheet = name
                found = workbook.get_sheet_by_name(name)
                if found.height:
                    break
        except (zipfile.BadZipFile, calamine.CalamineError, NotImplementedError) as error:
            raise FileError(f"the workbook cannot be read: {error}") from None
        self.height = found.height
        self._rows: Iterator[tuple[int, list[Any]]] = enumerate(found.iter_rows(), start=1)
        self.skipped: list[str] = []
        self.header, line = self._header(known)
        self.header_lines = range(line, line + 1)

    def __iter__(self) -> Iterator[Record | BadRow]:
        for number, row in self._rows:
            cells = list(map(_text, row))
            if any(cells):
                yield Record(number, number, cells)

    def _header(self, known: Callable[[list[str]], int]) -> tuple[list[str], int]:
        first = []
        for number, row in self._rows:
            cells = list(map(_text, row))
            if any(cells):
                first.append((*likeness(known(cells), cells, number), cells))
            if len(first) == HEADER_LINES:
                break
        if not first:
            raise FileError("the workbook is empty")
        *_, place, _, header = max(first)
        self.skipped = [" ".join(filter(None, row)) for *_, at, _, row in first if at > place]
        after = [(-at, row) for *_, at, _, row in first if at < place]
        self._rows = itertools.chain(after, self._rows)
        return header, -place


def _text(cell: Any) -> str:
    """The cell as a CSV of pandas would have it."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        # Excel keeps times as fractions of a day: 09:14:02 may be a little before itself.
        rounded = cell + timedelta(microseconds=500)
        return rounded.replace(microsecond=rounded.microsecond // 1000 * 1000).isoformat(" ")
    if isinstance(cell, date):
        return cell.isoformat()
    return "" if cell is None else str(cell)
