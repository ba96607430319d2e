"""When the live lane is found to lose changes."""

from relay.stream.change import ALERTS, HOTSPOTS
from relay.upstream.loss import (
    HEALED_SECONDS,
    MOST_KEPT,
    LoadMeter,
    LossDetector,
    LossReport,
    RebuildBackoff,
)
from tests.relay.rows import change

NUMBER = HOTSPOTS.number


def owing() -> LossDetector:
    loss_detector = LossDetector()
    loss_detector.caught([change(7, 2), change(8, 1)], 100)
    return loss_detector


def healed(loss_detector: LossDetector, start: float, end: float) -> int:
    """How many versions were found healed until `end` by a relay that looks all the time."""
    steps = int((end - start) * 4)
    return sum(loss_detector.due(start + step / 4) for step in range(steps + 1))


def test_a_version_that_only_catch_up_brought_counts_after_a_while() -> None:
    loss_detector = owing()
    assert healed(loss_detector, 100, 100 + HEALED_SECONDS - 0.25) == 0
    assert loss_detector.due(100 + HEALED_SECONDS) == 2
    assert healed(loss_detector, 105.25, 120) == 0
    assert loss_detector.total == 2


def test_the_same_or_a_newer_one_by_the_live_lane_clears_it() -> None:
    loss_detector = owing()
    loss_detector.lived(NUMBER, 7, 1)
    loss_detector.lived(ALERTS.number, 7, 2)
    loss_detector.lived(NUMBER, 8, 3)
    assert healed(loss_detector, 100, 105) == 1
    loss_detector = owing()
    loss_detector.lived(NUMBER, 7, 2)
    loss_detector.lived(NUMBER, 8, None)
    assert healed(loss_detector, 100, 105) == 0


def test_what_the_live_lane_showed_without_the_whole_row_is_not_lost() -> None:
    loss_detector = LossDetector()
    loss_detector.glimpsed(NUMBER, 7, 2)
    loss_detector.glimpsed(NUMBER, 8, None)
    loss_detector.caught([change(7, 2), change(8, 4, deleted=True), change(9, 1)], 100)
    loss_detector.glimpsed(NUMBER, 9, 1)
    assert healed(loss_detector, 100, 105) == 0
    loss_detector.caught([change(7, 3)], 105)
    assert healed(loss_detector, 105, 110) == 1


def test_what_is_owed_for_a_second_is_suspicious() -> None:
    loss_detector = owing()
    assert not loss_detector.suspicious(100.9)
    assert loss_detector.suspicious(101)
    loss_detector.forget()
    assert not loss_detector.suspicious(101)
    assert healed(loss_detector, 101, 120) == 0


def test_a_relay_that_stood_still_gives_what_waits_in_its_socket_the_time_to_be_read() -> None:
    loss_detector = owing()
    assert loss_detector.due(101) == 0
    assert loss_detector.due(161) == 0  # stopped for a minute
    loss_detector.lived(NUMBER, 7, 2)
    assert healed(loss_detector, 161, 166) == 1
    # Also when catch-up is the first one to go on.
    loss_detector = owing()
    loss_detector.caught([change(9, 1)], 160)
    assert loss_detector.due(160.1) == 0
    assert healed(loss_detector, 160.25, 165) == 3


def test_a_relay_that_is_behind_with_reading_does_not_call_the_live_lane_late() -> None:
    loss_detector = owing()
    for step in range(200):  # ten seconds of a long burst, worked off in batches
        loss_detector.behind(100 + step / 20)
        assert loss_detector.due(100 + step / 20 + 0.001) == 0
    loss_detector.lived(NUMBER, 7, 2)
    assert healed(loss_detector, 110, 115) == 1


def test_it_is_bounded() -> None:
    loss_detector = LossDetector()
    loss_detector.caught((change(number) for number in range(2 * MOST_KEPT)), 0)
    assert healed(loss_detector, 0, 10) == MOST_KEPT


def test_rebuilds_become_less_frequent_until_it_was_quiet() -> None:
    rebuilds = RebuildBackoff()
    made = [now for now in range(1000) if rebuilds.allows(now)]
    assert made == [0, 30, 90, 210, 450, 930]
    assert rebuilds.allows(930 + 4 * 960 + 1)
    assert rebuilds.allows(930 + 4 * 960 + 31)


def test_losses_are_told_at_once_and_then_once_a_minute() -> None:
    losses = LossReport()
    told = [(now, count) for now in range(150) if (count := losses.to_tell(3, now))]
    assert told == [(0, 3), (60, 180), (120, 180)]
    assert losses.to_tell(0, 500) == 87


def test_many_changes_within_a_minute_are_a_load() -> None:
    load = LoadMeter()
    assert not load.heavy
    for second in range(200):
        load.note(second, 40 * second)
    assert not load.heavy
    load.note(200, 40 * 200 + 2000)
    assert load.heavy
    load.note(270, 40 * 200 + 2000)
    assert not load.heavy
