"""The period series: whole days of a key, added up, as observations of a detector.

A day is closed when the key's newest event time is a day beyond its end. Closed days are added up,
in order, until they hold enough events; then they are one observation: the sum of kg by the sum of
activity, without the load. So half-empty vehicles, idling sites and worse vehicles are found,
which the event series takes out by design: of trips with a load of .75, 27 of 30 within 35 days at
3 trips a day, none by the event series, which on kg per tonne-km alone opens .25 to 6.67 false
hotspots per key in 200 days instead of .03 to .10.

What arrives for a closed day is counted as late and not judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, NamedTuple

from worker.detection.detector import Detector
from worker.detection.observation import DAY, Observation, Rules, Verdict
from worker.detection.sites import SiteExpectation

GRACE_DAYS = 1  # of event time, after which a day is closed
# A fleet that runs emptier has less activity as well: with the .04 of single events the size would
# explain half of it. Of equal vehicles with a load of .75, 3 trips a day, all are found in 3 days
# instead of 40 % in 26, at the same false openings (2 x 255 key-years).
SIZE_VARIANCE = 0.01
FEWEST = 5  # events of an observation
LONGEST = 14  # days after which fewer events are dropped
COUNTED_DAYS = 15  # the first ones, whose median number of readings is usual
MOST_READINGS = 4.0  # times as many as usual
ABSOLUTE_RATIO = 1.3  # from which on a day without activity is hot: production is not known


@dataclass(slots=True)
class Contribution:
    """One usable event of a period: kg, activity, and what else is added up for the drivers.

    `totals` are named amounts (km, planned km, kWh); `ratios` of the series name them. `log_index`
    is the logarithm of an emission factor whose change is no news, `weather` the covariate of a
    site.
    """

    time: float
    event_id: int
    kg: float
    activity: float
    totals: tuple[tuple[str, float], ...] = ()
    log_index: float = 0.0
    weather: float | None = None


class Ratio(NamedTuple):
    """A part of ln(kg / activity): the logarithm of one sum over another.

    `over` and `under` name totals, or are "kg" and "activity".
    """

    name: str
    over: str
    under: str


@dataclass(slots=True)
class Period:
    """The verdict on the days `since` to `until` (days since 1970), on so many events.

    `event_id` is the event with the largest excess, `time` the epoch seconds of the observation.
    """

    since: int
    until: int
    events: int
    event_id: int
    time: float
    kg: float
    activity: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PeriodKind:
    """What the periods of a key are made of.

    `absolute`: there is no activity, so kg are judged day by day. `metered` kilograms are measured.
    `ratios` are the parts that the drivers tell. A `site` has a base load and weather.
    """

    absolute: bool = False
    metered: bool = False
    ratios: tuple[Ratio, ...] = ()
    site: bool = False

    @property
    def fewest(self) -> int:
        """Give the events that an observation takes at least."""
        return 1 if self.absolute else FEWEST

    def state(self) -> list[Any]:
        """Give what `restored` takes."""
        ratios = [[ratio.name, ratio.over, ratio.under] for ratio in self.ratios]
        return [self.absolute, self.metered, ratios, self.site]

    @classmethod
    def restored(cls, state: list[Any]) -> PeriodKind:
        """Take what `state` gave."""
        absolute, metered, ratios, *site = state  # an earlier version stored three
        return cls(absolute, metered, tuple(Ratio(*ratio) for ratio in ratios), *site)


def rules_of(absolute: bool, rules: Rules) -> Rules:
    """Give the rules for one detector: a meter by the day is not freed of how much was made."""
    return replace(rules, least_ratio=ABSOLUTE_RATIO, by_weekday=True) if absolute else rules


class Bucket:
    """Sums of one day, or of several that are closed."""

    __slots__ = (
        "activity",
        "event_id",
        "events",
        "excess",
        "kg",
        "log_index",
        "totals",
        "usual",
        "weather",
        "weathers",
    )

    def __init__(self, usual: float = 0.0) -> None:
        self.usual = usual  # kg per unit of activity, that events are compared with
        self.kg = 0.0
        self.activity = 0.0
        self.events = 0
        self.event_id = 0
        self.excess = -math.inf  # kg, of that event
        self.log_index = 0.0  # times kg
        self.totals: dict[str, float] = {}
        self.weather = 0.0  # the sum of so many `weathers`
        self.weathers = 0

    def add(self, event: Contribution) -> None:
        """Take an event."""
        kg, activity = event.kg, event.activity
        self.kg += kg
        self.activity += activity
        self.events += 1
        self.log_index += event.log_index * kg
        excess = kg - activity * self.usual
        if excess > self.excess:
            self.excess, self.event_id = excess, event.event_id
        sums = self.totals
        for name, amount in event.totals:
            sums[name] = sums.get(name, 0.0) + amount
        if event.weather is not None:
            self.weather += event.weather
            self.weathers += 1

    def merge(self, other: Bucket) -> None:
        """Take the events of another bucket."""
        self.kg += other.kg
        self.activity += other.activity
        self.events += other.events
        self.log_index += other.log_index
        if other.excess > self.excess:
            self.excess, self.event_id = other.excess, other.event_id
        sums = self.totals
        for name, amount in other.totals.items():
            sums[name] = sums.get(name, 0.0) + amount
        self.weather += other.weather
        self.weathers += other.weathers

    @property
    def mean_weather(self) -> float | None:
        """Give the covariate of a site, None where no event told it."""
        return self.weather / self.weathers if self.weathers else None

    def parts(self, kind: PeriodKind, activity: float) -> tuple[tuple[str, float], ...]:
        """Give the logarithms of the ratios whose sums are known and positive."""
        amounts = {**self.totals, "kg": self.kg, "activity": activity}
        found = []
        for ratio in kind.ratios:
            over, under = amounts.get(ratio.over, 0.0), amounts.get(ratio.under, 0.0)
            if over > 0 and under > 0:
                found.append((ratio.name, math.log(over) - math.log(under)))
        return tuple(found)

    def state(self) -> list[Any]:
        """Give what `restored` takes."""
        excess = self.excess if self.events else 0.0
        return [
            self.kg,
            self.activity,
            self.events,
            self.event_id,
            excess,
            self.log_index,
            self.usual,
            dict(self.totals),
            self.weather,
            self.weathers,
        ]

    @classmethod
    def restored(cls, state: list[Any]) -> Bucket:
        """Take what `state` gave; nothing is shared with it."""
        bucket = cls()
        bucket.kg, bucket.activity, bucket.events, bucket.event_id, *others = state
        excess, bucket.log_index, bucket.usual, totals, *weather = others
        bucket.excess = excess if bucket.events else -math.inf
        bucket.totals = dict(totals)
        if weather:  # an earlier version stored none
            bucket.weather, bucket.weathers = weather
        return bucket


class PeriodSeries:
    """The open days of a key, the closed ones that wait for more events, and their detector."""

    def __init__(self, kind: PeriodKind) -> None:
        self.kind = kind
        self.days: dict[int, Bucket] = {}
        self.closed: int | None = None  # the newest day that is closed
        self.waiting = Bucket()
        self.waiting_since = 0
        self.newest = 0.0
        self.late = 0
        self.detector = Detector(size_variance=SIZE_VARIANCE)
        self.counts: list[int] = []  # readings of the first days of a meter without any activity
        self.of_events: Detector | None = None  # sees the same events one by one, not stored

    def add(self, event: Contribution, rules: Rules) -> list[Period]:
        """Take one usable event and give the periods that it completes."""
        day, closed = int(event.time // DAY), self.closed
        if closed is not None and day <= closed:
            self.late += 1
            return []
        bucket = self.days.get(day)
        if bucket is None:
            bucket = self.days[day] = Bucket(self.detector.usual() or 0.0)
        bucket.add(event)
        if event.time > self.newest:
            self.newest = event.time
        return self.close(self.newest - GRACE_DAYS * DAY, rules)

    def close(self, until: float, rules: Rules) -> list[Period]:
        """Close the days that end before `until` epoch seconds and give the periods they make."""
        periods: list[Period] = []
        last = int(until // DAY) - 1
        while self.days and (day := min(self.days)) <= last:
            self._wait(day, self.days.pop(day))
            if self.waiting.events >= self.kind.fewest:
                periods.append(self._judged(day, rules))
        return periods

    def _wait(self, day: int, bucket: Bucket) -> None:
        self.closed = day
        if self.waiting.events and day - self.waiting_since <= LONGEST:
            self.waiting.merge(bucket)
        else:
            self.waiting, self.waiting_since = bucket, day

    def _judged(self, day: int, rules: Rules) -> Period:
        waiting, self.waiting = self.waiting, Bucket()
        time = (day + 0.9) * DAY
        activity = waiting.activity
        if self.kind.absolute:
            activity = self._share(waiting.events)
            if activity != 1.0 and self._is_whole(waiting, activity, time):
                activity = 1.0
        seen = Observation(
            time,
            waiting.kg,
            activity,
            covariate=waiting.mean_weather,
            metered=self.kind.metered,
            log_factor=waiting.log_index / waiting.kg if waiting.kg else 0.0,
            parts=waiting.parts(self.kind, activity),
            events=activity if self.kind.absolute else waiting.events,
        )
        rules = rules_of(self.kind.absolute, rules)
        if self.kind.site:
            events = None if self.of_events is None else self.of_events.expectation
            known = events if isinstance(events, SiteExpectation) else None
            verdict = self.detector.observe_site(seen, rules, known)
        else:
            verdict = self.detector.observe(seen, rules)
        return Period(
            since=self.waiting_since,
            until=day,
            events=waiting.events,
            event_id=waiting.event_id,
            time=time,
            kg=waiting.kg,
            activity=activity,
            verdict=verdict,
        )

    def _share(self, readings: int) -> float:
        """Say what part of a usual day so many readings of a meter are.

        A gap, a change of the clocks or one more idle shift is no saving and no waste. Much more or
        less is another meter, or another way to report: a whole day, and usual from then on.
        """
        counts = self.counts
        share = readings / median(counts) if counts else 1.0
        if not 1 / MOST_READINGS <= share <= MOST_READINGS:
            counts, share = [], 1.0
        if len(counts) < COUNTED_DAYS:
            self.counts = [*counts, readings]
        return share

    def _is_whole(self, day: Bucket, share: float, time: float) -> bool:
        """Say whether a day's kg are closer to those of a whole day than to such a share of it.

        A meter that reports every hour instead of every quarter still measures whole days. What is
        nearly a whole day is always taken for its share.
        """
        reference, log_share = self.detector.reference, math.log(share)
        known = reference.values and day.kg > 0
        if not known or abs(log_share) < math.log(ABSOLUTE_RATIO):
            return False
        seen = Observation(
            time, day.kg, 1.0, covariate=day.mean_weather, log_factor=day.log_index / day.kg
        )
        usual = reference.median() + self.detector.expectation.explain(seen, 0.0)[0]
        excess = math.log(day.kg) - usual
        return abs(excess) < abs(excess - log_share)

    def state(self) -> dict[str, Any]:
        """Give one small JSON object: what `restored` takes. Nothing is shared with it."""
        return {
            "kind": self.kind.state(),
            "days": {str(day): bucket.state() for day, bucket in self.days.items()},
            "closed": self.closed,
            "waiting": self.waiting.state(),
            "since": self.waiting_since,
            "t": self.newest,
            "late": self.late,
            "counts": list(self.counts),
            "d": self.detector.state(),
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> PeriodSeries:
        """Take what `state` gave."""
        series = cls(PeriodKind.restored(state["kind"]))
        series.days = {int(day): Bucket.restored(bucket) for day, bucket in state["days"].items()}
        series.closed = state["closed"]
        series.waiting = Bucket.restored(state["waiting"])
        series.waiting_since = state["since"]
        series.newest, series.late = state["t"], state["late"]
        series.counts = list(state.get("counts", ()))  # an earlier version stored none
        series.detector = Detector.restored(state["d"])
        return series
