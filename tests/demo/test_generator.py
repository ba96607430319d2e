"""The made-up events: repeatable, quiet at first, and then never boring."""

import itertools
import random
from collections import defaultdict

from demo.generator import LINES, WARM_UP_EVENTS, Event, events, factors


def take(seed: int, count: int) -> list[Event]:
    return list(itertools.islice(events(seed), count))


def test_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    assert take(7, 200) == take(7, 200)
    assert take(7, 200) != take(8, 200)


def test_every_line_works_quietly_during_the_warm_up() -> None:
    for place, event in enumerate(take(3, WARM_UP_EVENTS * len(LINES))):
        line = LINES[place % len(LINES)]
        assert event["supplier_id"] == line.supplier_id
        for name, (low, high) in line.drivers.items():
            assert low <= event[name] <= high


def test_first_line_deviates_right_after_the_warm_up() -> None:
    event = take(1, WARM_UP_EVENTS * len(LINES) + 1)[-1]
    name, (_, high) = next(iter(LINES[0].drivers.items()))
    assert event["supplier_id"] == LINES[0].supplier_id
    assert event[name] > high


def test_each_line_spikes_drifts_and_recovers() -> None:
    course = list(itertools.islice(factors(random.Random(1), quiet_first=5), 5000))
    runs = [
        (quiet, list(group)) for quiet, group in itertools.groupby(course, key=lambda f: f == 1.0)
    ]
    deviations = [group for quiet, group in runs if not quiet]
    spikes = [group for group in deviations if len(set(group)) == 1]
    drifts = [group for group in deviations if len(set(group)) > 1]
    assert spikes
    assert drifts
    assert all(group == sorted(group) and group[-1] > 1.5 for group in drifts)
    assert all(len(group) >= 12 for quiet, group in runs[1:-1] if quiet)


def test_inputs_never_leave_the_signs_and_kinds_that_the_schema_expects() -> None:
    kinds = defaultdict(set)
    for event in take(5, 2000):
        kinds[event["event_type"]].add(frozenset(event))
        assert all(v > 0 for v in event.values() if isinstance(v, int | float))
    assert set(kinds) == {"logistics", "factory", "warehouse", "delivery"}
