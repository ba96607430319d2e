"""The detector gives the verdicts of the prototype that it was proven with, event by event."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from bench.engine.reference import period, prototype
from worker.detection import periods
from worker.detection.detector import Detector
from worker.detection.observation import DAY, Observation, Rules
from worker.detection.periods import Contribution, PeriodKind, PeriodSeries

VEHICLES = {"truck": 0.267, "van": 0.143, "mini_truck": 0.171}  # kg/km


def _year(seed: int, noise: float) -> list[dict[str, Any]]:
    """Make transports with everything that the detector looks at, in order of arrival."""
    chance = random.Random(seed)
    made = []
    for number in range(700):
        vehicle = chance.choice([*VEHICLES, "truck", "truck", None])
        load = 900 * math.exp(chance.gauss(0, 0.3))
        km = 100 * math.exp(chance.gauss(0, 0.7))
        kg = km * (1 + 0.12 * load / 1000) * VEHICLES.get(vehicle or "", 0.3)
        kg *= math.exp(noise * chance.gauss(0, 1)) * (1.4 if 300 < number < 340 else 1)
        kg *= 1 + max(0, min(1, (number - 450) / 200)) * 0.4
        kg *= chance.choice([1] * 40 + [1.2, 1.5, 3, 0, 1000, float("nan")])
        x = None if chance.random() < 0.02 else math.log(load / 900)
        act = None if chance.random() < 0.03 else km * load / 1000
        if chance.random() < 0.01:
            act = 0.0
        t = (20_089 + number / 2) * DAY - (chance.uniform(1, 12) * DAY if number % 31 == 0 else 0)
        made.append({"t": t, "kg": kg, "act": act, "x": x, "cls": vehicle})
    return made


@pytest.mark.parametrize("noise", [0.03, 0.1, 0.2])
@pytest.mark.parametrize("seed", [1, 2])
def test_events_are_judged_as_by_the_prototype(seed: int, noise: float) -> None:
    for name, factor in VEHICLES.items():
        prototype.CLASS[name] = math.log(factor)
    state = prototype.new_state("logistics")
    detector = Detector(covariate_slope=-0.9)
    for made in _year(seed, noise):
        expected = prototype.step(state, dict(made))
        vehicle = made["cls"]
        factor = math.log(VEHICLES[vehicle]) if vehicle else 0.0
        verdict = detector.observe(
            Observation(made["t"], made["kg"], made["act"], made["x"], vehicle, factor), Rules()
        )
        assert verdict.hot == bool(expected.get("hot"))
        assert verdict.change == expected["change"]
        assert verdict.marked == prototype.marked(expected)
        assert (detector.episode is None) == (state["ep"] is None)
        if "ratio" in expected:
            assert verdict.ratio == pytest.approx(expected["ratio"], rel=1e-9)
            assert verdict.z == pytest.approx(expected["z"], rel=1e-9)
            assert verdict.usual == pytest.approx(expected["usual"], rel=1e-9)
    assert detector.reference.values == state["ring"]


@pytest.mark.parametrize("seed", [1, 2])
def test_periods_are_judged_as_by_the_prototype(seed: int) -> None:
    chance = random.Random(seed)
    expected, series = period.new_period(), PeriodSeries(PeriodKind(metered=True))
    expected["detector"]["P"][0] = periods.SIZE_VARIANCE  # where we know better than it
    for number in range(1500):
        t = (20_000 + number / 4) * DAY - (chance.uniform(0, 4) * DAY if number % 29 == 0 else 0)
        act = 80 * math.exp(chance.gauss(0, 0.5))
        kg = act * math.exp(chance.gauss(0, 0.2)) * (1.3 if number > 900 else 1)
        theirs = period.add(expected, t, kg, act)
        ours = series.add(Contribution(t, number, kg, act), Rules())
        assert [(p.since, p.until, p.events, p.verdict.change, p.verdict.hot) for p in ours] == [
            (v["since"], v["until"], v["events"], v["change"], bool(v.get("hot"))) for v in theirs
        ]
    assert series.late == expected["late"]
