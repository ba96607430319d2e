from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.detection.observation import Driver
from worker.episodes import Episode
from worker.events import Key
from worker.recommend import RULES, recommend
from worker.severity import Severity


def episode(*drivers: tuple[str, float], event_type: str = "logistics") -> Episode:
    """An episode whose excess is the sum of the drivers' kilograms."""
    excess = sum(kg for _, kg in drivers)
    return Episode(
        key=Key("A", "supplier", event_type),
        event_id=1,
        predicted_co2=100 + excess,
        baseline_co2=100.0,
        percent_above=excess,
        severity=Severity.CRITICAL,
        series="event",
        rule="spike",
        excess_kg=excess,
        reason="",
        occurred_at=0.0,
        last_seen_at=0.0,
        drivers=tuple(Driver(name, 0.2, kg) for name, kg in drivers),
    )


def test_no_cause_is_promised_more_than_it_costs() -> None:
    for rules in RULES.values():
        assert 0 < sum(rule.share for rule in rules) < 1


def test_the_advice_fits_the_cause_and_says_it() -> None:
    first, second = recommend(episode(("distance", 40.0)))
    assert first.action == "Compare the driven route with the planned one and re-plan it"
    assert (first.co2_reduction, second.co2_reduction) == (24.0, 12.0)
    assert first.root_cause == "Distance +22 % against its usual value: 40.0 kg CO2e more"
    assert first.source == "rules"


def test_a_small_load_is_told_as_a_small_load() -> None:
    assert "Load -18 %" in recommend(episode(("load", 40.0)))[0].root_cause


def test_what_no_input_explains_is_said_so() -> None:
    (only,) = recommend(episode(("other", 40.0)))
    assert only.root_cause == "No single input explains it"


def test_an_input_that_saves_is_no_cause() -> None:
    proposals = recommend(episode(("distance", 50.0), ("load", -10.0)))
    assert {proposal.root_cause.split()[0] for proposal in proposals} == {"Distance"}


@pytest.mark.parametrize("event_type", ["logistics", "delivery", "factory", "warehouse"])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["distance", "load", "vehicle", "fuel", "energy", "carbon", "other"]),
            st.floats(-1e6, 1e6),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_all_proposals_together_save_at_most_the_excess(
    event_type: str, drivers: list[tuple[str, float]]
) -> None:
    found = episode(*drivers, event_type=event_type)
    excess = found.predicted_co2 - found.baseline_co2
    if excess <= 0:
        return
    saved = [proposal.co2_reduction for proposal in recommend(replace(found))]
    assert saved
    assert all(kilograms >= 0 for kilograms in saved)
    assert sum(saved) <= excess
