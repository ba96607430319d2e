"""Files that people really have, through `ingest` and `scan` to the rows they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.worker.conftest import Run, Table

CASES = Path(__file__).parent / "cases"


def _worked_off(run: Run, name: str) -> None:
    status, _, errors = run("ingest", str(CASES / f"{name}.csv"))
    assert status == 0, errors
    status, _, errors = run("scan")
    assert status == 0, errors


def _hotspots(tables: Table) -> list[dict[str, Any]]:
    return tables.rows("select * from hotspots order by id")


def test_a_name_in_two_spellings_of_unicode_is_one_supplier(run: Run, tables: Table) -> None:
    _worked_off(run, "nfd")
    (learned,) = tables.rows("select * from baselines where series = 'event'")
    assert (learned["entity"], learned["sample_size"]) == ("Müller", 15)
    (hotspot,) = _hotspots(tables)
    assert hotspot["status"] == "active"
    assert "distance +120 %" in hotspot["reason"]


def test_zeros_are_no_baseline(run: Run, tables: Table) -> None:
    _worked_off(run, "zero")
    (notice,) = tables.rows("select * from notices")
    assert (notice["kind"], notice["message"][:4]) == ("quality", "five")
    (hotspot,) = _hotspots(tables)
    (newest,) = tables.rows("select max(id) as id from events_normalized")
    assert (hotspot["event_id"], hotspot["severity"]) == (newest["id"], "critical")
    (learned,) = tables.rows("select * from baselines where series = 'event'")
    assert learned["sample_size"] == 15


def test_old_events_neither_open_nor_resolve_what_is_of_today(run: Run, tables: Table) -> None:
    _worked_off(run, "late1")
    _worked_off(run, "late2")
    assert _hotspots(tables) == []
    (late,) = tables.rows("select late from detector_keys")
    assert late["late"] == 1
    _worked_off(run, "late3")
    (opened,) = _hotspots(tables)
    assert opened["status"] == "active"
    _worked_off(run, "late4")
    assert _hotspots(tables) == [opened]
