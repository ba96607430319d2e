"""What is normal for one key: the median of its last predictions that were not hot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.events import Key

WINDOW = 50  # samples kept
READY = 5  # samples before anything is judged


@dataclass(frozen=True, slots=True)
class Baseline:
    """Samples in kg CO2, oldest first, and the normal events since the last hot one."""

    samples: tuple[float, ...] = ()
    normal_streak: int = 0

    @property
    def ready(self) -> bool:
        return len(self.samples) >= READY

    @property
    def median(self) -> float:
        """Give the median in kg CO2. Raises statistics.StatisticsError without samples."""
        return statistics.median(self.samples)

    @property
    def mad(self) -> float:
        """Give the median absolute deviation from the median in kg CO2."""
        middle = self.median
        return statistics.median(abs(sample - middle) for sample in self.samples)

    def with_sample(self, co2_kg: float) -> Baseline:
        """Take a prediction that was not judged, since there are too few samples yet."""
        return Baseline((*self.samples, co2_kg)[-WINDOW:], self.normal_streak)

    def with_normal(self, co2_kg: float) -> Baseline:
        """Take the prediction of an event that was judged normal."""
        return Baseline((*self.samples, co2_kg)[-WINDOW:], self.normal_streak + 1)

    def with_hot(self) -> Baseline:
        """Note a hot event, which never moves the baseline."""
        return Baseline(self.samples, 0)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Baseline:
        return cls(tuple(float(sample) for sample in row["samples"]), row["normal_streak"])

    def row(self, key: Key) -> dict[str, Any]:
        """Give the row of `baselines`. Needs at least one sample."""
        return {
            **key._asdict(),
            "median": self.median,
            "mad": self.mad,
            "sample_size": len(self.samples),
            "state": "ready" if self.ready else "warming",
            "samples": list(self.samples),
            "normal_streak": self.normal_streak,
        }
