"""`worker usual`: what is usual, from where on a job is told, and what the data cannot show."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.worker.conftest import Run, Table
from tests.worker.test_past import BEGIN, work


def trip(day: int, distance_km: float) -> dict[str, Any]:
    """A typical trip of `work`, planned to have 100 km."""
    (event,) = work(1)
    at = (BEGIN + timedelta(days=day)).isoformat()
    return event | {"timestamp": at, "distance_km": round(distance_km, 2), "load_kg": 900}


def of_one_job(output: str) -> dict[str, Any]:
    found = [json.loads(line) for line in output.splitlines()]
    (row,) = [each for each in found if each["series"] == "event"]
    return dict(row)


@pytest.mark.parametrize(("off", "hot"), [(-0.06, False), (0.06, True)])
def test_a_job_is_told_from_where_it_says(run: Run, tables: Table, off: float, hot: bool) -> None:
    tables.insert(work(60))
    assert run("scan")[0] == 0
    status, output, _ = run("usual", "A", "--json")
    assert status == 0
    row = of_one_job(output)
    assert row["learned"] == 60
    assert row["open"] is None

    # Weekdays and loads are learned too, from few: this trip lies some 2 % off what is expected.
    tables.insert([trip(60, 100 * (1 + row["told_from"] + off))])
    assert run("scan")[0] == 0
    (newest,) = tables.rows("select hotspot from predictions order by event_id desc limit 1")
    assert newest["hotspot"] is hot
    if hot:
        row = of_one_job(run("usual", "--json")[1])
        assert row["open"] == pytest.approx(row["told_from"] + off, abs=0.05)


def test_as_many_more_jobs_as_it_names_are_needed(run: Run, tables: Table) -> None:
    def of_a_job() -> str:
        assert run("scan")[0] == 0
        lines = run("usual", "A")[1].splitlines()
        return next(line for line in lines if "logistics  job" in line)

    events = work(12)
    tables.insert(events[:11])
    assert "  after 1 more  " in of_a_job()
    tables.insert(events[11:])
    assert "+" in of_a_job()


def test_who_sees_no_hotspot_reads_which_column_would_show_one(run: Run, tables: Table) -> None:
    unplanned = [{**event, "planned_distance_km": None} for event in work(20)]
    meter = [
        {
            "event_type": "factory",
            "supplier_id": "B",
            "timestamp": (BEGIN + timedelta(days=day)).isoformat(),
            "energy_kwh": 1000 + day % 7,
        }
        for day in range(5)
    ]
    tables.insert(unplanned + meter)
    assert run("scan")[0] == 0
    status, output, _ = run("usual")
    assert status == 0
    lines = output.splitlines()
    assert lines[0].split()[:3] == ["supplier", "activity", "of"]
    assert any("give planned_distance_km (A logistics)" in line for line in lines)
    assert any("give output_quantity" in line and "(B factory)" in line for line in lines)
    young = next(line for line in lines if line.startswith("B "))
    assert "after " in young
    assert " more" in young


def test_of_a_supplier_that_nobody_knows_nothing_is_learned(run: Run) -> None:
    status, output, _ = run("usual", "Nobody")
    assert status == 1
    assert "nothing is learned yet of Nobody" in output
    assert run("usual")[0] == 0


def test_a_name_that_is_misspelt_is_said_beside_those_that_are_known(
    run: Run, tables: Table
) -> None:
    tables.insert(work(3))
    assert run("scan")[0] == 0
    status, output, _ = run("usual", "A", "Nobody")
    assert status == 1
    assert "\nA " in output
    assert output.splitlines()[-1].startswith("nothing is learned yet of Nobody:")


def test_a_name_cannot_play_with_the_terminal(run: Run, tables: Table) -> None:
    name, shown = "Tr\x1b[2Jans\u3000\nport", "Tr\ufffd[2Jans\u3000\ufffdport"
    events = [{**event, "supplier_id": name} for event in work(20)]
    tables.insert([*events, {**events[0], "fuel_litres": 107_700}])
    assert run("scan")[0] == 0
    assert run("suppliers", "set", name, "--operated-by", "carrier")[0] == 0
    for command in (("usual",), ("usual", name), ("quarantine", "list"), ("suppliers", "list")):
        lines = run(*command)[1].splitlines()
        assert any(shown in line for line in lines), command
        assert "\x1b" not in "".join(lines)
    (found,) = tables.rows("select max(id) id from events_normalized")
    assert "\x1b" not in run("explain", str(found["id"]))[1]
