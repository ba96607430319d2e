"""CSV files through `ingest` and `scan`, asserted to the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.worker import expected, samples
from tests.worker.conftest import Run, Table


def assert_kilograms(tables: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    predicted = tables.rows("select predicted_co2 from predictions order by event_id")
    assert [row["predicted_co2"] for row in predicted] == pytest.approx(
        [kg for row in rows if (kg := expected.kilograms(row)) is not None], abs=0.0006
    )


def without_energy(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The warehouses of which no kilograms can be known."""
    return [row for row in rows if row["event_type"] == "warehouse" and "energy_kwh" not in row]


def first(out: str) -> str:
    return out.partition("\n")[0]


def test_three_files_one_after_the_other_are_computed_and_call_nobody(
    run: Run, tables: Table
) -> None:
    """Ten trips, eight shifts: nothing is known of a supplier after so few events."""
    files = [samples.baseline_file(), samples.increased_file(), samples.optimised_file()]
    everything: list[dict[str, Any]] = []
    for rows in files:
        status, out, _ = run("ingest", text=samples.text(rows, samples.MIXED))
        assert (status, first(out)) == (
            0,
            f"written={len(rows)} repeated=0 refused=0 quarantined={len(without_energy(rows))}",
        )
        assert run("scan")[0] == 0
        everything += sorted(rows, key=lambda row: row["timestamp"])
        assert_kilograms(tables, everything)
    assert tables.rows("select severity from hotspots where event_type = 'logistics'") == []


def test_trucks_without_a_published_factor_are_held_and_the_others_computed(
    run: Run, tables: Table
) -> None:
    rows = samples.severity_file()
    status, out, _ = run("ingest", text=samples.text(rows, samples.LOGISTICS))
    assert (status, first(out)) == (0, "written=25 repeated=0 refused=0 quarantined=4")
    assert run("scan")[0] == 0
    # `truck_diesel` and `truck_ev` are trucks; for the electric one there is no published factor.
    assert_kilograms(tables, [row | {"vehicle_type": "truck"} for row in rows])
    held = tables.rows("select kind, reason, column_name, raw_value from quarantine")
    assert len(held) == 4
    assert {row["kind"] for row in held} == {"factor"}
    assert held[0]["reason"].startswith("there is no factor for a truck with electric")


def test_a_defective_file_reports_each_bad_line_and_loses_no_good_one(
    run: Run, tables: Table
) -> None:
    text, bad = samples.defective_file()
    assert len(bad) == 22
    status, out, err = run("ingest", text=text)
    good = len(text.splitlines()) - 1 - len(bad)
    assert (status, first(out)) == (1, f"written={good} repeated=0 refused=22 quarantined=0")
    note, report, assumed = err.splitlines()
    assert note == "columns that are not known are ignored: 'product_id', 'quantity'"
    shown = ", ".join(map(str, bad[:3]))
    assert report == f"lines {shown} and 19 more: refused: 16 fields where the header has 15"
    assert assumed.startswith("19 events use electricity of no known country")
    stored = tables.rows("select event_type, count(*)::int from events_normalized group by 1")
    assert sum(row["count"] for row in stored) == good
    assert {row["event_type"] for row in stored} == {"factory", "logistics"}
    assert run("scan")[0] == 0
    assert tables.rows("select count(*)::int from predictions") == [{"count": good}]


def test_ingesting_twice_adds_nothing_and_scanning_again_changes_nothing(
    run: Run, tables: Table
) -> None:
    rows = [*samples.baseline_file(), *samples.increased_file()]
    text, held = samples.text(rows, samples.MIXED), len(without_energy(rows))
    out = run("ingest", text=text)[1]
    assert first(out) == f"written=57 repeated=0 refused=0 quarantined={held}"
    assert run("scan")[0] == 0
    before = tables.contents()
    out = run("ingest", text=text)[1]
    assert first(out) == f"written=0 repeated=57 refused=0 quarantined={held}"
    assert run("scan")[0] == 0
    assert tables.contents() == before


def test_times_are_stored_as_utc_with_and_without_a_zone(run: Run, tables: Table) -> None:
    lines = ["2026-01-05 09:00:00", "2026-01-05T09:00:00Z", "2026-01-05T11:00:00+02:00"]
    text = "timestamp,supplier_id,event_type,distance_km\n" + "".join(
        f"{stamp},A,logistics,{number}\n" for number, stamp in enumerate(lines)
    )
    assert run("ingest", text=text)[0] == 0
    found = tables.rows("select distinct timestamp::text from events_normalized")
    assert found == [{"timestamp": "2026-01-05 09:00:00+00"}]
