from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from worker.events import Event, Implausible, Key, UnusableEvent

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
    ],
)
def test_a_row_that_no_formula_can_use_says_why(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableEvent, match=reason):
        Event.from_row(ROW | change)


@pytest.mark.parametrize(
    ("change", "kind", "column", "value"),
    [
        ({"vehicle_type": "zeppelin"}, "factor", "vehicle_type", "zeppelin"),
        ({"vehicle_type": "van", "fuel_type": "muck"}, "factor", "fuel_type", "muck"),
        ({"country": "XX"}, "factor", "country", "XX"),
        ({"temperature_control": "warm"}, "unit", "temperature_control", "warm"),
        ({"furnace_unit": "percent"}, "unit", "furnace_unit", "percent"),
        ({"co2e_boundary": "half"}, "unit", "co2e_boundary", "half"),
        ({"operated_by": "them"}, "unit", "operated_by", "them"),
        ({"timestamp": "infinity"}, "time", "timestamp", "infinity"),
    ],
)
def test_a_name_without_a_meaning_is_quarantined_as_it_stands(
    change: dict[str, Any], kind: str, column: str, value: str
) -> None:
    with pytest.raises(Implausible, match=value) as found:
        Event.from_row(ROW | change)
    held = found.value.row(7)
    assert (held["kind"], held["column_name"], held["raw_value"]) == (kind, column, value)


def test_new_columns_are_read_in_any_spelling() -> None:
    event = Event.from_row(
        ROW
        | {
            "country": "de",
            "temperature_control": "Frozen",
            "furnace_unit": "L/h",
            "co2e_boundary": "well-to-wheel",
            "planned_distance_km": 100,
            "shared_vehicle": True,
            "released": True,
        }
    )
    assert (event.country, event.temperature_control) == ("DEU", "refrigerated")
    assert (event.furnace_unit, event.co2e_boundary) == ("litre/h", "wtw")
    assert (event.planned_distance_km, event.shared_vehicle, event.released) == (100.0, True, True)
    assert event.occurred_at == datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_frost_is_no_error() -> None:
    assert Event.from_row(ROW | {"temperature": -18.6}).temperature == -18.6


def test_the_supplier_stays_as_the_database_knows_it() -> None:
    assert Event.from_row(ROW | {"supplier_id": " GreenTech"}).key.entity == " GreenTech"


def test_a_changed_event_is_like_the_other_but_for_what_changed() -> None:
    event = Event(id=1, event_type="logistics", supplier_id="A", distance_km=5.0, released=True)
    assert event.changed(distance_km=7.0, load_kg=1.0) == replace(
        event, distance_km=7.0, load_kg=1.0
    )
    assert event.distance_km == 5.0
    with pytest.raises(AttributeError):
        event.changed(distance=7.0)
