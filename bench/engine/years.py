"""Labelled years: what suppliers do, what goes wrong on purpose, in which order it is reported.

kg = activity x level x weekday x season x noise x anomaly, where a kind has one with a base load of
sites: the form is the detector's own, so expect less on real data. Labels of abnormal events say
what was done to them; "" is normal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

DAY = 86_400.0
START = 20_089 * DAY  # 1 January 2025
DAYS = 364
KG_PER_TKM = {"rigid": 0.30, "van": 0.62, "artic": 0.11}
SPIKES = (1.3, 1.5, 2.0, 3.0)
TYPES = ("logistics", "factory", "warehouse", "delivery")
SITES = ("factory", "warehouse")


@dataclass(frozen=True)
class Kind:
    """What a year is like. Shares are of events; `step` is in days between two of one key."""

    name: str
    noise: float = 0.1
    heavy: bool = False  # Student's t with 3 degrees of freedom
    per_day: float = 1.0
    step: int = 1
    size: float = 0.75  # spread of ln activity
    season: float = 0.0  # amplitude that no covariate explains
    without_activity: float = 0.0
    wrong_unit: float = 0.0
    vehicles: bool = False
    base_load: float = 0.0  # share of a site's usual kg that needs no work
    suppliers: int = 10


KINDS = (
    Kind("homogeneous, noise .03", noise=0.03, size=0.0),
    Kind("sizes vary, noise .03", noise=0.03),
    Kind("sizes vary, noise .10", noise=0.10),
    Kind("sizes vary, noise .20", noise=0.20),
    Kind("sizes vary, noise .30", noise=0.30),
    Kind("heavy tails, noise .10", heavy=True),
    Kind("10 a day, noise .10", per_day=10, suppliers=2),
    Kind("40 a day, noise .10", per_day=40, suppliers=1),
    Kind("one a week, noise .10", step=7),
    Kind("season of 8 %, noise .03", noise=0.03, season=0.08),
    Kind("activity missing in 30 %", noise=0.1, without_activity=0.3),
    Kind("units mixed up, vehicles mixed", noise=0.1, wrong_unit=0.004, vehicles=True),
    Kind("sites with a base load, noise .05", noise=0.05, base_load=0.5),
)


class Key(NamedTuple):
    supplier: int
    event_type: str


@dataclass(slots=True)
class Job:
    """One event with its label; `anomaly` numbers the anomaly that it belongs to."""

    key: Key
    time: float  # epoch seconds of the event
    arrival: float
    kg: float
    activity: float | None
    covariate: float | None
    vehicle: str | None
    label: str = ""
    anomaly: int = 0
    size: float = 1.0
    badness: float = 1.0  # of kg against what such a job costs this key on average


@dataclass
class _Plan:
    """Factors on kg, one per job of a key, with their labels."""

    factors: np.ndarray
    labels: list[str]
    anomalies: list[int]
    next_anomaly: Iterator[int] = field(repr=False)

    def mark(self, first: int, last: int, factors: np.ndarray | float, label: str) -> None:
        """Do the same thing wrong from `first` to before `last`, as one anomaly."""
        number = next(self.next_anomaly)
        values = np.broadcast_to(np.asarray(factors, float), (last - first,))
        for index, factor in zip(range(first, last), values, strict=True):
            self.factors[index] *= factor
            if not self.labels[index]:
                self.labels[index] = label if factor >= 1.1 else "slight"
                self.anomalies[index] = number


def year(kind: Kind, seed: int) -> list[Job]:
    """Make a year in order of arrival: 2 % of the events come up to 20 days late."""
    random = np.random.default_rng([seed, sum(map(ord, kind.name))])
    numbers = iter(range(1, 1_000_000))
    temperature = _temperature(random)
    jobs: list[Job] = []
    for supplier in range(kind.suppliers):
        for place, event_type in enumerate(TYPES):
            key = Key(supplier, event_type)
            jobs += _of_key(key, (supplier * 4 + place) % 6, kind, random, temperature, numbers)
    return sorted(jobs, key=lambda job: job.arrival)


def _temperature(random: np.random.Generator) -> np.ndarray:
    found, deviation = np.zeros(DAYS + 1), 0.0
    for day in range(DAYS + 1):
        deviation = 0.8 * deviation + random.normal(0, 2)
        found[day] = 11 - 10 * math.cos(2 * math.pi * (day - 20) / 365) + deviation
    return found


def _of_key(
    key: Key,
    what: int,
    kind: Kind,
    random: np.random.Generator,
    temperature: np.ndarray,
    numbers: Iterator[int],
) -> list[Job]:
    times = _times(kind, random)
    plan = _plan(what, len(times), kind, random, numbers)
    noise = (
        random.standard_t(3, len(times)) / 1.134 if kind.heavy else random.normal(0, 1, len(times))
    )
    level = math.exp(random.normal(0, 0.35))
    middle = math.exp(random.normal(0, 0.5))
    phase = random.uniform(0, 365)
    weekend = 1 - 0.1 * random.uniform(0.5, 1.5) if key.event_type == "factory" else 1.0
    jobs = []
    for index, time in enumerate(times):
        day = int(time // DAY)
        size = middle * math.exp(kind.size * random.normal())
        season = 1 + kind.season * math.sin(2 * math.pi * (day - phase) / 365)
        week = weekend if (day + 3) % 7 >= 5 else 1.0
        scatter = math.exp(kind.noise * noise[index])
        kg, job = _job(key, time, size, kind, random, temperature[day - int(START // DAY)])
        if kind.base_load and key.event_type in SITES:
            kg *= 1 + kind.base_load * (middle / size - 1)
        job.size = size
        job.badness = season * week * scatter * float(plan.factors[index])
        job.kg = kg * level * job.badness
        job.label, job.anomaly = plan.labels[index], plan.anomalies[index]
        jobs.append(_mishap(job, kind, random))
    return jobs


def _times(kind: Kind, random: np.random.Generator) -> list[float]:
    times: list[float] = []
    for day in range(0, DAYS, kind.step):
        many = 1 if kind.per_day == 1 else max(1, int(random.poisson(kind.per_day)))
        times += [START + (day + random.uniform(6, 20) / 24) * DAY for _ in range(many)]
    return sorted(times)


def _job(
    key: Key, time: float, size: float, kind: Kind, random: np.random.Generator, celsius: float
) -> tuple[float, Job]:
    """Give the kg that it should cost, and the job without them."""
    activity, covariate, vehicle = 100 * size, None, None
    kg = activity
    if key.event_type == "logistics":
        vehicle = str(random.choice(list(KG_PER_TKM))) if kind.vehicles else "rigid"
        load = 900 * math.exp(random.normal(0, 0.3 if kind.size else 0.0))
        activity = 100 * size * load / 1000
        kg = 100 * size * KG_PER_TKM[vehicle] * (1 + 0.12 * load / 1000)
        covariate = math.log(load / 900)
    elif key.event_type == "warehouse":
        heating = max(0.0, 18 - celsius - random.normal(0, 1)) / 10
        kg = 0.4 * activity * (1 + 0.3 * heating)
        covariate = heating
    if covariate is not None and random.random() < 0.02:
        covariate = None
    return kg, Job(key, time, time, kg, activity, covariate, vehicle)


def _mishap(job: Job, kind: Kind, random: np.random.Generator) -> Job:
    if random.random() < 0.02:
        job.arrival = job.time + random.uniform(1, 20) * DAY
    if random.random() < kind.without_activity:
        job = replace(job, activity=None, label=f"no activity {job.label}".strip())
    elif not job.label and random.random() < kind.wrong_unit:
        job = replace(job, kg=job.kg * float(random.choice([1000, 0.001])), label="unit")
    return job


def _plan(
    what: int, count: int, kind: Kind, random: np.random.Generator, numbers: Iterator[int]
) -> _Plan:
    """Do something wrong to a key: a shift, a drift, a mended fault, a spell, or only spikes."""
    plan = _Plan(np.ones(count), [""] * count, [0] * count, numbers)
    start = int(random.integers(int(count * 0.42), int(count * 0.6)))
    days = count / DAYS  # jobs a day
    if what == 0:
        plan.mark(start, min(start + 30, count), 1.25, "shift")
        if start + 30 < count:
            plan.mark(start + 30, count, 1.25, "new normal")
    elif what == 1:
        start, length = count // 3, max(20, int(200 * days))
        ramp = np.clip(np.arange(count - start) / length, 0, 1)
        plan.mark(start, count, 1 + 0.4 * ramp, "drift")
        end = start + length + 30
        for index in range(min(end, count), count):
            plan.labels[index] = "new normal"
    elif what == 2:
        length = min(max(4, int(30 * days)), count - start)
        plan.mark(start, start + length, 1 + 0.6 * np.linspace(1, 0, length), "mended fault")
    elif what == 3:
        length = min(max(4, int(40 * days)), count - start)
        plan.mark(start, start + length, 1.4, "spell")
    first = min(60, count // 3)
    for factor in SPIKES:
        for _ in range(2):
            index = int(random.integers(first, count))
            if not plan.labels[index]:
                plan.mark(index, index + 1, factor, f"x{factor:g}")
    return plan
