"""Numbers as people write them: decimal point or comma, grouped digits, other units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal

Mark = Literal["point", "comma"]

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
# 1.234 is a thousand and more, or one and a bit: only the rest of the file can tell.
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
_BLANK_GROUPS = re.compile(r"(?<=\d)[ \u00a0\u202f'\u2019](?=\d{3}(?!\d))")
_EXCHANGE = str.maketrans(".,", ",.")

# Unit -> factor to that of the column; exact by definition, gallons in the words of the UK and US.
_LENGTH = {"km": "1", "m": "0.001", "mi": "1.609344", "nmi": "1.852"}
_MASS = {"kg": "1", "g": "0.001", "t": "1000", "lb": "0.45359237"}
_ENERGY = {
    "kwh": "1",
    "wh": "0.001",
    "mwh": "1000",
    "gwh": "1000000",
    "mj": "0.2777777777777777777777777778",
    "gj": "277.7777777777777777777777778",
}
_HOURS = {"h": "1", "min": "0.01666666666666666666666666667", "d": "24"}
_BY_SUFFIX: Mapping[str, Mapping[str, str]] = {
    "_km": _LENGTH,
    "_kg": _MASS,
    "_kwh": _ENERGY,
    "_hours": _HOURS,
    "_litres": {"l": "1", "m3": "1000", "gal_us": "3.785411784", "gal_uk": "4.54609"},
    "_t": {unit: str(Decimal(factor) / 1000) for unit, factor in _MASS.items()},
}
_BY_COLUMN: Mapping[str, Mapping[str, str]] = {
    "route_length": _LENGTH,
    "cooling_load": _ENERGY,
    "speed": {"km/h": "1", "mph": "1.609344", "m/s": "3.6", "kn": "1.852"},
    "inventory_volume": {"m3": "1", "l": "0.001", "ft3": "0.028316846592"},
    "temperature": {"c": "1", "f": "", "k": ""},
}


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
    if ("." not in text and "," not in text) or _EITHER.fullmatch(text):
        return None
    if _PLAIN.fullmatch(text) or _GROUPED.fullmatch(text):
        return "point"
    turned = text.translate(_EXCHANGE)
    return "comma" if _PLAIN.fullmatch(turned) or _GROUPED.fullmatch(turned) else None


def units_of(column: str) -> Mapping[str, str]:
    """The units that a column can be converted from, its own among them; empty: none."""
    if found := _BY_COLUMN.get(column):
        return found
    return next((units for suffix, units in _BY_SUFFIX.items() if column.endswith(suffix)), {})


def converted(column: str, unit: str, number: str) -> str:
    """Give the number in the column's own unit, for a unit of `units_of`."""
    value = Decimal(number)
    if column == "temperature" and unit == "f":
        return str((value - 32) * 5 / 9)
    if column == "temperature" and unit == "k":
        return str(value - Decimal("273.15"))
    return str(value * Decimal(units_of(column)[unit]))
