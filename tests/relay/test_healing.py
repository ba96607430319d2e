"""When the live lane is found to lose changes."""

from relay.changes.endpoints import ALERTS, HOTSPOTS
from relay.upstream.healing import HEALED_SECONDS, MOST_KEPT, Healing, Load, Rebuilds
from tests.relay.rows import change

NUMBER = HOTSPOTS.number


def owing() -> Healing:
    healing = Healing()
    healing.caught([change(7, 2), change(8, 1)], 100)
    return healing


def test_a_version_that_only_catch_up_brought_counts_after_a_while() -> None:
    healing = owing()
    assert healing.due(100 + HEALED_SECONDS - 0.1) == 0
    assert healing.due(100 + HEALED_SECONDS) == 2
    assert healing.due(200) == 0
    assert healing.total == 2


def test_the_same_or_a_newer_one_by_the_live_lane_clears_it() -> None:
    healing = owing()
    healing.lived(NUMBER, 7, 1)
    healing.lived(ALERTS.number, 7, 2)
    healing.lived(NUMBER, 8, 3)
    assert healing.due(105) == 1
    healing = owing()
    healing.lived(NUMBER, 7, 2)
    healing.lived(NUMBER, 8, None)
    assert healing.due(105) == 0


def test_what_the_live_lane_showed_without_the_whole_row_is_not_lost() -> None:
    healing = Healing()
    healing.glimpsed(NUMBER, 7, 2)
    healing.glimpsed(NUMBER, 8, None)
    healing.caught([change(7, 2), change(8, 4, deleted=True), change(9, 1)], 100)
    healing.glimpsed(NUMBER, 9, 1)
    assert healing.due(105) == 0
    healing.caught([change(7, 3)], 105)
    assert healing.due(110) == 1


def test_what_is_owed_for_a_second_is_suspicious() -> None:
    healing = owing()
    assert not healing.suspicious(100.9)
    assert healing.suspicious(101)
    healing.forget()
    assert not healing.suspicious(101)
    assert healing.due(200) == 0


def test_it_is_bounded() -> None:
    healing = Healing()
    healing.caught((change(number) for number in range(2 * MOST_KEPT)), 0)
    assert healing.due(10) == MOST_KEPT


def test_rebuilds_become_less_frequent_until_it_was_quiet() -> None:
    rebuilds = Rebuilds()
    made = [now for now in range(1000) if rebuilds.allows(now)]
    assert made == [0, 30, 90, 210, 450, 930]
    assert rebuilds.allows(930 + 4 * 960 + 1)
    assert rebuilds.allows(930 + 4 * 960 + 31)


def test_many_changes_within_a_minute_are_a_load() -> None:
    load = Load()
    assert not load.heavy
    for second in range(200):
        load.note(second, 40 * second)
    assert not load.heavy
    load.note(200, 40 * 200 + 2000)
    assert load.heavy
    load.note(270, 40 * 200 + 2000)
    assert not load.heavy
