"""Countries by their ISO 3166 codes."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

WORLD = "WORLD"
ALIASES = {"UK": "GBR", "EL": "GRC"}  # used by the EU and by people, not by ISO 3166


@cache
def _codes() -> dict[str, str]:
    text = (resources.files("worker.kilograms") / "data/countries.csv").read_text("ascii")
    codes = dict(ALIASES)
    for row in csv.DictReader(text.splitlines()):
        codes[row["alpha2"]] = codes[row["alpha3"]] = row["alpha3"]
    return codes


def alpha3(text: str) -> str:
    """Give the alpha-3 code for an alpha-2 or alpha-3 code in any case. Raises ValueError."""
    code = _codes().get(text.strip().upper())
    if code is None:
        raise ValueError(f"{text!r} is not a country code of ISO 3166 such as DE or DEU")
    return code
