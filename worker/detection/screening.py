"""What cannot be used: marked and shown, never learned from.

Without the check of units 6 to 8 rows a year in a wrong unit open a hotspot, with it none.
"""

from __future__ import annotations

import math
from typing import Any

from worker.detection.observation import Observation

REPORTED = 5  # unusable ones of one kind in a row before it is told, once
REPEATS_STUCK = range(3, 60)  # earlier repeats may be chance, and nothing is stuck for ever
REPEATS_USUAL = 0.1  # a fixed route always repeats itself
LEARNED_ENOUGH = 30  # usable events before a meter can be called stuck
ANOTHER_UNIT = math.log(50)  # a residual beyond can only be another unit
LEAST_ACTIVITY, MOST_ACTIVITY = 1e-15, 1e15  # of any unit: sums stay finite
UNIT_FROM = 3  # usable events from which on the unit can be told


class Screening:
    """The repeats of a meter, and what was unusable lately."""

    __slots__ = ("bad_count", "bad_kind", "last_kg", "repeat_share", "repeats")

    def __init__(self) -> None:
        self.last_kg: float | None = None
        self.repeats = 0
        self.repeat_share = 0.0  # decayed share of events that repeat the one before
        self.bad_kind: str | None = None
        self.bad_count = 0

    def fault_of(self, seen: Observation, learned: int) -> str | None:
        """Say why an observation cannot be used, None when it can; `learned` events came before.

        No activity at all is no fault.
        """
        kg, activity = seen.kg, seen.activity
        if kg is None or not 0 <= kg < math.inf:
            return "value"
        if kg == 0:
            return "zero"
        self.repeats = self.repeats + 1 if kg == self.last_kg else 0
        self.last_kg = kg
        if (
            self.repeats
            and seen.metered
            and self.repeats in REPEATS_STUCK
            and self.repeat_share < REPEATS_USUAL
            and learned >= LEARNED_ENOUGH
        ):
            return "stuck"
        self.repeat_share += 0.02 * ((self.repeats > 0) - self.repeat_share)
        if activity is not None and not LEAST_ACTIVITY < activity < MOST_ACTIVITY:
            return "activity"
        return None

    def report(self, kind: str) -> bool:
        """Count an unusable observation; True when it is time to tell a person, once in a row."""
        self.bad_count = self.bad_count + 1 if kind == self.bad_kind else 1
        self.bad_kind = kind
        return self.bad_count == REPORTED

    def passed(self) -> None:
        """Note a usable observation."""
        self.bad_kind, self.bad_count = None, 0

    def state(self) -> list[Any]:
        """Give what `restore` takes."""
        return [self.last_kg, self.repeats, self.repeat_share, self.bad_kind, self.bad_count]

    def restore(self, state: list[Any]) -> None:
        """Take what `state` gave."""
        self.last_kg, self.repeats, self.repeat_share, self.bad_kind, self.bad_count = state
