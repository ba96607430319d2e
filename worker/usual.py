"""What is usual for each supplier and kind of work, and from how far above it a job is told.

For who sees no hotspot and wants to know why: not enough learned, a scatter that hides it, or a
column that the file does not have.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from worker.database import Database, Row
from worker.detection.detector import READY
from worker.detection.observation import Rules
from worker.detection.periods import rules_of
from worker.detection.reason import unit_of
from worker.detection.series import PERIOD, Identity, judge_in
from worker.ingest.terminal import print_table, say

OK, NOT_FOUND = 0, 1
MISSING = {
    "t_km_actual": "detours cannot be seen, a longer trip is more work: give planned_distance_km",
    "km_actual": "detours and empty trips cannot be seen: give planned_distance_km and load_kg",
    "none": "production is not known, more of it looks like waste: give output_quantity or "
    "throughput_t",
}
"""What a basis of comparison cannot show, and the columns that would."""


@dataclass(frozen=True, slots=True)
class Usual:
    """One detector as a person reads it.

    Attributes:
        usual: kg CO2e per `unit`; None before the first usable event.
        spread: Usual scatter, as a share.
        told_from: Share above the usual from which one typical job, or period, is a hotspot by
            itself; None until `learned` reaches `needed`.
        open: Share above the usual of the open hotspot that this detector holds, if any.
    """

    supplier: str
    event_type: str
    series: str
    method: str
    basis: str
    country: str
    learned: int
    needed: int
    usual: float | None
    unit: str
    spread: float
    told_from: float | None
    open: float | None

    @classmethod
    def of(cls, row: Row, rules: Rules) -> Usual:
        """Read a row of `detectors`."""
        identity = Identity(row["series"], row["method"], row["basis"], row["country"])
        detector = judge_in(row["state"])
        episode = detector.episode
        ratio = detector.told_from(rules_of(identity.absolute, rules))
        return cls(
            row["entity"],
            row["event_type"],
            *identity,
            learned=row["learned"],
            needed=READY,
            usual=row["usual"],
            unit=unit_of(identity.basis),
            spread=row["spread"],
            told_from=None if ratio is None else ratio - 1,
            open=None if episode is None else math.expm1(episode.level),
        )

    def cells(self) -> tuple[str, ...]:
        """Give the line of the table."""
        what = "period" if self.series == PERIOD else "job"
        more = self.needed - self.learned
        told = f"after {more} more" if self.told_from is None else f"+{self.told_from:.0%}"
        return (
            self.supplier,
            self.event_type,
            what,
            f"{self.method}, per {self.basis}".replace("none", "day"),
            "-" if self.usual is None else f"{self.usual:.3g} kg/{self.unit}",
            f"± {self.spread:.0%}",
            f"{self.learned:,}",
            told,
            "-" if self.open is None else f"{self.open:+.0%}",
        )


HEADER = (
    "supplier",
    "activity",
    "of one",
    "compared by",
    "usual",
    "spread",
    "learned",
    "told from",
    "open",
)


def add_parser(commands: Any) -> None:
    """Add `usual` to the parser of `python -m worker`."""
    parser = commands.add_parser(
        "usual",
        help="show what is usual for each supplier, and from where on a job is told",
        description="Shows what the worker has learned: kg per unit of work, usual scatter, and "
        "how far above the usual one typical job or period has to lie to be a hotspot by itself. "
        "Less than that is told as well if it lasts. Says which columns would show more.",
    )
    parser.add_argument("supplier", nargs="*", help="suppliers; all of them if none is named")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


async def run(options: argparse.Namespace, database: Database, rules: Rules) -> int:
    """Print the table and what cannot be seen."""
    rows = await _detectors(database, options.supplier)
    found = [Usual.of(row, rules) for row in rows]
    if options.json:
        for each in found:
            print(json.dumps(asdict(each)))
        return OK
    if found:
        print_table([HEADER, *(each.cells() for each in found)])
        for line in _missing(found):
            say(line)
    unknown = [name for name in options.supplier if name not in {each.supplier for each in found}]
    if unknown or not found:
        named = f" of {', '.join(unknown)}" if unknown else ""
        say(f"nothing is learned yet{named}: are there events, and has the worker scanned them?")
    return NOT_FOUND if unknown else OK


async def _detectors(database: Database, suppliers: Sequence[str]) -> list[Row]:
    """All detectors of these suppliers, or of all; a page may end within a supplier."""
    if suppliers:
        return [
            row
            for name in suppliers
            for row in await database.select("detectors", "basis", entity=name)
        ]
    rows: list[Row] = []
    while page := await database.select(
        "detectors", "entity", rows[-1]["entity"] if rows else None
    ):
        last = page[-1]["entity"]
        rows += [row for row in page if row["entity"] != last]
        rows += await database.select("detectors", "basis", entity=last)
    return rows


def _missing(found: Iterable[Usual]) -> list[str]:
    """Name what the data at hand cannot show, once for each basis."""
    lacking: dict[str, set[str]] = {}
    for each in found:
        if each.basis in MISSING:
            lacking.setdefault(each.basis, set()).add(f"{each.supplier} {each.event_type}")
    return [
        f"{MISSING[basis]} ({', '.join(sorted(names)[:3])}"
        + (f" and {len(names) - 3:,} more)" if len(names) > 3 else ")")
        for basis, names in sorted(lacking.items())
    ]
