"""What a detector must not do to people, and what it must not miss: one test for each promise."""

from __future__ import annotations

import math
import random

import pytest

from tests.worker.detection.stream import MONDAY, RULES, changes, factors, jobs, judged
from worker.detection.detector import Detector
from worker.detection.observation import DAY, Change, Observation, Rule, Status
from worker.detection.series import Detectors, Reading


@pytest.fixture
def settled() -> Detector:
    """A detector that has seen 60 normal days, 3 % apart."""
    detector = Detector()
    judged(detector, jobs(factors(60)))
    return detector


AFTER = MONDAY + 60 * DAY


def test_clean_work_is_left_alone() -> None:
    opened = changes(judged(Detector(), jobs(factors(2000, seed=2)))).count(Change.OPENED)
    assert opened <= 1


def test_a_quarter_more_for_ever_is_one_episode_and_then_the_new_normal(settled: Detector) -> None:
    verdicts = judged(settled, jobs(factors(100, seed=3, factor=1.25), start=AFTER))
    found = [change for change in changes(verdicts) if change is not Change.ESCALATED]
    assert found == [Change.OPENED, Change.NEW_NORMAL]
    first, place = (
        [verdict.change for verdict in verdicts].index(change)
        for change in (Change.OPENED, Change.NEW_NORMAL)
    )
    assert place == first + 60  # events, and so more than 30 days
    assert not any(verdict.marked for verdict in verdicts[place + 1 :])


def test_a_person_makes_it_the_new_normal_at_once(settled: Detector) -> None:
    judged(settled, jobs(factors(10, seed=3, factor=1.25), start=AFTER))
    settled.accept()
    after = judged(settled, jobs(factors(20, seed=4, factor=1.25), start=AFTER + 10 * DAY))
    assert changes(after) == []
    assert settled.episode is None


def test_what_a_person_calls_not_normal_stays_open_until_it_is_over(settled: Detector) -> None:
    judged(settled, jobs(factors(10, seed=3, factor=1.25), start=AFTER))
    settled.hear("rejected")
    long = judged(settled, jobs(factors(150, seed=4, factor=1.25), start=AFTER + 10 * DAY))
    assert Change.NEW_NORMAL not in changes(long)
    back = judged(settled, jobs(factors(20, seed=5), start=AFTER + 160 * DAY))
    assert changes(back)[0] is Change.RESOLVED


def test_what_is_ignored_stays_silent_until_it_is_over_and_a_new_one_is_told(
    settled: Detector,
) -> None:
    judged(settled, jobs(factors(10, seed=3, factor=1.25), start=AFTER))
    settled.hear("ignored")
    verdicts = judged(settled, jobs(factors(20, seed=4, factor=1.25), start=AFTER + 10 * DAY))
    assert changes(verdicts) == []
    assert all(verdict.standing is None for verdict in verdicts)
    back = judged(settled, jobs(factors(30, seed=5), start=AFTER + 30 * DAY))
    assert changes(back) == []
    assert settled.episode is None
    again = judged(settled, jobs(factors(3, seed=6, factor=1.6), start=AFTER + 60 * DAY))
    assert Change.OPENED in changes(again)


def test_what_was_resolved_opens_again_on_new_evidence_only(settled: Detector) -> None:
    judged(settled, jobs(factors(10, seed=3, factor=1.25), start=AFTER))
    settled.hear("resolved")
    verdicts = judged(settled, jobs(factors(20, seed=4, factor=1.25), start=AFTER + 10 * DAY))
    assert [verdict.change for verdict in verdicts[:2]] == [None, None]  # not with the next event
    assert changes(verdicts)[0] is Change.OPENED


def test_a_creeping_rise_is_found_and_called_a_drift(settled: Detector) -> None:
    rise = [factor * min(8.0, 1.0035**number) for number, factor in enumerate(factors(600, seed=3))]
    verdicts = judged(settled, jobs(rise, start=AFTER))
    assert Change.OPENED in changes(verdicts)
    assert Rule.DRIFT in {verdict.standing.rule for verdict in verdicts if verdict.standing}
    assert rise[[v.change for v in verdicts].index(Change.OPENED)] < 1.5


@pytest.mark.parametrize("factor", [0.6, 3.0])
def test_a_poisoned_warm_up_calls_nobody_and_mends_itself(factor: float) -> None:
    detector = Detector()
    judged(detector, jobs(factors(5, factor=factor)))
    verdicts = judged(detector, jobs(factors(200, seed=2), start=MONDAY + 5 * DAY))
    assert Change.OPENED not in changes(verdicts)
    usual = detector.usual()
    assert usual == pytest.approx(1.0, rel=0.03)


def test_a_run_of_little_excess_opens_with_the_kilograms_that_it_shows() -> None:
    detector = Detector()
    judged(detector, jobs(factors(60, noise=0.2, seed=2)))
    verdicts = judged(detector, jobs(factors(20, seed=9, factor=1.2), start=AFTER))
    first = next(verdict for verdict in verdicts if verdict.change is Change.OPENED)
    assert first.standing is not None
    assert not first.marked  # by itself it is within the usual spread
    shown = first.expected_kg * (math.exp(first.standing.level) - 1)
    assert first.standing.excess_kg == pytest.approx(shown)
    assert shown > 5


def test_zeros_are_unusable_and_told_once(settled: Detector) -> None:
    verdicts = judged(settled, jobs([0.0] * 26, start=AFTER))
    assert {verdict.status for verdict in verdicts} == {Status.UNUSABLE}
    assert changes(verdicts) == [Change.QUALITY]
    after = judged(settled, jobs(factors(30, seed=3), start=AFTER + 26 * DAY))
    assert changes(after) == []


def test_smaller_jobs_are_explained_by_their_size(settled: Detector) -> None:
    small = judged(settled, jobs(factors(26, seed=3), start=AFTER, activity=50))
    large = judged(settled, jobs(factors(26, seed=4), start=AFTER + 26 * DAY))
    assert changes(small + large) == []


def test_every_fourth_event_a_little_high_is_two_episodes_at_most(settled: Detector) -> None:
    mixed = [
        factor * (1.15 if number % 4 == 0 else 1)
        for number, factor in enumerate(factors(400, seed=3))
    ]
    assert changes(judged(settled, jobs(mixed, start=AFTER))).count(Change.OPENED) <= 2


def test_a_meter_that_repeats_itself_is_told_once(settled: Detector) -> None:
    verdicts = judged(settled, jobs([1.02] * 20, start=AFTER))
    assert changes(verdicts) == [Change.QUALITY]
    assert {verdict.why for verdict in verdicts if verdict.why} == {"stuck"}


def test_the_same_computed_kg_for_ever_are_no_fault() -> None:
    verdicts = judged(Detector(), jobs([1.02] * 300, metered=False))
    assert changes(verdicts) == []
    assert Status.UNUSABLE not in {verdict.status for verdict in verdicts}


@pytest.mark.parametrize("factor", [1000, 0.001])
def test_another_unit_is_unusable_and_never_learned(settled: Detector, factor: float) -> None:
    before = settled.state() | {"seen": None}
    (verdict,) = judged(settled, jobs([1.0 * factor], start=AFTER))
    assert (verdict.status, verdict.why, verdict.hot) == (Status.UNUSABLE, "unit", False)
    assert settled.state() | {"seen": None} == before


def test_late_events_are_judged_and_change_nothing(settled: Detector) -> None:
    before = settled.state()
    late = judged(settled, jobs([3.0, 1.0, 1.0], start=MONDAY + 30 * DAY))
    assert [verdict.status for verdict in late] == [Status.LATE] * 3
    assert [verdict.hot for verdict in late] == [True, False, False]
    assert changes(late) == []
    assert settled.state() | {"late": 0, "seen": None} == before | {"seen": None}


def test_late_events_resolve_nothing(settled: Detector) -> None:
    judged(settled, jobs([3.0], start=AFTER))
    late = judged(settled, jobs(factors(12, seed=4), start=MONDAY - 900 * DAY))
    assert changes(late) == []
    assert settled.episode is not None


def _reading(observation: Observation) -> Reading:
    return Reading(1, "modelled", "tkm", "", observation)


def test_more_than_twenty_late_events_are_history() -> None:
    detectors = Detectors()
    for job in jobs(factors(60)):
        detectors.take(_reading(job), RULES)
    told = []
    for job in jobs(factors(25, seed=2), start=MONDAY - 100 * DAY):
        detectors.take(_reading(job), RULES)
        told.append(detectors.has_history())
    assert told == [False] * 20 + [True] * 5


def test_an_event_out_of_order_in_the_warm_up_is_noticed() -> None:
    work = list(jobs(factors(12)))
    for disorder in (False, True):
        detectors = Detectors()
        if disorder:
            random.Random(1).shuffle(work)
        for job in work:
            detectors.take(_reading(job), RULES)
        assert detectors.disordered is disorder
