import json
import statistics

from hypothesis import given
from hypothesis import strategies as st

from worker.baseline import Baseline
from worker.events import Key

KEY = Key("A", "supplier", "factory")
KILOGRAMS = st.floats(0, 1e6)


@given(st.lists(KILOGRAMS, min_size=1, max_size=120))
def test_it_is_the_median_and_deviation_of_the_last_fifty(values: list[float]) -> None:
    baseline = Baseline()
    for value in values:
        baseline = baseline.with_normal(value)
    last = values[-50:]
    middle = statistics.median(last)
    assert list(baseline.samples) == last
    assert baseline.median == middle
    assert baseline.mad == statistics.median([abs(value - middle) for value in last])


def test_it_is_ready_from_the_fifth_sample_on() -> None:
    baseline = Baseline((1.0, 2.0, 3.0, 4.0))
    assert not baseline.ready
    assert baseline.with_sample(5.0).ready


def test_a_hot_event_ends_the_streak_and_leaves_the_samples_alone() -> None:
    baseline = Baseline((1.0, 2.0), 2)
    assert baseline.with_hot() == Baseline((1.0, 2.0), 0)
    assert baseline.with_normal(3.0) == Baseline((1.0, 2.0, 3.0), 3)


@given(st.lists(KILOGRAMS, min_size=1, max_size=50), st.integers(0, 99))
def test_its_row_survives_json_without_losing_a_bit(values: list[float], streak: int) -> None:
    baseline = Baseline(tuple(values), streak)
    assert Baseline.from_row(json.loads(json.dumps(baseline.row(KEY)))) == baseline


def test_its_row_names_the_key_and_the_state() -> None:
    row = Baseline((3.0, 1.0, 2.0), 4).row(KEY)
    assert row == {
        "entity": "A",
        "entity_type": "supplier",
        "event_type": "factory",
        "median": 2.0,
        "mad": 1.0,
        "sample_size": 3,
        "state": "warming",
        "samples": [3.0, 1.0, 2.0],
        "normal_streak": 4,
    }
