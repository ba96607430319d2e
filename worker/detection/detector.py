"""One detector: a pure fold over its observations in order of arrival.

An observation is hot when its kg per unit of activity, freed of what its inputs explain, lies at
least 10 % and 3.5 usual spreads above the median of the last 200. A hotspot opens on a hot one, or
when many slightly high ones add up; it closes on evidence of return, or becomes the new normal.

Leaving hot events out of the reference, as many do, ratchets it down: .028 false hotspots per
supplier-week instead of .006, 3.75 % of the normal events hot instead of .67 % (noise 10 %). With a
window of 50 instead of 200 .47 of the drifts are found instead of .94.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from worker.detection import point_rule
from worker.detection.episode import BEFORE, SPIKE_RUN, Episode, kind_of_run
from worker.detection.expectation import CENTRED_UNTIL, SIZE_VARIANCE, Expectation
from worker.detection.observation import (
    DAY,
    JUDGED,
    LATE,
    SHIFT,
    SPIKE,
    WARMING,
    Change,
    Observation,
    Rules,
    Status,
    Verdict,
)
from worker.detection.screening import ANOTHER_UNIT, UNIT_FROM, Screening
from worker.detection.sites import SITE_SLOPES, SiteExpectation, is_bent
from worker.detection.slow_rule import DEAD_BAND, Limits, Sum
from worker.detection.spread import CLIP, LEARNS_FROM, Scale, Spread, inflation, young_variance
from worker.detection.typical import Typical
from worker.detection.window import Window, clip, packed, unpacked
from worker.severity import Severity

REFERENCE = 200  # residuals whose median is what is usual
READY = 12  # usable observations before anything is judged
LATE_DAYS = 7  # older than the newest by more: judged, not learned from
LEAST_DAYS = 7.0  # over which a rate is taken
SLOPE_SPREADS = 6.0  # an innovation beyond says nothing of slopes
IMPROVED = (8, 60)  # fewest and most values of the reference after an improvement
MOST_LOG = 300.0  # before the unit is known a ratio may be anything; it stays a number
NEW_NORMAL = 30  # values of the reference after a new normal


class Detector:
    """What is usual for one key and series, and the hotspot that it holds open.

    `covariate_slope` and `size_variance` are what is known beforehand, see `Expectation`.
    """

    def __init__(
        self, covariate_slope: float | None = None, size_variance: float = SIZE_VARIANCE
    ) -> None:
        self.learned = 0  # usable observations
        self.first: float | None = None  # epoch seconds
        self.newest = 0.0
        self.late = 0
        self.log_kg = 0.0  # of a typical observation
        self.log_factor = 0.0  # of the newest observation
        self.reference = Window(REFERENCE)
        self.screening = Screening()
        self.expectation = Expectation(covariate_slope, size_variance)
        self.spread = Spread()
        self.typical = Typical()
        self.up = Sum()
        self.down = Sum()
        self.episode: Episode | None = None
        self.hot_before = [False, False]  # of the two observations before

    @property
    def ready(self) -> bool:
        """Say whether it has learned enough to judge."""
        return self.learned >= READY

    @property
    def rate(self) -> float:
        """Give the observations per day, at least 1."""
        if self.first is None:
            return 1.0
        rate = self.learned / max((self.newest - self.first) / DAY, LEAST_DAYS)
        return rate if rate > 1.0 else 1.0

    def usual(self) -> float | None:
        """Give the kg per unit of activity that a middling job costs, None before the first."""
        if not self.reference.values:
            return None
        return math.exp(self.reference.median() + self.log_factor)

    def told_from(self, rules: Rules) -> float | None:
        """Give the ratio from which one typical observation is hot; None while warming."""
        if not self.ready:
            return None
        scale, rate = self.spread.scale(), self.rate
        significant = point_rule.least_spreads(rate) * scale.tail
        significant *= math.sqrt(1 + young_variance(len(self.reference.values)))
        weighty = 1 + point_rule.least_kg(self.log_kg, rate, rules) / math.exp(self.log_kg)
        return max(rules.thresholds.info, rules.least_ratio, math.exp(significant), weighty)

    def observe_site(
        self, seen: Observation, rules: Rules, known: SiteExpectation | None = None
    ) -> Verdict:
        """Observe a site: by base load, heating and cooling once that is called for, or `known`."""
        line = self.expectation
        if type(line) is Expectation and (known is not None or is_bent(line, seen)):
            self.expectation = SiteExpectation.of(line, seen, known)
        return self.observe(seen, rules)

    # In one piece as far as most observations get: one call for each step doubles its cost. What
    # few come to is in `_Judging`.
    def observe(self, seen: Observation, rules: Rules) -> Verdict:
        """Judge an observation, then learn from it."""
        kg, activity, learned = seen.kg, seen.activity, self.learned
        fault = self.screening.fault_of(seen, learned)
        if fault is not None or kg is None:
            return self._unusable(fault or "value")
        if activity is None:
            return Verdict(Status.NO_ACTIVITY)
        if self.first is None:
            self.first = seen.time

        # What lies above the usual
        expectation, spread = self.expectation, self.spread
        log_kg, log_activity = math.log(kg), math.log(activity)
        explained, by_inputs, size, deviation, variance, weekday = expectation.explain(
            seen, log_activity
        )
        residual = log_kg - log_activity - explained
        references = len(self.reference.values)
        reference = self.reference.median() if references else residual
        excess = residual - reference
        if abs(excess) > ANOTHER_UNIT and learned >= UNIT_FROM:
            return self._unusable("unit")
        if self.screening.bad_count:
            self.screening.passed()

        # The verdict of the point rule
        body, tail = spread.scatter()
        inflated = inflation(references, variance, body)
        ready, late = learned >= READY, False
        if ready:
            late = seen.time < self.newest - LATE_DAYS * DAY
        verdict = Verdict(WARMING if not ready else LATE if late else JUDGED)
        verdict.ratio = ratio = math.exp(clip(excess, MOST_LOG))
        verdict.log_ratio = excess
        verdict.z = z = excess / (tail * inflated)
        verdict.log_usual = reference + explained
        verdict.spread = math.exp(body) - 1
        verdict.expected_kg = kg / ratio
        verdict.excess_kg = excess_kg = kg * (1 - 1 / ratio)
        if ready and excess > 0 and z >= point_rule.SPREADS:
            severity = point_rule.severity(ratio, z, excess_kg, self.log_kg, self.rate, rules)
            if severity is not None:
                verdict.severity, verdict.hot = severity, True
        if late:
            self.late += 1
            return verdict

        # The slow rule and the life of the hotspot. Within the dead band there is no evidence: the
        # sums stay empty if they are.
        if ready:
            if (
                excess > DEAD_BAND
                or excess < -DEAD_BAND
                or self.up.total
                or self.down.total
                or self.episode is not None
            ):
                summed = spread.summed(body)
                limits = Limits.of(summed, references, self.rate)
                z = excess / (summed * inflated)
                self.up.add(z, limits)
                self.down.add(-z, limits)
                if (
                    verdict.hot
                    or self.episode is not None
                    or self.up.total >= limits.alarm
                    or self.down.total >= limits.alarm
                ):
                    scale = Scale(body, tail, summed)
                    _Judging(
                        self, seen, verdict, residual, reference, by_inputs, scale, limits, rules
                    ).advance()
            self.hot_before = [self.hot_before[1], verdict.hot]

        # Everything is learned in clipped steps; the reference rests while a hotspot is open
        if seen.time > self.newest:
            self.newest = seen.time
        innovation = 0.0 if spread.level is None else residual - spread.level
        clipped = clip(innovation, CLIP * body)
        spread.learn(residual, reference, innovation, clipped, variance, body, learned)
        if learned >= LEARNS_FROM:
            if abs(innovation) < SLOPE_SPREADS * body:
                expectation.learn_slopes(size, deviation, clipped, body)
            expectation.learn_weekday(weekday, clipped)
            if seen.vehicle is not None:
                expectation.learn_vehicle(seen.vehicle, clipped)
        if seen.covariate is not None or learned < CENTRED_UNTIL:
            expectation.learn_centre(log_activity, seen.covariate, deviation, learned)
        heavier = log_kg - self.log_kg
        self.log_kg += heavier / (learned + 1) if learned < 20 else 0.02 * clip(heavier, 1.0)
        if self.episode is None:
            self.reference.push(residual)
            self.typical.learn(seen.parts, by_inputs)
        self.log_factor = seen.log_factor
        self.learned = learned + 1
        return verdict

    def _unusable(self, fault: str) -> Verdict:
        change = Change.QUALITY if self.screening.report(fault) else None
        return Verdict(Status.UNUSABLE, why=fault, change=change)

    def rebase(self, values: list[int]) -> None:
        """Take another reference: by evidence, or by a person's word."""
        self.reference.replace(values)
        self.episode = None
        self.up.clear()
        self.down.clear()

    def let_go(self) -> None:
        """Forget the open hotspot and its evidence, and go on with the reference as it is."""
        self.episode = None
        self.up.clear()

    # What a person says of the open hotspot. Without one it is said too late and changes nothing.

    def accept(self) -> None:
        """Hear that this is the new normal, from now on or as soon as there is enough of it."""
        if self.episode is None:
            return
        if self.episode.acceptable:
            self.rebase(self.episode.residuals[-NEW_NORMAL:])
        else:
            self.episode.heard = "accepted"

    def hear(self, word: str) -> None:
        """Hear "rejected", "ignored" or "resolved", see `Episode`."""
        if self.episode is not None:
            self.episode.heard = word
            if word == "resolved":
                self.up.clear()

    def state(self) -> dict[str, Any]:
        """Give one small JSON object: what `restored` takes. Nothing is shared with it."""
        return {
            "n": self.learned,
            "t0": self.first,
            "t": self.newest,
            "late": self.late,
            "m": self.log_kg,
            "f": self.log_factor,
            "ring": packed(self.reference.values),
            "seen": self.screening.state(),
            "x": self.expectation.state(),
            "s": self.spread.state(),
            "typ": self.typical.state(),
            "up": self.up.state(),
            "down": self.down.state(),
            "ep": None if self.episode is None else self.episode.state(),
            "hot": self.hot_before,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Detector:
        """Take what `state` gave."""
        detector = cls()
        if len(state["x"]["g"]) == SITE_SLOPES:
            detector.expectation = SiteExpectation()
        detector.learned, detector.late = state["n"], state["late"]
        detector.first, detector.newest = state["t0"], state["t"]
        detector.log_kg, detector.log_factor = state["m"], state["f"]
        detector.reference.replace(unpacked(state["ring"]))
        detector.screening.restore(state["seen"])
        detector.expectation.restore(state["x"])
        detector.spread.restore(state["s"])
        detector.typical.restore(state["typ"])
        detector.up.restore(state["up"])
        detector.down.restore(state["down"])
        if state["ep"] is not None:
            detector.episode = Episode.restored(state["ep"])
        detector.hot_before = list(state.get("hot", detector.hot_before))
        return detector


class _Judging:
    """An observation that changes what the detector holds open, or belongs to it."""

    __slots__ = (
        "by_inputs",
        "detector",
        "excess",
        "least_level",
        "limits",
        "reference",
        "residual",
        "rules",
        "scale",
        "seen",
        "verdict",
    )

    def __init__(
        self,
        detector: Detector,
        seen: Observation,
        verdict: Verdict,
        residual: float,
        reference: float,
        by_inputs: float,
        scale: Scale,
        limits: Limits,
        rules: Rules,
    ) -> None:
        self.detector = detector
        self.seen = seen
        self.verdict = verdict
        self.residual = residual
        self.reference = reference
        self.excess = residual - reference
        self.by_inputs = by_inputs
        self.scale = scale
        self.limits = limits
        self.rules = rules
        self.least_level = math.log(rules.thresholds.info)  # from which on one is worth a word

    def advance(self) -> None:
        """Let the hotspot begin, live or end."""
        detector = self.detector
        if detector.episode is None:
            self._without_episode()
        else:
            self._within(detector.episode)
        verdict = self.verdict
        if verdict.hot or verdict.member or verdict.change is not None:
            verdict.deviations = detector.typical.deviations(self.seen.parts, self.by_inputs)

    def _without_episode(self) -> None:
        detector, verdict = self.detector, self.verdict
        if self._opens() or detector.up.total >= self.limits.alarm:
            detector.episode = episode = self._opened()
            verdict.change = Change.OPENED
            self._tell(episode)
        elif detector.down.total >= self.limits.alarm and (better := self._better()):
            detector.rebase(better)
            verdict.change = Change.IMPROVED

    def _better(self) -> list[int]:
        """Give the values of an improvement for the reference, empty while it may be a weekend."""
        fewest, most = IMPROVED
        run = self.detector.down.run
        values = self.detector.reference.values[-max(fewest, min(run, most)) :]
        if not self.rules.by_weekday:
            return values
        middle = Window(most, values).median()
        return values if run >= fewest and middle <= self.reference - DEAD_BAND else []

    def _opens(self) -> bool:
        """Say whether this observation is hot enough to open a hotspot by itself."""
        severity = self.verdict.severity
        if severity is None:
            return False
        patient = self.rules.calm and severity < Severity.CRITICAL
        return not patient or any(self.detector.hot_before)

    def _opened(self) -> Episode:
        rule, level = SPIKE, self.excess
        run = self.detector.up.run
        if run >= SPIKE_RUN:
            level = max(self.least_level, self.detector.up.level(self.limits, self.scale.summed))
            before_run = self.detector.reference.values[-run - BEFORE : -run]
            rule = kind_of_run(before_run, self.reference, level, self.scale.body)
        by_level = self.rules.thresholds.of_ratio(math.exp(level))
        severity = self.verdict.severity or by_level or Severity.INFO
        return Episode(rule, self.seen.time, level, severity, max(1, run))

    def _within(self, episode: Episode) -> None:
        detector, verdict = self.detector, self.verdict
        detector.down.clear()  # the reference rests: there is nothing to be better than
        episode.follow(self.residual, self.excess, verdict.hot, self.scale, self.least_level)
        strong = detector.up.total >= self.limits.alarm
        if episode.rule is SPIKE and strong:
            episode.rule = SHIFT
        worse = verdict.severity is not None and verdict.severity > episode.severity
        episode.grade(verdict.severity, self.scale, self.rules.thresholds)
        if worse and verdict.severity is not None:
            episode.severity = verdict.severity
            verdict.change = None if episode.heard in ("ignored", "accepted") else Change.ESCALATED
        if episode.over:
            verdict.change = None if episode.silent else Change.RESOLVED
            self._tell(episode)
            detector.up.clear()
            detector.episode = None
        elif episode.heard == "accepted" and episode.acceptable:
            self._tell(episode)
            detector.rebase(episode.residuals[-NEW_NORMAL:])
        elif episode.is_new_normal(self.seen.time, self.scale):
            verdict.change = Change.NEW_NORMAL
            self._tell(episode)
            detector.rebase(episode.residuals[-NEW_NORMAL:])
        elif episode.heard == "resolved" and (worse or strong):
            detector.episode = episode = self._opened()
            verdict.change = Change.OPENED
            self._tell(episode)
        else:
            self._tell(episode)

    def _tell(self, episode: Episode) -> None:
        """Say what belongs to the episode, and show it unless a person has silenced it."""
        verdict = self.verdict
        belongs = self.excess >= self.least_level and self.excess >= self.scale.body
        verdict.member = member = not verdict.hot and episode.rule is not SPIKE and belongs
        if member or verdict.hot:
            episode.excess_kg += verdict.excess_kg
        elif verdict.change is Change.OPENED:
            # By a run that says more than its newest observation: what is shown of it.
            episode.excess_kg = verdict.expected_kg * math.expm1(episode.level)
        verdict.silent = silent = episode.silent
        if not silent:
            verdict.standing = episode.standing()
