"""Predictions, rollups and the report agree to the gram, whatever happens to the worker."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import random
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.worker.conftest import Run, Start, Table
from tests.worker.test_past import work
from worker.report import markdown

BEGIN = datetime(2026, 1, 5, 6, tzinfo=UTC)
RANGE = ("--from", "2026-01-01", "--to", "2026-12-31")


def year(days: int = 40, seed: int = 3) -> list[dict[str, Any]]:
    """Trips, deliveries and shifts of some suppliers, declared, assumed and measured."""
    chance = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for day in range(days):
        for hour in range(3):
            at = (BEGIN + timedelta(days=day, hours=hour * 5)).isoformat()
            km = round(chance.uniform(40, 220), 2)
            trip = {"event_type": "logistics", "timestamp": at, "distance_km": km}
            rows.append(
                trip
                | {"supplier_id": "Haul, A", "load_kg": round(chance.uniform(300, 2000), 1)}
                | {"vehicle_type": "truck", "vehicle_class": "rigid_7_5", "fuel_type": "diesel"}
            )
            rows.append(trip | {"supplier_id": "=B", "vehicle_type": "van", "fuel_type": "petrol"})
            rows.append(
                {
                    "event_type": "factory",
                    "supplier_id": "Mill|C",
                    "timestamp": at,
                    "energy_kwh": round(chance.uniform(90, 140) * (2 if day > 30 else 1), 3),
                    "output_quantity": round(chance.uniform(9, 11), 2),
                    "output_unit": "t",
                }
            )
    return rows


def exact(value: Any) -> Decimal:
    return Decimal(str(value))


def of_predictions(tables: Table) -> dict[tuple[str, str, str], Decimal]:
    """kg by supplier, kind of work and day, of every event once: the newest that was computed."""
    sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    newest: dict[int, dict[str, Any]] = {}
    for row in tables.rows(
        """select p.event_id, p.entity, p.event_type, p.predicted_co2 as kg,
             (e.timestamp at time zone 'UTC')::date::text as day
           from predictions p join events_normalized e on e.id = p.event_id
           order by p.created_at"""
    ):
        newest[row["event_id"]] = row
    for row in newest.values():
        sums[row["entity"], row["event_type"], row["day"]] += exact(row["kg"])
    return dict(sums)


def of_rollups(tables: Table) -> dict[tuple[str, str, str], Decimal]:
    rows = tables.rows("select entity, event_type, day::text, kg from rollups")
    sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row["entity"], row["event_type"], row["day"]] += row["kg"]
    return dict(sums)


def of_report(run: Run) -> dict[tuple[str, str, str], Decimal]:
    status, out, _ = run("report", *RANGE, "--by", "day")
    assert status == 0
    sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in csv.DictReader(io.StringIO(out)):
        sums[row["entity"].removeprefix("'"), row["event_type"], row["since"]] += exact(row["kg"])
    return dict(sums)


def agreed(tables: Table, run: Run) -> dict[tuple[str, str, str], Decimal]:
    """Assert that the three are the same; what they say."""
    found = of_predictions(tables)
    assert of_rollups(tables) == found
    assert of_report(run) == found
    return found


# What is usual has to agree as well: rollups hold the sums of what predictions say.
USUAL = """select coalesce(sum(round(expected_kg::numeric, 3)), 0) as usual, count(expected_kg) as n
    from predictions where superseded_at is null"""


def usual_agrees(tables: Table) -> int:
    """Assert it; how many events were compared with what is usual."""
    (said,) = tables.rows(USUAL)
    (summed,) = tables.rows("select sum(expected_kg) as usual, sum(judged) as n from rollups")
    assert said == summed
    number: int = said["n"]
    return number


def test_they_agree_after_a_worker_was_killed_in_the_middle(
    tables: Table, start: Start, run: Run
) -> None:
    tables.insert(year())
    for _ in range(3):
        worker = start("scan", WORKER_BATCH_EVENTS="10", WORKER_LEASE_SECONDS="5")
        while worker.poll() is None:
            (row,) = tables.rows("select count(*) as done from predictions")
            if row["done"] > 30:
                worker.kill()
                break
        worker.wait()
        tables.execute("update leases set until = '-infinity'")
    assert run("scan")[0] == 0
    found = agreed(tables, run)
    assert len(found) == 3 * 40
    assert usual_agrees(tables) > 200


def test_they_agree_after_events_were_computed_anew(tables: Table, run: Run) -> None:
    tables.insert(year(20))
    assert run("scan")[0] == 0
    before = agreed(tables, run)
    assert run("suppliers", "set", "Mill|C", "--country", "FR")[0] == 0
    after = agreed(tables, run)
    assert {key for key in before if before[key] != after[key]} == {
        key for key in before if key[0] == "Mill|C"
    }
    usual_agrees(tables)
    # A set of factors of another name stands beside the former one and is not counted twice.
    tables.execute("update predictions set factor_set = 'former'")
    tables.execute("update recomputes set basis = '{}'")
    assert run("scan")[0] == 0
    (row,) = tables.rows("select count(*) as n, count(distinct event_id) as e from predictions")
    assert (row["n"], row["e"]) == (2 * 180, 180)
    assert agreed(tables, run) != {}
    usual_agrees(tables)


def test_they_agree_after_a_past_was_folded_anew(tables: Table, run: Run) -> None:
    rows = work(60, hot=range(40, 44))
    tables.insert(rows[30:])
    assert run("scan")[0] == 0
    tables.insert(rows[:30])  # history: what was warming up is judged now
    assert run("scan")[0] == 0
    agreed(tables, run)
    assert usual_agrees(tables) == 48
    (row,) = tables.rows("select sum(excess_kg) as kg from daily_emissions")
    assert row["kg"] > 0


def test_days_whose_events_are_held_agree_after_a_prune_and_older_ones_stay(
    tables: Table, run: Run
) -> None:
    tables.insert(year())
    assert run("scan")[0] == 0
    before = agreed(tables, run)
    tables.execute("delete from detectors")  # which would keep the newest 400 events of each
    tables.execute(
        "update events_normalized set created_at = now() - interval '90 days'"
        " where timestamp < '2026-01-25T00:00:00Z'"
    )
    tables.rows("select prune('30 days')")
    held = of_predictions(tables)
    assert 0 < len(held) < len(before)
    assert of_rollups(tables) == before == of_report(run)
    # Recomputing what is left changes nothing of the rest.
    assert run("recompute")[0] == 0
    assert {key: kg for key, kg in of_rollups(tables).items() if key in held} == of_predictions(
        tables
    )
    assert {key: kg for key, kg in of_rollups(tables).items() if key not in held} == {
        key: kg for key, kg in before.items() if key not in held
    }


def test_each_table_of_the_markdown_adds_up_to_the_total(
    tables: Table, run: Run, tmp_path: Path
) -> None:
    tables.insert(year())
    assert run("scan")[0] == 0
    whole = sum(of_predictions(tables).values())
    file = tmp_path / "report.md"
    status, out, _ = run("report", *RANGE, "--format", "markdown", "--output", str(file))
    assert (status, out) == (0, "")
    text = file.read_text()
    assert f"**{whole:,} kg CO2e** (well to wheel) of 360 events" in text
    assert text.count(f"| **total** | **{whole:,}** |") == 5
    assert "| modelled, distance, declared class and actual load |" in text
    assert "world's average grid: set GRID_COUNTRY" in text
    assert "Mill\\|C" in text
    assert all(
        line.count("|") - line.count("\\|") == 5 for line in text.split("\n") if line[:1] == "|"
    )


def test_a_name_that_a_spreadsheet_would_compute_is_set_off(tables: Table, run: Run) -> None:
    tables.insert(year(2))
    assert run("scan")[0] == 0
    out = run("report", *RANGE)[1]
    assert "\n'=B,logistics,2026-01-01,2026-12-31," in out
    assert '\n"Haul, A",logistics,' in out


def test_a_report_is_exact_in_a_file_and_cannot_play_with_the_terminal(
    tables: Table, run: Run, env: dict[str, str]
) -> None:
    name = "Tr\x1b[2Jans\u3000port\u202e"
    tables.insert([{**event, "supplier_id": name} for event in year(2)])
    assert run("scan")[0] == 0
    assert f"\n{name},logistics," in run("report", *RANGE)[1]
    for form in ("csv", "markdown"):
        terminal, child = os.openpty()
        command = [sys.executable, "-m", "worker", "report", *RANGE, "--format", form]
        process = subprocess.Popen(command, stdout=child, env=env)
        os.close(child)
        shown = b""
        with contextlib.suppress(OSError):  # what a terminal says after its last writer
            while piece := os.read(terminal, 65_536):
                shown += piece
        assert process.wait() == 0
        os.close(terminal)
        text = shown.decode()
        assert "ans\u3000port\ufffd" in text
        assert not {"\x1b", "\u202e"} & set(text)


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        ("yesterday", "2026-01-01", "--from 'yesterday' is not a day such as 2026-01-31"),
        ("2026-02-01", "2026-01-01", "--to 2026-01-01 is before --from 2026-02-01"),
    ],
)
def test_days_that_make_no_sense_are_refused(run: Run, since: str, until: str, told: str) -> None:
    status, _, errors = run("report", "--from", since, "--to", until)
    assert (status, errors) == (2, f"worker: {told}\n")


def test_a_report_of_nothing_says_so() -> None:
    text = list(markdown([], BEGIN.date(), BEGIN.date(), 0))
    assert text[-1] == "No event of these days has kilograms."
