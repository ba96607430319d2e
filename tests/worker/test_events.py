from typing import Any

import pytest

from worker.events import Event, Key, UnusableEvent

ROW: dict[str, Any] = {
    "id": 7,
    "source_key": "x",
    "event_type": "logistics",
    "supplier_id": "GreenTech",
    "timestamp": "2026-01-05T09:00:00+00:00",
    "distance_km": 120,
    "vehicle_type": "TRUCK_DIESEL",
    "fuel_type": None,
    "is_outlier": False,
}


def test_a_row_of_the_table_becomes_an_event_with_canonical_names() -> None:
    event = Event.from_row(ROW)
    assert event.key == Key("GreenTech", "supplier", "logistics")
    assert (event.vehicle_type, event.fuel_type) == ("truck", "diesel")
    assert event.distance_km == 120.0
    assert event.load_kg is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"distance_km": -1}, "distance_km -1 is negative"),
        ({"distance_km": "NaN"}, "not a finite number"),
        ({"load_kg": "Infinity"}, "not a finite number"),
        ({"load_kg": "much"}, "is not a number"),
        ({"temperature": -300}, "below absolute zero"),
        ({"event_type": "teleport"}, "event_type 'teleport' is unknown"),
        ({"event_type": None}, "event_type None is unknown"),
        ({"supplier_id": "  "}, "supplier_id is missing"),
        ({"vehicle_type": "zeppelin"}, "vehicle_type 'zeppelin' is unknown"),
    ],
)
def test_a_row_that_no_formula_can_use_says_why(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableEvent, match=reason):
        Event.from_row(ROW | change)


def test_frost_is_no_error() -> None:
    assert Event.from_row(ROW | {"temperature": -18.6}).temperature == -18.6


def test_the_supplier_stays_as_the_database_knows_it() -> None:
    assert Event.from_row(ROW | {"supplier_id": " GreenTech"}).key.entity == " GreenTech"
