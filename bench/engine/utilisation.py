"""Emptier trucks: the load falls for good on day 200, which only the period series can see."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.engine.reference import period as reference
from worker.detection.observation import DAY, Change, Rules
from worker.detection.periods import Contribution, PeriodKind, PeriodSeries

FALL_DAY, DAYS = 200, 365
PAYLOAD_KG = 2182.0  # of a rigid truck of 7.5 t
KG_PER_KM = 0.57165, 0.67012  # empty and full
LOADS = (1.0, 0.85, 0.75, 0.6)

Trip = tuple[float, float, float]  # epoch seconds, kg, tonne-km


@dataclass(frozen=True)
class Fleet:
    """How its trips differ: spreads of ln km and ln load, and of what is measured.

    A `steady` fleet has the same number of trips on each working day.
    """

    name: str
    per_day: tuple[int, ...]
    km: float
    load: float
    noise: float
    steady: bool


FLEETS = (
    Fleet("trips differ", (1, 3, 10, 40), 0.6, 0.5, 0.0, steady=False),
    Fleet("trips are alike", (3, 10), 0.03, 0.1, 0.03, steady=True),
)


@dataclass(frozen=True)
class Found:
    """Means over the seeds: false openings per key before the fall, share found, days after."""

    false: float
    found: float
    days: float | None


def trips(seed: int, fleet: Fleet, per_day: int, load_factor: float) -> list[Trip]:
    """Make a year of trips on weekdays in order of arrival; 2 % are reported late."""
    random = np.random.default_rng([seed, per_day, int(load_factor * 100)])
    empty, full = KG_PER_KM
    found = []
    for day in range(DAYS):
        if day % 7 >= 5:
            continue
        many = per_day if fleet.steady else max(1, int(random.poisson(per_day)))
        for _ in range(many):
            km = 80 * math.exp(random.normal(0, fleet.km))
            load = (
                1100
                * math.exp(random.normal(0, fleet.load))
                * (load_factor if day >= FALL_DAY else 1)
            )
            load = min(load, PAYLOAD_KG)
            kg = km * (empty + (full - empty) * load / PAYLOAD_KG)
            kg *= math.exp(random.normal(0, fleet.noise))
            time = day * DAY + random.uniform(6, 20) * 3600
            late = random.uniform(1, 3) * DAY if random.random() < 0.02 else 0.0
            found.append((time + late, (time, kg, km * load / 1000)))
    return [trip for _, trip in sorted(found)]


def _openings_shipped(made: list[Trip]) -> list[int]:
    series, rules, found = PeriodSeries(PeriodKind()), Rules(), []
    for number, (time, kg, activity) in enumerate(made):
        periods = series.add(Contribution(time, number, kg, activity), rules)
        found += [p.until for p in periods if p.verdict.change is Change.OPENED]
    last = series.close((DAYS + 10) * DAY, rules)
    return found + [p.until for p in last if p.verdict.change is Change.OPENED]


def _openings_reference(made: list[Trip]) -> list[int]:
    series = reference.new_period()
    verdicts: list[dict[str, Any]] = []
    for time, kg, activity in made:
        verdicts += reference.add(series, time, kg, activity)
    verdicts += reference.close(series, (DAYS + 10) * DAY)
    return [verdict["until"] for verdict in verdicts if verdict["change"] == "opened"]


CONTESTANTS = {"shipped": _openings_shipped, "prototype": _openings_reference}


def measured(seeds: range) -> dict[str, dict[str, Found]]:
    """Give what each contestant found, by the number of trips a day and the fall."""
    answer: dict[str, dict[str, Found]] = {}
    for fleet in FLEETS:
        for per_day in fleet.per_day:
            for load_factor in LOADS:
                made = [trips(seed, fleet, per_day, load_factor) for seed in seeds]
                answer[f"{fleet.name}, {per_day} a day, load x {load_factor:g}"] = {
                    name: _counted([openings(year) for year in made])
                    for name, openings in CONTESTANTS.items()
                }
    return answer


def _counted(years: list[list[int]]) -> Found:
    firsts = [next((day - FALL_DAY for day in days if day >= FALL_DAY), None) for days in years]
    found = [first for first in firsts if first is not None]
    false = sum(day < FALL_DAY for days in years for day in days)
    return Found(
        false / len(years), len(found) / len(years), statistics.median(found) if found else None
    )
