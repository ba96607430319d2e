"""CSV files through `ingest` and `scan`, asserted to the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.worker import expected, samples
from tests.worker.conftest import Run, Table

ADVICE = {
    ("logistics", "distance_km"): [
        ("Serve these orders from the nearest depot or re-plan the route", 0.5),
        ("Move the long leg to rail or a lower-emission vehicle", 0.3),
    ],
    ("factory", "furnace_usage"): [
        ("Batch furnace charges and recover the waste heat", 0.4),
        ("Inspect furnace insulation and burner settings", 0.3),
    ],
}
CAUSES = {
    "logistics": "distance_km",
    "factory": "furnace_usage",
}


def assert_rows(tables: Table, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tables hold what the rows lead to and nothing else; gives the expected episodes."""
    plain = expected.episodes(rows)
    hotspots = tables.rows("select * from hotspots order by id")
    assert len(hotspots) == len(plain)
    for stored, episode in zip(hotspots, plain, strict=True):
        assert_episode(tables, stored, episode)
    predicted = tables.rows("select predicted_co2 from predictions order by event_id")
    assert [row["predicted_co2"] for row in predicted] == pytest.approx(
        [kg for row in rows if (kg := expected.kilograms(row)) is not None], abs=0.0006
    )
    kept = {
        (row["entity"], row["event_type"]): row["samples"]
        for row in tables.rows("select * from baselines")
    }
    assert kept == {
        key: pytest.approx(samples, abs=0.0006)
        for key, samples in expected.samples_of(rows).items()
    }
    return plain


def assert_episode(tables: Table, stored: dict[str, Any], episode: dict[str, Any]) -> None:
    for name in ("entity", "event_type", "status", "severity"):
        assert stored[name] == episode[name], (stored, episode)
    for name in ("predicted_co2", "baseline_co2", "percent_above"):
        assert stored[name] == pytest.approx(episode[name], abs=0.01)
    assert (stored["resolved_at"] is not None) == (episode["status"] == "resolved")
    alerts = tables.rows(
        "select kind, level from alerts where hotspot_id = %s order by id", stored["id"]
    )
    assert [(alert["kind"], alert["level"]) for alert in alerts] == episode["alerts"]
    found = tables.rows(
        "select * from recommendations where hotspot_id = %s order by id", stored["id"]
    )
    advice = ADVICE[stored["event_type"], CAUSES[stored["event_type"]]]
    assert [row["action"] for row in found] == [action for action, _ in advice]
    assert [row["co2_reduction"] for row in found] == pytest.approx(
        [share * episode["excess"] for _, share in advice], abs=0.01
    )
    assert {(row["status"], row["source"]) for row in found} == {("pending", "rules")}


def without_energy(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The warehouses of which no kilograms can be known."""
    return [row for row in rows if row["event_type"] == "warehouse" and "energy_kwh" not in row]


def first(out: str) -> str:
    return out.partition("\n")[0]


def test_three_files_one_after_the_other_lead_to_exactly_these_rows(
    run: Run, tables: Table
) -> None:
    files = [samples.baseline_file(), samples.increased_file(), samples.optimised_file()]
    everything: list[dict[str, Any]] = []
    for number, rows in enumerate(files):
        status, out, _ = run("ingest", text=samples.text(rows, samples.MIXED))
        assert (status, first(out)) == (
            0,
            f"written={len(rows)} repeated=0 refused=0 quarantined={len(without_energy(rows))}",
        )
        assert run("scan")[0] == 0
        everything += sorted(rows, key=lambda row: row["timestamp"])
        episodes = assert_rows(tables, everything)
        assert len(episodes) == [0, 2, 2][number]
    assert {episode["status"] for episode in episodes} == {"resolved"}


def test_the_severity_ladder_escalates_one_episode(run: Run, tables: Table) -> None:
    rows = samples.severity_file()
    status, out, _ = run("ingest", text=samples.text(rows, samples.LOGISTICS))
    assert (status, first(out)) == (0, "written=25 repeated=0 refused=0 quarantined=4")
    assert run("scan")[0] == 0
    # `truck_diesel` and `truck_ev` are trucks; for the electric one there is no published factor.
    (episode,) = assert_rows(tables, [row | {"vehicle_type": "truck"} for row in rows])
    assert episode["severity"] == "critical"
    assert episode["status"] == "active"
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
    note, *reports = err.splitlines()
    assert note == "columns that are not known are ignored: 'product_id', 'quantity'"
    assert reports[:-1] == [
        f"line {line}: refused: 16 fields where the header has 15" for line in bad
    ]
    assert reports[-1].startswith("19 events use electricity of no known country")
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
