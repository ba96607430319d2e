"""All detectors of one key, and which of them see an event.

A detector belongs to a key, a series, a method, a basis of activity and a country of the grid: like
is compared with like. The two series ask two questions: was this job done badly, and is the whole
run bad? Without any activity only the second one is asked, day by day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from worker.detection.detector import Detector
from worker.detection.episode import Episode
from worker.detection.observation import (
    DAY,
    Observation,
    Rules,
    Standing,
    Status,
    Verdict,
)
from worker.detection.periods import Contribution, Period, PeriodKind, PeriodSeries, Ratio

ABSOLUTE = "none"  # the basis without any activity
ABSOLUTE_RATIO = 1.3  # from which on a day of such a meter is hot: production is not known
ABANDONED_DAYS = 30  # of event time without an event
# More late events than this, and than one of so many, are history: the past is folded anew.
HISTORY_EVENTS, HISTORY_SHARE = 20, 10


# The question that a detector answers. Plain texts: identities are looked up for each event, and an
# enumeration hashes in Python.
EVENT, PERIOD = "event", "period"


class Identity(NamedTuple):
    """What tells the detectors of one key apart. `country` is empty where no grid matters."""

    series: str
    method: str
    basis: str
    country: str

    @property
    def absolute(self) -> bool:
        return self.basis == ABSOLUTE


@lru_cache(maxsize=1000)
def identity_of(series: str, method: str, basis: str, country: str) -> Identity:
    """Give an identity, the same object again: it is needed twice for each event."""
    return Identity(series, method, basis, country)


class Reading(NamedTuple):
    """One event of a key: what its detectors need to know.

    `time` is in epoch seconds of the tenant's clock. `parts` divide ln(kg / activity) of the event,
    `totals` and `ratios` do the same for periods. `covariate_slope` is the physics of the
    covariate.
    """

    event_id: int
    method: str
    basis: str
    country: str
    seen: Observation
    covariate_slope: float | None = None
    totals: tuple[tuple[str, float], ...] = ()
    ratios: tuple[Ratio, ...] = ()

    def identity(self, series: str) -> Identity:
        """Give the detector of this series that sees the event."""
        return identity_of(series, self.method, self.basis, self.country)


class Finding(NamedTuple):
    """What one detector says: of an event, or of a period when `period` is there.

    `event_id` is the event, or the one with the largest excess of the period; `time` is in epoch
    seconds of the tenant's clock.
    """

    identity: Identity
    event_id: int
    time: float
    kg: float
    verdict: Verdict
    period: Period | None = None


class Detectors:
    """The detectors of one key that are in use, by identity."""

    def __init__(self, states: Mapping[Identity, Mapping[str, Any]] | None = None) -> None:
        self._states = dict(states or {})  # those that are not loaded yet
        self._used: dict[Identity, Detector | PeriodSeries] = {}
        self._changed: set[Identity] = set()
        self.anew = False  # whatever is stored of the key is void
        self.disordered = False  # an event came out of order while its detector was warming

    def stored(self) -> None:
        """Note that everything is stored as it is now."""
        self._changed.clear()
        self.anew = self.disordered = False

    def take(self, reading: Reading, rules: Rules) -> list[Finding]:
        """Judge one event and learn from it; the first finding is on the event, if there is one."""
        if reading.basis == ABSOLUTE:
            return self._add_to_period(reading, rules)
        seen = reading.seen
        identity = reading.identity(EVENT)
        detector = self._event_detector(identity, reading.covariate_slope)
        self._changed.add(identity)
        if seen.time < detector.newest and not detector.ready:
            self.disordered = True
        verdict = detector.observe(seen, rules)
        found = Finding(identity, reading.event_id, seen.time, seen.kg or 0.0, verdict)
        if verdict.status is Status.UNUSABLE or verdict.status is Status.NO_ACTIVITY:
            return [found]
        return [found, *self._add_to_period(reading, rules)]

    def _add_to_period(self, reading: Reading, rules: Rules) -> list[Finding]:
        seen = reading.seen
        activity = 0.0 if reading.basis == ABSOLUTE else seen.activity
        if seen.kg is None or activity is None:
            return []
        identity = reading.identity(PERIOD)
        series = self._used.get(identity)
        if series is None and identity not in self._states:
            kind = PeriodKind(identity.absolute, seen.metered, reading.ratios)
            self._used[identity] = series = PeriodSeries(kind)
        if not isinstance(series, PeriodSeries):
            series = self._period_series(identity)
        # Of vehicles the class is what the period is to see; a grid's factor says nothing of work.
        index = 0.0 if seen.vehicle is not None else seen.log_factor
        self._changed.add(identity)
        event = Contribution(seen.time, reading.event_id, seen.kg, activity, reading.totals, index)
        periods = series.add(event, rules_of(identity, rules))
        return [_of_period(identity, period) for period in periods]

    def close(self, until: float, rules: Rules) -> list[Finding]:
        """Close the days that end before `until` in every period series."""
        found: list[Finding] = []
        for identity in self.identities:
            if identity.series == PERIOD:
                self._changed.add(identity)
                periods = self._period_series(identity).close(until, rules_of(identity, rules))
                found += [_of_period(identity, period) for period in periods]
        return found

    @property
    def identities(self) -> list[Identity]:
        """Give every detector of the key, in a fixed order."""
        return sorted({*self._states, *self._used})

    def _event_detector(self, identity: Identity, slope: float | None) -> Detector:
        used = self._used.get(identity)
        if used is None and identity not in self._states:
            self._used[identity] = used = Detector(slope)
        return used if isinstance(used, Detector) else self.judge_of(identity)

    def _period_series(self, identity: Identity) -> PeriodSeries:
        series = self._loaded(identity)
        if not isinstance(series, PeriodSeries):
            raise TypeError(f"{identity} is no period series")
        return series

    def _loaded(self, identity: Identity) -> Detector | PeriodSeries:
        used = self._used.get(identity)
        if used is None:
            restored = PeriodSeries if identity.series == PERIOD else Detector
            used = self._used[identity] = restored.restored(self._states.pop(identity))
        return used

    def judge_of(self, identity: Identity) -> Detector:
        """Give the detector itself, of a period series the one that judges its periods."""
        used = self._loaded(identity)
        return used.detector if isinstance(used, PeriodSeries) else used

    def holding(self) -> dict[Identity, Standing]:
        """Give the open episodes that people hear of, by the detector that holds them."""
        return {identity: episode.standing() for identity, episode in self._holders().items()}

    def _holders(self) -> dict[Identity, Episode]:
        found = {}
        for identity in self.identities:
            if identity in self._states and not _holds(self._states[identity]):
                continue
            episode = self.judge_of(identity).episode
            if episode is not None and not episode.silent:
                found[identity] = episode
        return found

    def hear(self, word: str) -> None:
        """Hear what a person says of the key's open hotspot, see `Detector.hear`."""
        for identity in self.identities:
            self._changed.add(identity)
            detector = self.judge_of(identity)
            if word == "accepted":
                detector.accept()
            else:
                detector.hear(word)

    def accept_periods(self, identity: Identity) -> None:
        """Take what the periods of the same events hold open for the new normal as well.

        By themselves they would take sixty periods for it, which may be a year.
        """
        periods = identity._replace(series=PERIOD)
        if periods in self.identities:
            self._changed.add(periods)
            self.judge_of(periods).accept()

    def abandon(self, time: float, after: float) -> bool:
        """Let go of the hotspot when its holders have had no event in `after` seconds."""
        newest = self.holders_newest()
        if newest is None or time - newest <= after:
            return False
        for identity in self._holders():
            self._changed.add(identity)
            self.judge_of(identity).let_go()
        return True

    def holders_newest(self) -> float | None:
        """Give when the newest event was of those who hold the hotspot open, None without one."""
        return max((self._newest(identity) for identity in self._holders()), default=None)

    def _newest(self, identity: Identity) -> float:
        return self._loaded(identity).newest

    def first_open_day_ends(self) -> float | None:
        """Give when the oldest day ends that is not closed, None when there is none."""
        days: list[int] = []
        for used in self._used.values():
            if isinstance(used, PeriodSeries):
                days += used.days
        for identity, state in self._states.items():
            if identity.series == PERIOD:
                days += map(int, state["days"])
        return (min(days) + 1) * DAY if days else None

    def reset(self) -> None:
        """Forget everything."""
        self._states, self._used, self.anew = {}, {}, True
        self._changed.clear()

    @property
    def late(self) -> int:
        """Give how many events came too late to be learned, since the last fold of the past."""
        used = {i: self.judge_of(i).late for i in self._used if i.series == EVENT}
        stored = {i: state["late"] for i, state in self._states.items() if i.series == EVENT}
        return sum((stored | used).values())

    def has_history(self) -> bool:
        """Say whether so much came late that it is history, and the past has to be folded anew."""
        for identity in self._changed:
            if identity.series == EVENT:
                detector = self.judge_of(identity)
                if detector.late > max(HISTORY_EVENTS, detector.learned / HISTORY_SHARE):
                    return True
        return False

    def changed(self) -> dict[Identity, Detector | PeriodSeries]:
        """Give the detectors that may not be as they are stored, in a fixed order."""
        return {identity: self._used[identity] for identity in sorted(self._changed)}

    def states(self) -> dict[Identity, dict[str, Any]]:
        """Give the states of those detectors."""
        return {identity: used.state() for identity, used in self.changed().items()}


def _holds(state: Mapping[str, Any]) -> bool:
    judge = state.get("d", state)
    return judge["ep"] is not None


def judge_in(state: Mapping[str, Any]) -> Detector:
    """Give the detector of a stored state, of either series."""
    return Detector.restored(state.get("d", state))


def rules_of(identity: Identity, rules: Rules) -> Rules:
    """Give the rules for one detector: a meter by the day is not freed of how much was made."""
    return (
        replace(rules, least_ratio=ABSOLUTE_RATIO, by_weekday=True) if identity.absolute else rules
    )


def _of_period(identity: Identity, period: Period) -> Finding:
    return Finding(identity, period.event_id, period.time, period.kg, period.verdict, period)
