"""The usual scatter of one detector, from what each observation adds to a local level.

Without the prior of a young spread .012 false hotspots open per supplier-week instead of .006
(noise 10 %). Without the lower tail it is .127 instead of .073 under heavy tails, and normal 10 %
noise loses .05 of recall for it. A level that follows no jumps finds .83 of the 1.5-fold events
instead of .92 (noise 3 %). Correcting for autocorrelation takes a quiet, autocorrelated key
(.6, noise 10 %) from 2.23 to .52 false hotspots a year.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

from worker.detection.window import STEP, Window, clip, packed, unpacked

WINDOW = 100  # innovations kept
LEAST = 0.02  # no key is known better than 2 %
PRIOR, PRIOR_WEIGHT = 0.15, 10  # spread of a young key, and how many innovations it weighs
YOUNG = 60  # innovations, or reference values, up to which a key is young
LEARNS_FROM = 5  # events before innovations mean anything
CLIP = 3.0  # spreads: no single event moves level or slopes further
JUMPS = 3  # innovations beyond the clip in one direction: the level has moved
MEDIAN_VARIANCE = 1.57  # of a normal sample's median, times n over the variance


class Scale(NamedTuple):
    """Standard deviations of the logarithm.

    `body` is that of the bulk, `tail` at least as wide as the tails are, `summed` that of what is
    added up, wider when neighbours are alike.
    """

    body: float
    tail: float
    summed: float


class Spread:
    """Local level, innovations around it, and how alike neighbours are."""

    __slots__ = ("alike", "innovations", "jumps", "level", "previous")

    def __init__(self) -> None:
        self.innovations = Window(WINDOW)
        self.level: float | None = None
        self.jumps = 0  # innovations beyond the clip in a row, negative downwards
        self.previous = 0.0
        self.alike = 0.5  # decayed share of neighbours with the same sign

    def scale(self) -> Scale:
        """Give the present scatter."""
        body, tail = self.scatter()
        return Scale(body, tail, self.summed(body))

    def scatter(self) -> tuple[float, float]:
        """Give the standard deviations of body and tail."""
        ordered = self.innovations.ordered
        count = len(ordered)
        if count < 8:
            return PRIOR, PRIOR
        lowest, low, quarter, middle, three_quarters, high = QUANTILES[count]
        body = (ordered[three_quarters] - ordered[quarter]) * STEP / 1.349
        if count < YOUNG:
            pooled = count * body * body + PRIOR_WEIGHT * PRIOR**2
            body = math.sqrt(pooled / (count + PRIOR_WEIGHT))
        if body < LEAST:
            body = LEAST
        if count < 30:
            return body, body
        # The lower tail, which no hotspot reaches, tells how heavy the tails are.
        median = ordered[middle]
        tail = (median - ordered[low]) / 1.645
        above = (ordered[high] - median) / 1.4
        if above > tail:
            tail = above
        if count >= YOUNG:
            far = (median - ordered[lowest]) / 2.05
            if far > tail:
                tail = far
        tail *= STEP
        return body, tail if tail > body else body

    def summed(self, body: float) -> float:
        """Give the standard deviation of what is added up, wider when neighbours are alike."""
        if self.alike <= 0.5:
            return body
        correlation = math.sin(math.pi * (self.alike - 0.5)) - 0.1
        widened = math.sqrt((1 + correlation) / (1 - correlation)) if correlation > 0 else 1.0
        return body * widened

    def learn(
        self,
        residual: float,
        reference: float,
        innovation: float,
        clipped: float,
        variance: float,
        spread: float,
        before: int,
    ) -> None:
        """Take a residual after `before` learned events.

        `innovation` is how far it lies from the level, `clipped` the same within CLIP spreads,
        `variance` what the slopes add to it, `spread` the body's.
        """
        jumps = self.jumps = 0 if innovation == clipped else _one_more(self.jumps, innovation)
        if self.level is None:
            self.level = residual
        elif before < 3:
            self.level = reference
        elif abs(jumps) >= JUMPS:
            self.level += 0.5 * innovation
        else:
            self.level += (0.1 if before >= 10 else 0.3) * clipped
        if before < LEARNS_FROM:
            return
        if abs(jumps) < JUMPS:
            step = 0.5 / (before + 1) if before < 49 else 0.01
            self.alike += step * ((innovation * self.previous > 0) - self.alike)
        self.previous = innovation
        slopes_known = variance < spread * spread or len(self.innovations.values) < 8
        if slopes_known and abs(jumps) < 2:
            self.innovations.push(clip(innovation, 9.0))

    def state(self) -> dict[str, Any]:
        """Give what `restore` takes."""
        return {
            "inn": packed(self.innovations.values),
            "l": self.level,
            "cr": self.jumps,
            "li": self.previous,
            "ac": self.alike,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take what `state` gave; nothing is shared with it."""
        self.innovations.replace(unpacked(state["inn"]))
        self.level, self.jumps = state["l"], state["cr"]
        self.previous, self.alike = state["li"], state["ac"]


class _Quantiles(NamedTuple):
    """Where the quantiles of a sample stand in it, once it is sorted."""

    lowest: int  # .02
    low: int  # .05
    quarter: int
    middle: int
    three_quarters: int
    high: int  # .9

    @classmethod
    def of(cls, count: int) -> Self:
        return cls(*(int(share * count) for share in (0.02, 0.05, 0.25, 0.5, 0.75, 0.9)))


QUANTILES = tuple(_Quantiles.of(count) for count in range(WINDOW + 1))


def _one_more(jumps: int, innovation: float) -> int:
    """Count one more jump in a row, negative downwards."""
    if innovation > 0:
        return max(1, jumps + 1)
    return min(-1, jumps - 1)


def inflation(references: int, variance: float, spread: float) -> float:
    """Give by how much a residual scatters more than usual: young reference, unknown slopes.

    Ignoring it opens .019 false hotspots per supplier-week instead of .002 (noise 3 %).
    """
    young = young_variance(references) if references < YOUNG else 0.0
    return math.sqrt(1 + young + variance / (spread * spread))


def young_variance(references: int) -> float:
    """Give the variance of the median of so few values, in those of one value."""
    return MEDIAN_VARIANCE / max(references, 1) if references < YOUNG else 0.0
