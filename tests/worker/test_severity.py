import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.severity import Severity, Thresholds, percent_above


@pytest.mark.parametrize(
    ("predicted", "severity"),
    [
        (0, None),
        (100, None),
        (105, None),
        (109.95, None),
        (110, Severity.INFO),
        (129.95, Severity.INFO),
        (130, Severity.WARN),
        (149.95, Severity.WARN),
        (150, Severity.CRITICAL),
        (300, Severity.CRITICAL),
    ],
)
def test_a_threshold_belongs_to_the_severity_above_it(
    predicted: float, severity: Severity | None
) -> None:
    assert Thresholds().of_ratio(predicted / 100) is severity


@given(st.floats(1e-3, 1e6), st.sampled_from([1.1, 1.3, 1.5]))
def test_equality_holds_for_any_baseline_in_spite_of_rounding(
    baseline: float, ratio: float
) -> None:
    reached = Thresholds().of_ratio(baseline * ratio / baseline)
    assert reached is {1.1: Severity.INFO, 1.3: Severity.WARN, 1.5: Severity.CRITICAL}[ratio]


def test_percent_above_is_relative_to_the_baseline() -> None:
    assert percent_above(93.6, 60) == pytest.approx(56.0)
    assert percent_above(30, 60) == -50.0


@pytest.mark.parametrize(
    "ratios",
    [(1.0, 1.3, 1.5), (0.8, 1.0, 1.5), (1.3, 1.3, 1.5), (1.5, 1.3, 1.1), (1.1, 1.3, math.inf)],
)
def test_thresholds_that_make_no_sense_are_refused(ratios: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="1 < info < warn < critical"):
        Thresholds(*ratios)


def test_wire_names_go_both_ways() -> None:
    assert [severity.wire for severity in Severity] == ["info", "warn", "critical"]
    assert all(Severity.from_wire(severity.wire) is severity for severity in Severity)
