"""All detectors of one key, and which of them see an event.

A detector belongs to a key, a series, a method, a basis of activity and a country of the grid: like
is compared with like. The two series ask two questions: was this job done badly, and is the whole
run bad? Without any activity only the second one is asked, day by day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from worker.detection.detector import Detector
from worker.detection.episode import Episode
from worker.detection.observation import (
    DAY,
    UNUSABLE,
    Observation,
    Rules,
    Standing,
    Verdict,
)
from worker.detection.periods import Contribution, Period, PeriodKind, PeriodSeries, Ratio

ABSOLUTE = "none"  # the basis without any activity
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


@dataclass(slots=True)
class Reading:
    """One event of a key: what its detectors need to know.

    `time` is in epoch seconds of the tenant's clock. `parts` divide ln(kg / activity) of the event,
    `totals` and `ratios` do the same for periods. `covariate_slope` is the physics of the
    covariate. The work of a `site` has a base load, and weather for its covariate.
    """

    event_id: int
    method: str
    basis: str
    country: str
    seen: Observation
    covariate_slope: float | None = None
    totals: tuple[tuple[str, float], ...] = ()
    ratios: tuple[Ratio, ...] = ()
    site: bool = False


@dataclass(slots=True)
class Finding:
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


@dataclass(slots=True)
class _Pair:
    """What sees the same events: looked up once for each of them, and filled as it is used."""

    event: Identity
    period: Identity
    detector: Detector | None = None
    series: PeriodSeries | None = None


class Detectors:
    """The detectors of one key that are in use, by identity."""

    def __init__(self, states: Mapping[Identity, Mapping[str, Any]] | None = None) -> None:
        self._states = dict(states or {})  # those that are not loaded yet
        self._used: dict[Identity, Detector | PeriodSeries] = {}
        self._pairs: dict[tuple[str, str, str], _Pair] = {}  # by method, basis and country
        self._changed: set[Identity] = set()
        self.anew = False  # whatever is stored of the key is void
        self.disordered = False  # an event came out of order while its detector was warming

    def stored(self) -> None:
        """Note that everything is stored as it is now."""
        self._changed.clear()
        self.anew = self.disordered = False

    def take(self, reading: Reading, rules: Rules) -> list[Finding]:
        """Judge one event and learn from it; the first finding is on the event, if there is one."""
        seen, basis = reading.seen, reading.basis
        pair = self._pairs.get((reading.method, basis, reading.country))
        if pair is None:
            pair = self._paired(reading)
        kg, activity = seen.kg, seen.activity
        found = []
        if basis == ABSOLUTE:
            activity = 0.0
        else:
            identity = pair.event
            detector = pair.detector
            if detector is None:
                detector = self._event_detector(pair, reading.covariate_slope)
            self._changed.add(identity)
            if seen.time < detector.newest and not detector.ready:
                self.disordered = True
            judge = detector.observe_site if reading.site else detector.observe
            verdict = judge(seen, rules)
            found.append(Finding(identity, reading.event_id, seen.time, kg or 0.0, verdict))
            if verdict.status is UNUSABLE:
                return found
        if kg is None or activity is None:
            return found
        identity = pair.period
        series = pair.series
        if series is None:
            series = self._series_of(pair, reading)
        self._changed.add(identity)
        # Of vehicles the class is what the period is to see; a grid's factor says nothing of work.
        index = 0.0 if seen.vehicle is not None else seen.log_factor
        event = Contribution(seen.time, reading.event_id, kg, activity, reading.totals, index)
        if reading.site:  # a period is to see the load of a transport, not the weather of a site
            event.weather = seen.covariate
        if periods := series.add(event, rules):
            found += [_of_period(identity, period) for period in periods]
        return found

    def close(self, until: float, rules: Rules) -> list[Finding]:
        """Close the days that end before `until` in every period series."""
        found: list[Finding] = []
        for identity in self.identities:
            if identity.series == PERIOD:
                self._changed.add(identity)
                series = self._period_series(identity)
                events = identity._replace(series=EVENT)
                if events in self._used or events in self._states:
                    series.of_events = self.judge_of(events)
                periods = series.close(until, rules)
                found += [_of_period(identity, period) for period in periods]
        return found

    @property
    def identities(self) -> list[Identity]:
        """Give every detector of the key, in a fixed order."""
        return sorted({*self._states, *self._used})

    def _paired(self, reading: Reading) -> _Pair:
        like = reading.method, reading.basis, reading.country
        pair = self._pairs[like] = _Pair(Identity(EVENT, *like), Identity(PERIOD, *like))
        return pair

    def _event_detector(self, pair: _Pair, slope: float | None) -> Detector:
        if pair.event not in self._states and pair.event not in self._used:
            self._used[pair.event] = Detector(slope)
        pair.detector = detector = self.judge_of(pair.event)
        return detector

    def _series_of(self, pair: _Pair, reading: Reading) -> PeriodSeries:
        if pair.period not in self._states and pair.period not in self._used:
            kind = PeriodKind(
                pair.period.absolute, reading.seen.metered, reading.ratios, reading.site
            )
            self._used[pair.period] = PeriodSeries(kind)
        pair.series = series = self._period_series(pair.period)
        if reading.site and not series.kind.site:  # as an earlier version stored it
            series.kind = replace(series.kind, site=True)
        series.of_events = pair.detector
        return series

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
        return _judge(self._loaded(identity))

    def holding(self) -> dict[Identity, Standing]:
        """Give the open episodes that people hear of, by the detector that holds them."""
        return {identity: episode.standing() for identity, _, episode in self._holders()}

    def _holders(self) -> list[tuple[Identity, Detector | PeriodSeries, Episode]]:
        for identity in [each for each, state in self._states.items() if _holds(state)]:
            self._loaded(identity)
        return [
            (identity, used, episode)
            for identity, used in self._used.items()
            if (episode := _judge(used).episode) is not None and not episode.silent
        ]

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

    def let_go(self) -> None:
        """Let go of the hotspot, which nobody pursues any more."""
        for identity, used, _ in self._holders():
            self._changed.add(identity)
            _judge(used).let_go()

    def holders_newest(self) -> float | None:
        """Give when the newest event was of those who hold the hotspot open, None without one."""
        return max([used.newest for _, used, _ in self._holders()], default=None)

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
        self._pairs.clear()
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


def _judge(used: Detector | PeriodSeries) -> Detector:
    return used.detector if isinstance(used, PeriodSeries) else used


def judge_in(state: Mapping[str, Any]) -> Detector:
    """Give the detector of a stored state, of either series."""
    return Detector.restored(state.get("d", state))


def _of_period(identity: Identity, period: Period) -> Finding:
    return Finding(identity, period.event_id, period.time, period.kg, period.verdict, period)
