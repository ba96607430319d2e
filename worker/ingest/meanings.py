"""What single cells mean: words of a file, cells that say nothing, and errors of spreadsheets."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from worker import vehicles
from worker.events import CHOICES, EVENT_TYPES

YES_OR_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
VOCABULARIES: Mapping[str, Mapping[str, str]] = {
    "event_type": {name: name for name in EVENT_TYPES},
    "vehicle_type": vehicles.VEHICLES,
    "fuel_type": vehicles.FUELS,
    **CHOICES,
    "shared_vehicle": {"yes": "yes", "no": "no"},
}
"""Columns with a fixed list of words: spelling -> meaning."""

_DASHES = ("-", "\u2013", "\u2014")
# What programs write for a cell without a value. Names of people and places are not among them.
EMPTY = frozenset(
    ("n/a", "N/A", "n.a.", "NaN", "nan", "NAN", "null", "NULL", "Null", "NaT", "<NA>", *_DASHES)
)
EMPTY_NUMBERS = frozenset(("NA", "na", "None", "none"))  # NA is Namibia elsewhere
# A gap filled with 0, as by fillna(0), in a column of words.
ZEROS = frozenset(("0", "0.0"))
ZERO_IS_EMPTY = frozenset(
    (
        "vehicle_type",
        "fuel_type",
        "vehicle_class",
        "country",
        "output_unit",
        "co2e_method",
        *CHOICES,
    )
)
# Excel in English and German, LibreOffice.
_ERROR = re.compile(
    r"#(N/A|NV|DIV/0!|VALUE!|WERT!|REF!|BEZUG!|NAME\?|NUM!|ZAHL!|NULL!|SPILL!|CALC!|FIELD!|"
    r"BLOCKED!|BUSY!|CONNECT!|UNKNOWN!|GETTING_DATA|N/A [A-Za-z ]{1,40})|Err:\d{3}",
    re.IGNORECASE,
)
NOT_CALCULATED = "#NOT-CALCULATED"
"""Stands for a formula without a value, as programs write it that cannot calculate."""


def error_in(text: str) -> str | None:
    """What is wrong with a cell that has no value but an error, None for other cells."""
    if text == NOT_CALCULATED:
        return "is a formula without a value: open the workbook in Excel and save it"
    return f"is the error {text}" if _ERROR.fullmatch(text) else None


def excel_name(index: int, line: int) -> str:
    """The name of a cell by the index of its column: `D7`."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{line}"


def word(text: str) -> str:
    """Give one spelling of a word of a file, for `--values`."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def columns_of(meaning: str) -> list[str]:
    """The columns in whose lists a word is."""
    plain = meaning.strip().lower().replace("-", "_").replace(" ", "_")
    return [column for column, words in VOCABULARIES.items() if plain in words]


@lru_cache(maxsize=1024)
def hint(column: str, text: str) -> str:
    """What to do about a word that is not known."""
    words = VOCABULARIES[column]
    plain = word(text).replace(" ", "_").replace("-", "_")
    near = difflib.get_close_matches(plain[:50], words, n=1, cutoff=0.7)
    if near:
        meant = words[near[0]]
        return f'is it {meant}? Then say --values "{column}:{text}={meant}"'
    return f'say what it means: --values "{column}:{text}=..."'
