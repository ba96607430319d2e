"""Ranges of rows: the requested one, and the Content-Range of the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from emulator.rest import errors

RANGE_HEADER = re.compile(r"([0-9]{1,18})-([0-9]{0,18})")
NEGATIVE_LIMIT = "Limit should be greater than or equal to zero."
REVERSED_HEADER = (
    "The lower boundary must be lower than or equal to the upper boundary in the Range header."
)


@dataclass(frozen=True)
class Range:
    """Rows from `offset` on, up to and including `last` (None: all)."""

    offset: int = 0
    last: int | None = None

    @property
    def limit(self) -> int | None:
        return None if self.last is None else self.last - self.offset + 1

    @property
    def is_empty(self) -> bool:
        return self.last is not None and self.last < self.offset

    def intersection(self, other: Range) -> Range:
        lasts = [last for last in (self.last, other.last) if last is not None]
        return Range(max(self.offset, other.offset), min(lasts, default=None))

    def at_most(self, rows: int) -> Range:
        """Return the range limited to its first `rows` rows."""
        return self.intersection(Range(0, self.offset + rows - 1))


ALL = Range()
NOTHING = Range(0, -1)


def requested(header: str | None, limit: int | None, offset: int | None) -> Range:
    """The rows that the Range header and the parameters ask for.

    Raises ApiError PGRST103 for a range that holds no row, except for `limit=0`.
    """
    by_header = _parsed(header)
    start = offset or 0
    by_parameters = Range(start, None if limit is None else start + limit - 1)
    if by_parameters.last == -1:
        return NOTHING
    rows = by_header.intersection(by_parameters)
    if rows.is_empty:
        raise errors.invalid_range(REVERSED_HEADER if by_header.is_empty else NEGATIVE_LIMIT)
    return rows


def _parsed(header: str | None) -> Range:
    match = RANGE_HEADER.fullmatch(header or "")
    if match is None:
        return ALL
    return Range(int(match[1]), int(match[2]) if match[2] else None)


def content_range(first: int, last: int, total: int | None) -> str:
    """The Content-Range header."""
    rows = f"{first}-{last}" if first <= last and total != 0 else "*"
    return f"{rows}/{'*' if total is None else total}"


def status(first: int, rows: int, total: int | None) -> int:
    """200, 206 when there are more rows, 416 when there are less than `first`."""
    if total is None:
        return 200
    if first > total:
        return 416
    return 206 if rows < total else 200
