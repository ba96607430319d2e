"""Names of columns as people write them, with their units."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worker.ingest.reading import events, times, values
from worker.ingest.files import FileError
from worker.ingest.rows import Reading

MUST = "timestamp,supplier_id,event_type"
CELLS = "2026-01-05T09:00:00Z,A,logistics"


def read(name: str, cell: str, **options: Any) -> dict[str, Any]:
    """What a file with one more column says."""
    reading = Reading(times(), **options)
    (row,) = values(f'{MUST},"{name}"\n{CELLS},{cell}\n', reading=reading)
    return {key: value for key, value in row.items() if key not in MUST.split(",")}


# The factors are those of the international yard and pound, and of the US and the UK gallon.
@pytest.mark.parametrize(
    ("name", "column", "factor"),
    [
        ("Load (t)", "load_kg", 1000),
        ("Load [t]", "load_kg", 1000),
        ("load_t", "load_kg", 1000),
        ("Load t", "load_kg", 1000),
        ("Load in tonnes", "load_kg", 1000),
        ("load_lb", "load_kg", 0.45359237),
        ("Load (lbs)", "load_kg", 0.45359237),
        ("Load, pounds", "load_kg", 0.45359237),
        ("Weight (lb)", "load_kg", 0.45359237),
        ("Load (kg)", "load_kg", 1),
        ("load_kg", "load_kg", 1),
        ("Load/kg", "load_kg", 1),
        ("Distance [mi]", "distance_km", 1.609344),
        ("Distance (miles)", "distance_km", 1.609344),
        ("distance_miles", "distance_km", 1.609344),
        ("Planned distance (mi)", "planned_distance_km", 1.609344),
        ("Empty m", "empty_km", 0.001),
        ("Route length (mi)", "route_length", 1.609344),
        ("Speed (mph)", "speed", 1.609344),
        ("speed km/h", "speed", 1),
        ("Energy (MWh)", "energy_kwh", 1000),
        ("Cooling load [MJ]", "cooling_load", 1 / 3.6),
        ("Fuel (l)", "fuel_litres", 1),
        ("Fuel litres", "fuel_litres", 1),
        ("Fuel (US gal)", "fuel_litres", 3.785411784),
        ("fuel_gal_uk", "fuel_litres", 4.54609),
        ("Fuel (kg)", "fuel_kg", 1),
        ("Fuel (lb)", "fuel_kg", 0.45359237),
        ("CO2e (t)", "co2e_kg", 1000),
        ("Throughput (kg)", "throughput_t", 0.001),
        ("Inventory volume (m³)", "inventory_volume", 1),
        ("Shift (min)", "shift_hours", 1 / 60),
    ],
)
def test_a_unit_in_the_header_is_converted(name: str, column: str, factor: float) -> None:
    assert read(name, "12.5") == {column: pytest.approx(12.5 * factor, rel=1e-12)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Temperature (°F)", 10.0), ("temperature_f", 10.0), ("Temperature °C", 50.0)],
)
def test_degrees_in_the_header_are_converted(name: str, expected: float) -> None:
    assert read(name, "50") == {"temperature": pytest.approx(expected)}


@pytest.mark.parametrize(
    ("name", "column", "factor"),
    [
        ("Last (t)", "load_kg", 1000),
        ("Gewicht_t", "load_kg", 1000),
        ("Strecke [mi]", "distance_km", 1.609344),
        (
            "Strecke in Meilen",
            "distance_km",
            1,
        ),  # no unit that is known, and none of something else
        ("Diesel (imp gal)", "fuel_litres", 4.54609),
        ("Strom MWh", "energy_kwh", 1000),
        ("Temp min", "temperature", 1),
        ("Miles", "distance_km", 1.609344),
        ("Miles driven", "distance_km", 1.609344),
        ("Miles per day", "distance_km", 1.609344),
        ("Hours per day", "shift_hours", 1),
        ("Way to customer", "distance_km", 1),
        ("Route C", "distance_km", 1),
    ],
)
def test_a_unit_in_a_mapped_header_is_converted(name: str, column: str, factor: float) -> None:
    assert read(name, "4", renamed={name: column}) == {column: pytest.approx(4 * factor, rel=1e-12)}


def test_a_conversion_is_told() -> None:
    reading = Reading(times(), renamed={"Last (t)": "load_kg"})
    found = events(f"{MUST},Last (t),Distance (km)\n{CELLS},1.5,10\n", reading)
    assert {column: place.unit for column, place in found.converted.items()} == {"load_kg": "t"}


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("Load (t)", {"units": {"load_kg": "kg"}}, "so load_kg is in t, and --units says kg"),
        ("load_t", {"units": {"load_kg": "lb"}}, "so load_kg is in t, and --units says lb"),
        ("Distance (km)", {"units": {"distance_km": "mi"}}, "is in km, and --units says mi"),
        ("Distance (km)", {"distances": "mi"}, "is in km, and --units says mi"),
        ("Last (t)", {"renamed": {"Last (t)": "load_kg"}, "units": {"load_kg": "kg"}}, "is in t"),
        ("Last (cwt)", {"renamed": {"Last (cwt)": "load_kg"}}, "'cwt' is no unit of load_kg"),
        ("Last (cwt)", {"renamed": {"Last (cwt)": "load_kg"}}, "say --units load=kg"),
        ("Fuel (gal)", {}, "'gal' may be gal_us or gal_uk; say --units fuel_litres=gal_us"),
        ("Gallons", {"renamed": {"Gallons": "fuel_litres"}}, "'Gallons' may be gal_us or gal_uk"),
        ("Load (tons)", {}, "'tons' may be t or ton_us or ton_uk"),
        ("Fuel gal", {"renamed": {"Fuel gal": "fuel_kg"}}, "'gal' is no unit of fuel_kg"),
        ("Weg km", {"renamed": {"Weg km": "load_kg"}}, "'km' is no unit of load_kg"),
    ],
)
def test_a_unit_that_is_contradicted_or_not_understood_is_refused(
    name: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(FileError) as refused:
        read(name, "1", **options)
    assert repr(name) in str(refused.value)
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("Fuel (gal)", {"units": {"fuel_litres": "gal_uk"}}, {"fuel_litres": 9.09218}),
        ("Load (t)", {"units": {"load_kg": "t"}}, {"load_kg": 2000.0}),
        (
            "Last (cwt)",
            {"renamed": {"Last (cwt)": "load_kg"}, "units": {"load_kg": "kg"}},
            {"load_kg": 2.0},
        ),
    ],
)
def test_units_that_are_told_settle_what_the_header_leaves_open(
    name: str, options: dict[str, Any], expected: dict[str, float]
) -> None:
    assert read(name, "2", **options) == expected


def test_a_unit_of_distances_is_that_of_all_which_do_not_say_their_own() -> None:
    header = f"{MUST},distance_km,planned_distance_km,Great circle,Empty (km),route_length"
    reading = Reading(times(), renamed={"Great circle": "gcd_km"}, distances="mi")
    (row,) = values(f"{header}\n{CELLS},100,90,80,7,60\n", reading=reading)
    assert (row["distance_km"], row["planned_distance_km"]) == (160.9344, 144.84096)
    assert (row["gcd_km"], row["empty_km"]) == (128.74752, 7.0)
    assert row["route_length"] == pytest.approx(96.56064)


def test_of_two_units_of_one_column_the_own_one_is_read() -> None:
    found = events(f"{MUST},Distance (mi),Distance (km)\n{CELLS},10,16\n")
    assert found.ignored == ["Distance (mi)"]
    with pytest.raises(FileError, match="more than once: 'Load \\(t\\)' and 'Load \\(lb\\)'"):
        events(f"{MUST},Load (t),Load (lb)\n{CELLS},1,2\n")


def test_a_unit_in_the_header_of_an_output_is_its_unit() -> None:
    assert read("Output quantity (t)", "3") == {"output_quantity": 3.0, "output_unit": "t"}
    assert read("Furnace usage (l/h)", "3") == {"furnace_usage": 3.0, "furnace_unit": "l/h"} or (
        read("Furnace usage (l/h)", "3") == {"furnace_usage": 3.0, "furnace_unit": "litre/h"}
    )


@pytest.mark.parametrize(
    "header",
    [
        "Timestamp (UTC),Supplier,Activity",
        "timestamp_utc,Supplier ID,event type",
        "Date,supplier,event_type",
        "Event time,Supplier,Activity",
        "Datetime [UTC],supplier,activity",
    ],
)
def test_other_usual_names_are_known(header: str) -> None:
    (row,) = values(f"{header}\n2026-01-05 09:00,A,logistics\n")
    assert row == {
        "timestamp": "2026-01-05T09:00:00+00:00",
        "supplier_id": "A",
        "event_type": "logistics",
    }


def test_a_name_of_ours_comes_before_an_alias() -> None:
    found = events(f"Date,Supplier,{MUST}\n2020-01-01,X,{CELLS}\n")
    assert found.ignored == ["Date", "Supplier"]
    assert [row.values["supplier_id"] for row in found if hasattr(row, "values")] == ["A"]


@pytest.mark.parametrize(
    ("header", "zone", "expected"),
    [
        ("Timestamp (UTC)", "Europe/Berlin", "are UTC, and --timezone says Europe/Berlin"),
        ("Timestamp (CET)", None, "are 'CET': say which zone that is, such as --timezone"),
        ("Date (local time)", None, "are 'local time': say which"),
    ],
)
def test_a_zone_in_the_header_that_leaves_a_doubt_is_refused(
    header: str, zone: str | None, expected: str
) -> None:
    from zoneinfo import ZoneInfo

    reading = Reading(times(zone=ZoneInfo(zone) if zone else None))
    with pytest.raises(FileError, match=expected):
        events(f"{header},supplier_id,event_type\n{CELLS}\n", reading)


def test_a_zone_in_the_header_is_that_of_the_times() -> None:
    found = events("Timestamp (Europe/Berlin),supplier_id,event_type\n2026-07-05 09:00,A,factory\n")
    (row,) = found
    assert "2026-07-05T07:00:00+00:00" in str(row)


@pytest.mark.parametrize(
    ("header", "renamed"),
    [
        ("Date,Time", {}),
        ("Time,DATE", {}),
        ("Day,Clock", {"Day+Clock": "timestamp"}),
        ("Date (UTC),Time (UTC)", {}),
    ],
)
def test_a_date_and_a_time_are_joined(header: str, renamed: dict[str, str]) -> None:
    cells = ["05.01.2026", "9:14 PM"]
    if header.startswith("Time"):
        cells.reverse()
    reading = Reading(times(), renamed=renamed)
    text = f"{header},supplier_id,event_type\n{','.join(cells)},A,factory\n"
    (row,) = values(text, reading=reading)
    assert row["timestamp"] == "2026-01-05T21:14:00+00:00"
