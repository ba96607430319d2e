"""How bad a prediction is, compared with its baseline."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Severity(enum.IntEnum):
    """Ordered: a higher value is worse. `wire` is the name in tables and frames."""

    INFO = 1
    WARN = 2
    CRITICAL = 3

    @property
    def wire(self) -> str:
        return self.name.lower()

    @classmethod
    def from_wire(cls, name: str) -> Severity:
        return cls[name.upper()]


# Kilograms are rounded to the gram, and what is expected is known in steps of 0.01 %: a ratio this
# close to a threshold, relatively, has reached it.
ON_THE_GRID = 1e-4


@dataclass(frozen=True)
class Thresholds:
    """Ratios predicted / baseline from which on an event is info, warn or critical.

    Raises ValueError unless 1 < info < warn < critical.
    """

    info: float = 1.1
    warn: float = 1.3
    critical: float = 1.5

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (self.info, self.warn, self.critical)))
        if not (finite and 1 < self.info < self.warn < self.critical):
            raise ValueError(
                f"thresholds must satisfy 1 < info < warn < critical, "
                f"not info={self.info:g} warn={self.warn:g} critical={self.critical:g}"
            )

    def of_ratio(self, ratio: float) -> Severity | None:
        """Give the severity of kilograms to expected kilograms, None below info."""
        reached = ratio * (1 + ON_THE_GRID)
        if reached >= self.critical:
            return Severity.CRITICAL
        if reached >= self.warn:
            return Severity.WARN
        return Severity.INFO if reached >= self.info else None


# Above next to nothing the percentage would not be finite, and JSON has no infinity.
MOST_PERCENT = 1e12


def percent_above(predicted: float, baseline: float) -> float:
    """Give how many percent the prediction lies above the baseline; 100 above a baseline of 0."""
    if baseline <= 0:
        return 100.0
    return min((predicted - baseline) / baseline * 100, MOST_PERCENT)
