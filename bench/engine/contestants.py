"""The shipped detector, the reference it was made after, and two rules that people use."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.engine.reference import prototype
from bench.engine.years import KG_PER_TKM, SITES, Job, Key
from worker.detection.detector import Detector
from worker.detection.observation import Change, Observation, Rules

LOAD_SLOPE = -0.9


@dataclass(slots=True)
class Answers:
    """One entry per event: part of a hotspot, opened one, one stands open afterwards."""

    marked: list[bool]
    opened: list[bool]
    is_open: list[bool]
    seconds: float = 0.0


Judge = Callable[[Job], tuple[bool, bool, bool]]


def _run(jobs: Sequence[Job], judge: Judge) -> Answers:
    answers = Answers([], [], [])
    began = time.perf_counter()
    for job in jobs:
        marked, opened, is_open = judge(job)
        answers.marked.append(marked)
        answers.opened.append(opened)
        answers.is_open.append(is_open)
    answers.seconds = time.perf_counter() - began
    return answers


def shipped(jobs: Sequence[Job]) -> Answers:
    """The event series of `worker.detection`."""
    detectors: dict[Key, Detector] = {}
    rules = Rules()

    def judge(job: Job) -> tuple[bool, bool, bool]:
        detector = detectors.get(job.key)
        if detector is None:
            slope = LOAD_SLOPE if job.key.event_type == "logistics" else None
            detector = detectors[job.key] = Detector(slope)
        factor = math.log(KG_PER_TKM[job.vehicle]) if job.vehicle else 0.0
        seen = Observation(job.time, job.kg, job.activity, job.covariate, job.vehicle, factor)
        if job.key.event_type in SITES:
            verdict = detector.observe_site(seen, rules)
        else:
            verdict = detector.observe(seen, rules)
        return verdict.marked, verdict.change is Change.OPENED, detector.episode is not None

    return _run(jobs, judge)


def reference(jobs: Sequence[Job]) -> Answers:
    """The prototype that the detector was proven with."""
    states: dict[Key, dict[str, Any]] = {}
    prototype.CLASS.update({name: math.log(factor) for name, factor in KG_PER_TKM.items()})

    def judge(job: Job) -> tuple[bool, bool, bool]:
        state = states.get(job.key)
        if state is None:
            state = states[job.key] = prototype.new_state(job.key.event_type)
        verdict = prototype.step(
            state,
            {
                "t": job.time,
                "kg": job.kg,
                "act": job.activity,
                "x": job.covariate,
                "cls": job.vehicle,
            },
        )
        opened = verdict["change"] == "opened"
        return prototype.marked(verdict), opened, state["ep"] is not None

    return _run(jobs, judge)


@dataclass(slots=True)
class _Simple:
    """A rule that opens on a hot event and resolves after three that are not."""

    values: deque[float]
    calm: int = 0
    is_open: bool = False

    def live(self, hot: bool) -> tuple[bool, bool, bool]:
        opened = hot and not self.is_open
        self.calm = 0 if hot else self.calm + 1
        self.is_open = hot or (self.is_open and self.calm < 3)
        return hot, opened, self.is_open


def ratio_rule(jobs: Sequence[Job]) -> Answers:
    """1.1 x the median kg of the last 50 events that were not hot: the worker's first rule."""
    keys: dict[Key, _Simple] = {}

    def judge(job: Job) -> tuple[bool, bool, bool]:
        key = keys.setdefault(job.key, _Simple(deque(maxlen=50)))
        if len(key.values) < 5:
            key.values.append(job.kg)
            return False, False, False
        hot = job.kg >= 1.1 * statistics.median(key.values)
        if not hot:
            key.values.append(job.kg)
        return key.live(hot)

    return _run(jobs, judge)


def robust_z(jobs: Sequence[Job]) -> Answers:
    """3.5 robust spreads above the median of the last 200 ln(kg / activity)."""
    keys: dict[Key, _Simple] = {}

    def judge(job: Job) -> tuple[bool, bool, bool]:
        key = keys.setdefault(job.key, _Simple(deque(maxlen=200)))
        if job.activity is None:
            return False, False, key.is_open
        value, hot = math.log(job.kg / job.activity), False
        if len(key.values) >= 12:
            middle = statistics.median(key.values)
            spread = statistics.median(abs(known - middle) for known in key.values) * 1.4826
            hot = value - middle > 3.5 * max(spread, 1e-9)
        key.values.append(value)
        return key.live(hot)

    return _run(jobs, judge)


CONTESTANTS: dict[str, Callable[[Sequence[Job]], Answers]] = {
    "shipped": shipped,
    "prototype": reference,
    "ratio rule": ratio_rule,
    "robust z": robust_z,
}
