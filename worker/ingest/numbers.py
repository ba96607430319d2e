"""Numbers as people write them: decimal point or comma, grouped digits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Mark = Literal["point", "comma"]

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
# 1.234 is a thousand and more, or one and a bit: only the rest of the file can tell.
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
# 1 234,5 with any blank that does not break the line, and the Swiss 1'234.5.
_BLANK_GROUPS = re.compile(r"(?<=\d)[ \u00a0\u2007\u2009\u202f'\u2019](?=\d{3}(?!\d))")
_EXCHANGE = str.maketrans(".,", ",.")


class Numbers:
    """Reads the numbers of one file by its decimal mark, which its unmistakable cells show.

    `sample` are cells of number columns; `mark` is what a person or the format said. Where cells
    contradict each other the more frequent mark counts, and nothing is taken as grouped.
    """

    def __init__(self, mark: Mark | None, sample: Iterable[str], *, commas_separate: bool) -> None:
        counts = {"point": 0, "comma": 0}
        if mark is None:
            for cell in sample:
                if found := _mark(cell):
                    counts[found] += 1
        self.mark: Mark | None = mark
        self._grouped = not (counts["point"] and counts["comma"])
        if mark is None and any(counts.values()):
            self.mark = "point" if counts["point"] >= counts["comma"] else "comma"
        # Where commas separate cells, 1.234 is what programs write; elsewhere it may be Excel's.
        self._points_are_safe = commas_separate

    def canonical(self, text: str) -> str:
        """Give the number with a decimal point and nothing else. Raises ValueError."""
        if self.mark != "comma" and _PLAIN.fullmatch(text):
            if self.mark is None and not text.isdigit():
                if not self._points_are_safe and _EITHER.fullmatch(text):
                    raise ValueError(_doubt(text))
                self.mark = _mark(text)
            return text
        text = _BLANK_GROUPS.sub("", text)
        if self.mark is None:
            if _EITHER.fullmatch(text):
                raise ValueError(_doubt(text))
            self.mark = _mark(text)
        turned = text.translate(_EXCHANGE) if self.mark == "comma" else text
        if _PLAIN.fullmatch(turned):
            return turned
        if _GROUPED.fullmatch(turned):
            if not self._grouped:
                raise ValueError(_doubt(text))
            return turned.replace(",", "")
        # float() would also take 1_000, nan, inf and digits of other scripts.
        using = f" with a decimal {self.mark}" if _mark(text) else ""
        raise ValueError(f"is not a number{using}")


def _doubt(text: str) -> str:
    few, many = text.replace(",", "."), text.replace(",", "").replace(".", "")
    return f"may be {few} or {many}: say --decimal point or --decimal comma"


def _mark(text: str) -> Mark | None:
    """The decimal mark that a number certainly has."""
    if "." not in text and "," not in text:
        return None
    text = _BLANK_GROUPS.sub("", text)
    if _EITHER.fullmatch(text):
        return None
    if _PLAIN.fullmatch(text) or _GROUPED.fullmatch(text):
        return "point"
    turned = text.translate(_EXCHANGE)
    return "comma" if _PLAIN.fullmatch(turned) or _GROUPED.fullmatch(turned) else None
