"""What ingest says of quarantine is what the worker does then."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.worker.conftest import Run, Table
from tests.worker.ingest.reading import rows, values
from worker.ingest.files import BadRow
from worker.ingest.header import COLUMNS as KNOWN

HEADER = (
    "timestamp,supplier_id,event_type,vehicle_type,fuel_type,distance_km,load_kg,fuel_litres,"
    "energy_kwh,vehicle_class,temperature_control,shared_vehicle,country,output_quantity,"
    "output_unit,co2e_kg,co2e_boundary,co2e_method,operated_by,planned_distance_km\n"
)
COLUMNS = HEADER.strip().split(",")


def line(number: int, **cells: Any) -> str:
    given = {
        "timestamp": f"2026-01-{number % 28 + 1:02d}T09:00:00Z",
        "supplier_id": "A",
        "event_type": "logistics",
        "vehicle_type": "truck",
        "fuel_type": "diesel",
    } | cells
    return ",".join(str(given.get(column, "")) for column in COLUMNS) + "\n"


CASES: list[tuple[dict[str, Any], bool]] = [
    ({"distance_km": 100, "load_kg": 900}, False),
    ({"distance_km": 6000, "load_kg": 900}, True),
    ({"distance_km": 101, "load_kg": 61_000}, True),
    ({"distance_km": 0, "load_kg": 900}, True),
    ({"distance_km": 102, "load_kg": 900, "fuel_litres": 22}, False),
    ({"distance_km": 103, "load_kg": 900, "fuel_litres": 22_000}, True),
    ({"distance_km": 104, "fuel_type": "electric"}, True),
    ({"distance_km": 105, "fuel_type": "electric", "energy_kwh": 120, "country": "DE"}, False),
    ({"distance_km": 106, "vehicle_class": "rigid_17", "shared_vehicle": "yes"}, True),
    (
        {"distance_km": 107, "load_kg": 9, "vehicle_class": "rigid_17", "shared_vehicle": "no"},
        False,
    ),
    ({"distance_km": 108, "vehicle_class": "spaceship"}, True),
    ({"distance_km": 109, "vehicle_type": "mini_truck", "load_kg": 900}, False),
    ({"event_type": "factory", "vehicle_type": "", "fuel_type": ""}, True),
    ({"event_type": "factory", "vehicle_type": "", "fuel_type": "", "energy_kwh": 4000}, False),
    ({"event_type": "factory", "vehicle_type": "", "fuel_type": "", "energy_kwh": 2e9}, True),
    ({"distance_km": 110, "co2e_kg": 50, "co2e_boundary": "wtw", "co2e_method": "GLEC"}, False),
]


def test_the_worker_quarantines_what_ingest_said(run: Run, tables: Table, tmp_path: Path) -> None:
    """Each case three times: the second and third may be answered from memory."""
    lines = [line(n, **cells) for n, (cells, _) in enumerate(CASES * 3)]
    listed = tmp_path / "refused.csv"
    status, out, _ = run("ingest", "--refused", str(listed), text=HEADER + "".join(lines))
    assert status == 0
    with listed.open(newline="") as file:
        said = {int(row["line"]) for row in csv.DictReader(file)}
    assert said == {n + 2 for n, (_, held) in enumerate(CASES * 3) if held}
    assert f"quarantined={len(said)}\n" in out
    assert run("scan")[0] == 0
    held = tables.rows("select event_id from quarantine")
    assert len(held) == len(said)
    assert tables.rows("select count(*)::int n from predictions")[0]["n"] == len(lines) - len(said)


def test_the_new_columns_are_stored_with_one_spelling(run: Run, tables: Table) -> None:
    text = HEADER + line(
        1,
        distance_km=100,
        load_kg=900,
        country="de",
        temperature_control="Chilled",
        shared_vehicle="TRUE",
        operated_by="Carrier",
        planned_distance_km=98,
        output_quantity=2.5,
        output_unit="pallets",
    )
    assert run("ingest", text=text)[0] == 0
    (row,) = tables.rows(
        """select country, temperature_control, shared_vehicle, operated_by, planned_distance_km,
        output_quantity, output_unit from events_normalized"""
    )
    assert row == {
        "country": "DEU",
        "temperature_control": "refrigerated",
        "shared_vehicle": True,
        "operated_by": "carrier",
        "planned_distance_km": 98,
        "output_quantity": 2.5,
        "output_unit": "pallets",
    }


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"country": "Atlantis"}, "country"),
        ({"shared_vehicle": "maybe"}, "shared_vehicle 'maybe' is neither yes nor no"),
        ({"temperature_control": "tepid"}, "temperature_control 'tepid' is unknown"),
        ({"co2e_boundary": "cradle"}, "co2e_boundary 'cradle' is unknown (known: wtw, ttw)"),
        ({"vehicle_class": "x" * 101}, "vehicle_class is longer than 100 characters"),
        ({"co2e_method": "x" * 201}, "co2e_method is longer than 200 characters"),
        ({"output_unit": "a\x07b"}, "output_unit 'a\\x07b' has control characters"),
        ({"planned_distance_km": "-1"}, "planned_distance_km '-1' is negative"),
    ],
)
def test_a_new_column_with_a_bad_cell_is_refused(cells: dict[str, Any], expected: str) -> None:
    (bad,) = rows(HEADER + line(1, **cells))
    assert isinstance(bad, BadRow)
    assert expected in bad.reason


def test_electricity_without_a_country_is_told(run: Run, tables: Table) -> None:
    factory = {"event_type": "factory", "vehicle_type": "", "fuel_type": ""}
    lines = [line(n, **factory, energy_kwh=4000 + n) for n in range(5)]
    lines += [line(9, **factory, energy_kwh=4000, country="GBR"), line(9, distance_km=9)]
    err = run("ingest", text=HEADER + "".join(lines))[2]
    assert err.startswith("5 events use electricity of no known country: the world's average grid")


def test_all_columns_of_the_table_can_be_given(tables: Table) -> None:
    stored = tables.rows(
        """select column_name c from information_schema.columns
        where table_schema = 'public' and table_name = 'events_normalized'"""
    )
    own = {"id", "source_key", "is_outlier", "created_at"}
    assert {row["c"] for row in stored} - own == set(KNOWN)
    assert values(HEADER + line(1))
