"""Made-up work of one key, for the tests of the detector; chance comes from seeds alone."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from typing import Any

from worker.detection.detector import Detector
from worker.detection.observation import DAY, Change, Observation, Rules, Verdict

RULES = Rules()
MONDAY = 20_089 * DAY - 2 * DAY  # 30 December 2024


def factors(count: int, *, noise: float = 0.03, seed: int = 1, factor: float = 1.0) -> list[float]:
    """Give kg per unit of activity of so many jobs."""
    chance = random.Random(seed)
    return [factor * math.exp(noise * chance.gauss(0, 1)) for _ in range(count)]


def jobs(
    intensities: Iterable[float],
    *,
    start: float = MONDAY,
    step: float = DAY,
    activity: float = 100.0,
    **others: Any,
) -> Iterator[Observation]:
    """Give one job after the other, each of the same size."""
    for number, intensity in enumerate(intensities):
        yield Observation(start + number * step, intensity * activity, activity, **others)


def judged(detector: Detector, work: Iterable[Observation]) -> list[Verdict]:
    """Show a detector some work."""
    return [detector.observe(job, RULES) for job in work]


def changes(verdicts: Iterable[Verdict]) -> list[Change]:
    """Give what changed, in order."""
    return [verdict.change for verdict in verdicts if verdict.change is not None]
