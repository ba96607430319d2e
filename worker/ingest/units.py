"""Units of measure: how people write them, and from which ones a column is converted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal

# Unit -> factor to that of the column; exact by definition.
_LENGTH = {"km": "1", "m": "0.001", "mi": "1.609344", "nmi": "1.852"}
_MASS = {
    "kg": "1",
    "g": "0.001",
    "t": "1000",
    "lb": "0.45359237",
    "ton_us": "907.18474",
    "ton_uk": "1016.0469088",
}
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
AMBIGUOUS: Mapping[str, tuple[str, ...]] = {
    "gal": ("gal_us", "gal_uk"),
    "ton": ("t", "ton_us", "ton_uk"),
}
"""Names that stand for several units, a fifth or a tenth apart."""

_SPELLINGS: Mapping[str, str] = {
    folded: unit
    for unit, spellings in {
        "km": "km kilometre kilometer kilomètre kilómetro kilometro",
        "m": "m metre meter",
        "mi": "mi mile",
        "nmi": "nmi nm nautical_mile",
        "kg": "kg kilo kilogram kilogramme kilogramm kilogramo",
        "g": "g gram gramme gramm",
        "t": "t to tonne tonnen tonelada mt metric_ton",
        "lb": "lb pound",
        "ton": "ton",
        "ton_us": "ton_us us_ton short_ton",
        "ton_uk": "ton_uk uk_ton long_ton",
        "kwh": "kwh kw_h kilowatt_hour",
        "wh": "wh",
        "mwh": "mwh megawatt_hour",
        "gwh": "gwh gigawatt_hour",
        "mj": "mj megajoule",
        "gj": "gj gigajoule",
        "l": "l ltr litre liter litro",
        "m3": "m3 cbm cubic_metre cubic_meter",
        "ft3": "ft3 cubic_feet cubic_foot cu_ft",
        "gal": "gal gallon",
        "gal_us": "gal_us us_gal us_gallon gallon_us usg",
        "gal_uk": "gal_uk uk_gal uk_gallon gallon_uk imp_gal imperial_gallon",
        "km/h": "km_h kmh kph kmph",
        "mph": "mph mi_h miles_per_hour",
        "m/s": "m_s",
        "kn": "kn kt knot",
        "c": "c oc deg_c degree_c degrees_c celsius",
        "f": "f of deg_f degree_f degrees_f fahrenheit",
        "k": "k kelvin",
        "h": "h hr hour stunde stunden",
        "min": "min minute minuten",
        "d": "d day",
    }.items()
    for folded in spellings.split()
}
_BETWEEN = re.compile(r"[\W_]+")
_BRACKETED = re.compile(r"(.*?)[\s_]*[(\[{<]([^()\[\]{}<>]*)[)\]}>]\s*", re.DOTALL)
_WORDS = re.compile(r"[^\s_/,;.-]+")
MOST_UNIT_WORDS = 3
MAX_CHARACTERS = 200  # of a name with a unit; a line without delimiters may be far longer


class UnitError(ValueError):
    """A unit that a column cannot be read in, or that may be several."""


def units_of(column: str) -> Mapping[str, str]:
    """The units that a column can be converted from, its own among them; empty: none."""
    if found := _BY_COLUMN.get(column):
        return found
    return next((units for suffix, units in _BY_SUFFIX.items() if column.endswith(suffix)), {})


def own_unit(column: str) -> str:
    """The unit of a column that has some."""
    return next(unit for unit, factor in units_of(column).items() if factor == "1")


def is_length(column: str) -> bool:
    """Say whether a column is a distance."""
    return units_of(column) is _LENGTH


def stem(column: str) -> str:
    """The name of a column without the unit: `distance` of `distance_km`."""
    suffix = next((end for end in _BY_SUFFIX if column.endswith(end)), "")
    return column.removesuffix(suffix)


def unit_named(text: str) -> str | None:
    """The unit that a text means, or a name of `AMBIGUOUS`; None for no unit."""
    name = unicodedata.normalize("NFKC", text).casefold().replace("°", "")
    name = _BETWEEN.sub("_", name).strip("_")
    return _SPELLINGS.get(name) or _SPELLINGS.get(name.removesuffix("s"))


def unit_of(column: str, text: str) -> str:
    """The unit of `units_of` that a text means. Raises UnitError."""
    known = units_of(column)
    named = unit_named(text)
    if named is not None and named in known:
        return named
    if several := [unit for unit in AMBIGUOUS.get(named or "", ()) if unit in known]:
        raise UnitError(f"{text.strip()!r} may be {' or '.join(several)}")
    raise UnitError(f"{text.strip()!r} is no unit of {column} ({', '.join(known)})")


def bracketed(name: str) -> tuple[str, str] | None:
    """Part `Load (t)` into its name and what stands in brackets, None without brackets."""
    match = _BRACKETED.fullmatch(name) if len(name) <= MAX_CHARACTERS else None
    return (match[1], match[2].strip()) if match and match[1].strip() and match[2].strip() else None


def trailing_units(name: str) -> Iterator[tuple[str, str]]:
    """Part `Load in t` and `load_us_gal` into name and unit, in all ways, the longest unit first.

    The units are those of `unit_named`.
    """
    words = list(_WORDS.finditer(name)) if len(name) <= MAX_CHARACTERS else []
    for count in range(min(MOST_UNIT_WORDS, len(words) - 1), 0, -1):
        text = name[words[-count].start() : words[-1].end()]
        if unit_named(text) is None:
            continue
        last = -count - 1
        if words[last].group().casefold() == "in" and len(words) > count + 1:
            last -= 1
        yield name[: words[last].end()], text


def converted(column: str, unit: str, number: str) -> str:
    """Give the number in the column's own unit, for a unit of `units_of`."""
    value = Decimal(number)
    if column == "temperature" and unit == "f":
        return str((value - 32) * 5 / 9)
    if column == "temperature" and unit == "k":
        return str(value - Decimal("273.15"))
    return str(value * Decimal(units_of(column)[unit]))
