"""The life of a hotspot within one detector: opened, worse, over, or the new normal.

Resolving after three events that are not hot, instead of on evidence, opens .010 false hotspots
per supplier-week instead of .006 (noise 10 %). The new normal and the resting reference show no
gain there: without the first an episode could stay open for ever, and the second keeps the ratio
that is shown the one against the state before.
"""

from __future__ import annotations

import math
from typing import Any

from worker.detection.observation import DAY, DRIFT, SHIFT, SPIKE, Rule, Standing
from worker.detection.spread import Scale
from worker.detection.window import STEP, packed, unpacked
from worker.severity import Severity, Thresholds

SPIKE_RUN = 3  # a hot event without so long a run of evidence is a spike
BEFORE = 30  # reference values before the run, whose median tells a drift
OVER_EVIDENCE = 3.0  # evidence of return
OVER_CALM = 3  # and so many in a row that are not hot
LOWER_RUN = 3  # so many in a row at a lower level, before the severity falls
ACCEPTED_FROM = 3  # residuals that an accepted level is taken from
STEADY = 60  # observations that a new normal takes
STEADY_DAYS, STEADY_DAYS_OF_DRIFT = 30, 90


class Episode:
    """A hotspot that this detector holds open.

    `heard` is what a person has said of it: "rejected" holds it open until it is over; "ignored"
    keeps it silent until it is over; "resolved" keeps it silent until there is new evidence;
    "accepted" keeps it silent until there are enough observations to take its level from.
    """

    __slots__ = (
        "calm",
        "events",
        "excess_kg",
        "heard",
        "level",
        "lower",
        "present",
        "residuals",
        "return_evidence",
        "rule",
        "severity",
        "since",
        "times",
    )

    def __init__(
        self, rule: Rule, since: float, level: float, severity: Severity, events: int = 1
    ) -> None:
        self.rule = rule
        self.since = since
        self.level = level
        self.severity = severity  # the worst so far
        self.present = severity
        self.events = events  # those of the run that opened it, and all since
        self.times = 1
        self.excess_kg = 0.0  # of what belongs to it, so far
        self.return_evidence = 0.0
        self.calm = 0
        self.lower = 0
        self.residuals: list[int] = []
        self.heard = ""

    def standing(self) -> Standing:
        """Give what others see of it."""
        return Standing(
            self.rule,
            self.since,
            self.events,
            self.times,
            self.present,
            self.level,
            self.excess_kg,
            recovering=self.calm > 0 and self.return_evidence >= 1,
        )

    def follow(
        self, residual: float, excess: float, hot: bool, scale: Scale, least_level: float
    ) -> None:
        """Take one more observation, `excess` above the reference (both logarithms)."""
        self.events += 1
        self.times += hot
        level, most = self.level, self.level + 3 * scale.body
        self.level = level = level + 0.2 * ((excess if excess < most else most) - level)
        half = (level if level > least_level else least_level) / 2
        evidence = (half - excess) / scale.summed
        evidence = self.return_evidence + (1.0 if evidence > 1.0 else max(-2.0, evidence))
        self.return_evidence = evidence if evidence > 0.0 else 0.0
        self.calm = 0 if hot else self.calm + 1
        self.residuals.append(round(residual / STEP))
        if len(self.residuals) > STEADY:
            del self.residuals[0]

    def grade(self, hot: Severity | None, scale: Scale, thresholds: Thresholds) -> None:
        """Let the present severity follow: up at once, down when the level was lower for a while.

        `hot` is the severity of the observation. A spike has no level to follow: it ends, or
        becomes a shift. On the way down the level has to be lower by a usual spread, so that noise
        does not change the severity.
        """
        if hot is not None and hot >= self.present:
            self.present, self.lower = hot, 0
        if self.rule is SPIKE:
            return
        reached = thresholds.of_ratio(math.exp(self.level))
        if reached is not None and reached > self.present:
            self.present = reached
        left = thresholds.of_ratio(math.exp(self.level + scale.body)) or Severity.INFO
        self.lower = self.lower + 1 if left < self.present else 0
        if self.lower >= LOWER_RUN:
            self.present, self.lower = left, 0

    @property
    def silent(self) -> bool:
        """Say whether a person does not want to hear of it."""
        return self.heard in ("ignored", "resolved", "accepted")

    @property
    def acceptable(self) -> bool:
        """Say whether there is enough to take its level as the new normal."""
        return len(self.residuals) >= ACCEPTED_FROM

    @property
    def over(self) -> bool:
        """Say whether there is evidence of return."""
        return self.return_evidence >= OVER_EVIDENCE and self.calm >= OVER_CALM

    def is_new_normal(self, time: float, scale: Scale) -> bool:
        """Say whether it has been steady for long; a rise makes it a drift instead."""
        days = STEADY_DAYS_OF_DRIFT if self.rule is DRIFT else STEADY_DAYS
        long = len(self.residuals) >= STEADY and time - self.since >= days * DAY
        if not long or self.heard == "rejected":
            return False
        half = STEADY // 2
        earlier, later = sorted(self.residuals[:half]), sorted(self.residuals[half:])
        rise = (later[half // 2] - earlier[half // 2]) * STEP
        if abs(rise) < max(0.04, 0.65 * scale.body):
            return True
        if rise > 0:
            self.rule = DRIFT
        return False

    def state(self) -> list[Any]:
        """Give what `restored` takes."""
        return [
            self.rule.value,
            self.since,
            self.level,
            self.severity.wire,
            self.events,
            self.times,
            self.return_evidence,
            self.calm,
            self.excess_kg,
            self.heard,
            packed(self.residuals),
            self.present.wire,
            self.lower,
        ]

    @classmethod
    def restored(cls, state: list[Any]) -> Episode:
        """Take what `state` gave; nothing is shared with it."""
        rule, since, level, severity, *rest = state
        episode = cls(Rule(rule), since, level, Severity.from_wire(severity))
        episode.events, episode.times, episode.return_evidence, episode.calm = rest[:4]
        episode.excess_kg, episode.heard, episode.residuals = rest[4], rest[5], unpacked(rest[6])
        if len(rest) > 7:  # not in what an earlier version stored
            episode.present, episode.lower = Severity.from_wire(rest[7]), rest[8]
        return episode


def kind_of_run(before_run: list[int], reference: float, level: float, spread: float) -> Rule:
    """Say whether a run of evidence is a shift, or a drift: one that had begun before its evidence.

    `before_run` are reference values in steps from before the run, `level` what the run speaks of.
    """
    if len(before_run) >= BEFORE // 2:
        middle = sorted(before_run)[len(before_run) // 2] * STEP
        if middle - reference > max(0.35 * level, 0.5 * spread):
            return DRIFT
    return SHIFT
