"""A detector is a fold: its state, stored and loaded anywhere, is all there is."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.detection.stream import MONDAY, RULES
from worker.detection.observation import DAY, Observation, Status
from worker.detection.periods import Ratio
from worker.detection.series import Detectors, Finding, Identity, Reading
from worker.severity import Thresholds

RATIOS = (Ratio("distance", "km", "planned_km"), Ratio("load", "planned_km", "activity"))


@st.composite
def readings(draw: st.DrawFn) -> list[Reading]:
    """Draw work of one key with everything that may befall it."""
    count, site = draw(st.integers(10, 120)), draw(st.booleans())
    chance = random.Random(draw(st.integers(0, 2**32)))
    found = []
    for number in range(count):
        planned = 100 * math.exp(chance.gauss(0, 0.6))
        km = planned * math.exp(chance.gauss(0, 0.05)) * chance.choice([1] * 12 + [1.4, 3, 1000])
        load = 900 * math.exp(chance.gauss(0, 0.3))
        late = chance.uniform(0, 40) if chance.random() < 0.1 else 0.0
        basis = chance.choice(["tkm"] * 9 + ["none"])
        parts = (("load", -math.log(load / 1000)), ("distance", math.log(km / planned)))
        seen = Observation(
            MONDAY + (number / 4 - late) * DAY,
            0.0 if chance.random() < 0.03 else km * 0.6,
            None if basis == "none" else planned * load / 1000,
            chance.choice([None, chance.uniform(-2, 3)]) if site else math.log(load / 900),
            chance.choice(["rigid_7_5", "van", None]),
            0.1,
            metered=chance.random() < 0.5,
            parts=parts,
        )
        totals = (("km", km), ("planned_km", planned))
        slope = None if site else -0.9
        found.append(Reading(number, "modelled", basis, "", seen, slope, totals, RATIOS, site))
    return found


def _folded(work: list[Reading], cuts: frozenset[int] = frozenset()) -> tuple[list[Finding], str]:
    """Fold the work, through JSON at every cut; give the findings and the states as JSON."""
    detectors, findings = Detectors(), []
    states: dict[Identity, dict[str, Any]] = {}
    for number, reading in enumerate(work):
        if number in cuts:
            states |= detectors.states()
            detectors = Detectors(_loaded(_stored(states)))
        findings += detectors.take(reading, RULES)
    return findings, _stored(states | detectors.states())


def _stored(states: dict[Identity, dict[str, Any]]) -> str:
    return json.dumps(sorted(([*identity], state) for identity, state in states.items()))


def _loaded(text: str) -> dict[Identity, dict[str, Any]]:
    return {Identity(*identity): state for identity, state in json.loads(text)}


@settings(max_examples=40, deadline=None)
@given(readings(), st.sets(st.integers(0, 119)))
def test_storing_and_loading_in_between_changes_nothing(
    work: list[Reading], cuts: set[int]
) -> None:
    assert _folded(work, frozenset(cuts)) == _folded(work)


def test_periods_of_a_site_that_were_stored_without_weather_learn_of_it() -> None:
    seen = [Observation(MONDAY + day * DAY, 10.0 + day, 100.0, 1.0) for day in range(20)]
    work = [
        Reading(number, "primary", "t", "", each, site=True) for number, each in enumerate(seen)
    ]
    detectors = Detectors()
    for reading in work[:10]:
        detectors.take(reading, RULES)
    states = _loaded(_stored(detectors.states()))
    series = next(state for identity, state in states.items() if identity.series == "period")
    assert series["kind"].pop() is True
    detectors = Detectors(states)
    detectors.take(work[10], RULES)
    stored = next(
        state for identity, state in detectors.states().items() if identity.series == "period"
    )
    assert stored["kind"][-1] is True


WORDS = ("accepted", "rejected", "ignored", "resolved")


@settings(max_examples=40, deadline=None)
@given(readings(), st.lists(st.sampled_from(["close", "let go", *WORDS]), min_size=1))
def test_whatever_changes_a_detector_names_it_as_changed(
    work: list[Reading], acts: list[str]
) -> None:
    """What is not named is not stored."""
    chance = random.Random(len(work))
    detectors = Detectors()
    for number, reading in enumerate(work):
        now = MONDAY + number / 4 * DAY
        act = chance.choice(acts) if chance.random() < 0.2 else ""
        _one_step(detectors, lambda: detectors.take(reading, RULES))  # noqa: B023 - called at once
        match act:
            case "":
                continue
            case "close":
                _one_step(detectors, lambda: detectors.close(now, RULES))  # noqa: B023
            case "let go":
                _one_step(detectors, detectors.let_go)
            case _:
                _one_step(detectors, lambda: detectors.hear(act))  # noqa: B023


def _one_step(detectors: Detectors, step: Callable[[], object]) -> None:
    detectors.stored()
    before = _all_states(detectors)
    step()
    after = _all_states(detectors)
    changed = {identity for identity in after if after[identity] != before.get(identity)}
    assert changed <= set(detectors.changed())


def _all_states(detectors: Detectors) -> dict[Identity, str]:
    judges = {identity: detectors.judge_of(identity) for identity in detectors.identities}
    return {identity: json.dumps(judge.state()) for identity, judge in judges.items()}


@settings(max_examples=40, deadline=None)
@given(readings())
def test_severity_ratio_and_excess_agree_and_the_drivers_add_up(work: list[Reading]) -> None:
    thresholds = Thresholds()
    for finding in _folded(work)[0]:
        verdict = finding.verdict
        assert verdict.hot == (verdict.severity is not None)
        if verdict.severity is not None:
            assert thresholds.of_ratio(verdict.ratio) is verdict.severity
        if verdict.status in (Status.JUDGED, Status.WARMING, Status.LATE):
            assert verdict.expected_kg * verdict.ratio == pytest.approx(finding.kg)
            assert verdict.expected_kg + verdict.excess_kg == pytest.approx(finding.kg)
        else:
            assert verdict.change in (None, "quality")
            assert not verdict.marked
        if verdict.status is not Status.JUDGED:
            assert verdict.change in (None, "quality")
        if verdict.drivers:
            total = sum(driver.kg for driver in verdict.drivers)
            assert total == pytest.approx(verdict.excess_kg, abs=1e-6)
            logarithm = sum(driver.log_ratio for driver in verdict.drivers)
            assert math.exp(logarithm) == pytest.approx(verdict.ratio)


def test_the_state_of_both_series_of_a_key_fits_into_six_kilobytes() -> None:
    chance = random.Random(1)
    detectors = Detectors()
    for number in range(3000):
        planned, load = 100 * math.exp(chance.gauss(0, 0.6)), 900 * math.exp(chance.gauss(0, 0.3))
        km = planned * math.exp(chance.gauss(0, 0.3)) * (1.5 if number > 2900 else 1)
        parts = (("load", -math.log(load)), ("distance", math.log(km / planned)))
        totals = (("km", km), ("planned_km", planned))
        vehicle = chance.choice(["rigid_7_5", "rigid_17", "van", "artic_33"])
        seen = Observation(
            MONDAY + number / 4 * DAY,
            km * 0.6123456789,
            planned * load / 1000,
            math.log(load / 900),
            vehicle,
            0.1,
            parts=parts,
        )
        detectors.take(Reading(number, "modelled", "tkm", "", seen, -0.9, totals, RATIOS), RULES)
    held = [judge.episode for judge in map(detectors.judge_of, detectors.identities)]
    assert all(episode is not None for episode in held)
    states = detectors.states().values()
    assert sum(len(json.dumps(state, separators=(",", ":"))) for state in states) <= 6000


def test_a_detour_is_explained_by_the_distance() -> None:
    detectors = Detectors()
    chance = random.Random(1)
    for number in range(41):
        km = 100 * math.exp(chance.gauss(0, 0.02)) * (1.6 if number == 40 else 1)
        load = 900 * math.exp(chance.gauss(0, 0.3))
        parts = (("load", -math.log(load / 1000)), ("distance", math.log(km / 100)))
        seen = Observation(
            MONDAY + number * DAY, km * 0.6, load / 10, math.log(load / 900), parts=parts
        )
        findings = detectors.take(Reading(number, "modelled", "tkm", "", seen, -0.9), RULES)
    verdict = findings[0].verdict
    assert verdict.change == "opened"
    assert verdict.drivers[0].name == "distance"
    assert verdict.drivers[0].kg == pytest.approx(verdict.excess_kg, rel=0.2)
