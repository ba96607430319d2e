import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.events import Event
from worker.recommend import RULES, TYPICAL, dominant, recommend

TRIP = Event(id=1, event_type="logistics", supplier_id="A", distance_km=400, load_kg=1200, speed=60)


def event(event_type: str, **quantities: float) -> Event:
    return Event(id=1, event_type=event_type, supplier_id="A", **quantities)  # type: ignore[arg-type]


def test_every_cause_has_rules_and_they_promise_less_than_everything() -> None:
    causes = {(kind, name) for kind, names in TYPICAL.items() for name in names}
    assert set(RULES) == causes
    for rules in RULES.values():
        assert len(rules) >= 2
        assert sum(rule.share for rule in rules) < 1


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (TRIP, "distance_km"),
        (event("logistics", distance_km=100, load_kg=4000, speed=60), "load_kg"),
        (event("logistics", distance_km=100, load_kg=450, speed=25), "speed"),
        (event("factory", energy_kwh=4000, furnace_usage=60, cooling_load=300), "furnace_usage"),
        (event("factory", energy_kwh=9000, furnace_usage=1, cooling_load=300), "energy_kwh"),
        (event("warehouse", energy_kwh=450, refrigeration_load=20), "refrigeration_load"),
        (event("warehouse", refrigeration_load=0, temperature=-15), "temperature"),
        (event("delivery", route_length=16, traffic_score=10), "traffic_score"),
        (event("delivery", distance_km=40, traffic_score=5), "route_length"),
        (event("logistics", distance_km=80, load_kg=450, speed=60), "distance_km"),  # all are low
    ],
)
def test_the_input_that_is_farthest_above_its_typical_value_is_dominant(
    found: Event, name: str
) -> None:
    driver = dominant(found)
    assert driver is not None
    assert driver.name == name


def test_the_advice_fits_the_cause_and_says_it() -> None:
    first, second = recommend(TRIP, 120.0, 40.0)
    assert first.action == "Serve these orders from the nearest depot or re-plan the route"
    assert (first.co2_reduction, second.co2_reduction) == (40.0, 24.0)
    assert first.root_cause == "Distance of 400.0 km where 100.0 is typical"
    assert first.source == "rules"


def test_an_event_below_all_typical_values_says_so() -> None:
    texts = {
        proposal.root_cause for proposal in recommend(event("logistics", distance_km=20), 5, 3)
    }
    assert len(texts) == 1
    assert "no input is above its typical value" in texts.pop()


def test_an_event_that_says_nothing_of_its_work_gets_no_proposal() -> None:
    assert recommend(event("logistics", fuel_litres=30), 9.0, 3.0) == []


@given(st.floats(0, 1e6), st.floats(1e-6, 1e6))
def test_all_proposals_together_save_at_most_the_excess(baseline: float, excess: float) -> None:
    predicted = baseline + excess
    saved = [proposal.co2_reduction for proposal in recommend(TRIP, predicted, baseline)]
    assert all(kilograms >= 0 for kilograms in saved)
    assert sum(saved) <= predicted - baseline
