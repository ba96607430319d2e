from hypothesis import given
from hypothesis import strategies as st

from worker.events import Event
from worker.predictions import TYPICAL
from worker.recommend import RULES, recommend

TRIP = Event(id=1, event_type="logistics", supplier_id="A", distance_km=400, load_kg=1200, speed=60)


def test_every_cause_has_rules_and_they_promise_less_than_everything() -> None:
    causes = {(kind, name) for kind, names in TYPICAL.items() for name in names}
    assert set(RULES) == causes
    for rules in RULES.values():
        assert len(rules) >= 2
        assert sum(rule.share for rule in rules) < 1


def test_the_advice_fits_the_cause_and_says_it() -> None:
    first, second = recommend(TRIP, 120.0, 40.0)
    assert first.action == "Serve these orders from the nearest depot or re-plan the route"
    assert (first.co2_reduction, second.co2_reduction) == (40.0, 24.0)
    assert first.root_cause.startswith("Distance of 400.0 km where 100.0 is typical: ")
    assert first.source == "rules"


def test_an_event_below_all_typical_values_says_so() -> None:
    small = Event(id=1, event_type="logistics", supplier_id="A", distance_km=20, load_kg=50)
    texts = {proposal.root_cause for proposal in recommend(small, 5.0, 3.0)}
    assert len(texts) == 1
    assert "no input is above its typical value" in texts.pop()


def test_an_event_without_the_inputs_gets_no_proposal() -> None:
    assert recommend(Event(id=1, event_type="logistics", supplier_id="A"), 9.0, 3.0) == []


@given(st.floats(0, 1e6), st.floats(1e-6, 1e6))
def test_all_proposals_together_save_at_most_the_excess(baseline: float, excess: float) -> None:
    predicted = baseline + excess
    saved = [proposal.co2_reduction for proposal in recommend(TRIP, predicted, baseline)]
    assert all(kilograms >= 0 for kilograms in saved)
    assert sum(saved) <= predicted - baseline
