"""One event is hot by ratio, by significance and by weight, all three.

Significance carries the quiet: on the ratio alone .13 (noise 3 %) to .84 (20 %) false hotspots
open per supplier-week instead of .002 to .020. Ratio and weight show no gain there; they are what
makes a severity worth a person's time.
"""

from __future__ import annotations

import math

from worker.detection.observation import Rules
from worker.severity import ON_THE_GRID, Severity

SPREADS = 3.5  # usual spreads above the median at one event a day
SPREADS_PER_RATE = 0.35  # more by ln(events per day): false alarms are counted by the week
DAILY_SHARE = 0.05  # of what the key emits on a typical day


def severity(
    ratio: float, z: float, excess_kg: float, log_typical_kg: float, rate: float, rules: Rules
) -> Severity | None:
    """Give the severity of an event, None when it is not hot.

    `log_typical_kg` is the logarithm of what a typical event emits, `rate` in events per day.
    """
    found = rules.thresholds.of_ratio(ratio)
    if found is None or ratio < rules.least_ratio * (1 - ON_THE_GRID):
        return None
    if z < least_spreads(rate):
        return None
    return found if excess_kg >= least_kg(log_typical_kg, rate, rules) else None


def least_spreads(rate: float) -> float:
    """Give the usual spreads above the median from which on an event is significant."""
    return SPREADS + SPREADS_PER_RATE * math.log(rate)


def least_kg(log_typical_kg: float, rate: float, rules: Rules) -> float:
    """Give the excess in kg from which on an event has weight."""
    return max(rules.least_kg, DAILY_SHARE * math.exp(log_typical_kg) * rate)
