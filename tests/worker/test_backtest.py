"""`worker backtest`: figures on a labelled file that can be counted by hand."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.worker.conftest import Run, Table

BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
COLUMNS = "timestamp,supplier_id,event_type,distance_km,planned_distance_km,load_kg,fault"


def file(*kilometres: tuple[float, str]) -> str:
    """One trip a day that was planned to have 100 km, with its label."""
    lines = [
        f"{(BEGIN + timedelta(days=day)).isoformat()},A,logistics,{km},100,900,{label}"
        for day, (km, label) in enumerate(kilometres)
    ]
    return "\n".join([COLUMNS, *lines]) + "\n"


QUIET = [(100 + day % 3, "") for day in range(60)]


def test_what_is_found_missed_and_false_is_counted(tmp_path: Path, run: Run, tables: Table) -> None:
    path = tmp_path / "year.csv"
    path.write_text(
        file(
            *QUIET,
            (200, "detour"),  # found
            *QUIET[:10],
            (104, "detour"),  # too small to be found
            *QUIET[:10],
            (200, "normal"),  # nobody labelled it: a false hotspot
            *QUIET[:10],
        ).replace("2026-01-06", "garbage", 1)
    )
    status, out, _ = run("backtest", str(path), "--labels", "Fault", "--json")
    assert status == 0
    made = json.loads(out)
    assert (made["events"], made["refused"], made["suppliers"]) == (92, 1, 1)
    assert made["kinds"] == {
        "detour": {
            "anomalies": 2,
            "held": 0,
            "found": 1,
            "recall": 0.5,
            "caught": 0.5,
            "median_delay": 0,
        }
    }
    assert (made["hotspots"], made["false_hotspots"], made["precision"]) == (2, 1, 0.5)
    assert made["normal_events_hot"] == 1
    assert made["supplier_weeks"] == pytest.approx(92 / 7)
    assert made["false_per_supplier_week"] == pytest.approx(7 / 92)
    assert tables.rows("select * from events_normalized") == []


def test_gaps_that_were_filled_with_zeros_are_missing_as_in_ingest(
    tmp_path: Path, run: Run, tables: Table
) -> None:
    path = tmp_path / "year.csv"
    filled = (
        file(*QUIET).replace(",fault\n", ",fault,fuel_litres\n").replace(",900,\n", ",900,,0\n")
    )
    assert filled.count(",,0\n") == len(QUIET)
    path.write_text(filled)
    status, out, _ = run("backtest", str(path), "--labels", "fault", "--json")
    assert status == 0
    assert (json.loads(out)["events"], json.loads(out)["quarantined"]) == (len(QUIET), 0)


def test_a_file_of_other_words_is_read_as_ingest_reads_it(tmp_path: Path, run: Run) -> None:
    text = file(*QUIET, (200, "Umweg")).replace(".", ",").replace("+00:00", "Z")
    head, _, body = text.partition("\n")
    assert head.startswith("timestamp,supplier_id,event_type,")
    rows = [line.split(",") for line in body.splitlines()]
    german = "\n".join(";".join((row[0], "Müller", "Fahrt", *row[3:])) for row in rows)
    path = tmp_path / "fahrten.csv"
    header = "Datum;Lieferant;Art;km;geplant;kg;Fehler\n"
    path.write_bytes((header + german).encode("windows-1252"))
    words = {
        "--map": ("Datum=timestamp", "Lieferant=supplier_id", "Art=event_type", "km=distance_km"),
        "--values": ("event_type:Fahrt=logistics",),
        "--encoding": ("windows-1252",),
    }
    words["--map"] += ("geplant=planned_distance_km", "kg=load_kg")
    options = [part for name, values in words.items() for value in values for part in (name, value)]
    status, out, err = run("backtest", str(path), "--labels", "Fehler", "--json", *options)
    assert status == 0, err
    made = json.loads(out)
    assert (made["events"], made["kinds"]["umweg"]["found"]) == (len(QUIET) + 1, 1)


def test_anomalies_that_are_all_held_have_no_recall_and_are_caught(
    tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "year.csv"
    path.write_text(file(*QUIET, (100_000, "typo"), (100, ""), (90_000, "typo"), (200, "detour")))
    arguments = ("backtest", str(path), "--labels", "fault")
    status, out, _ = run(*arguments, "--json")
    assert status == 0
    made = json.loads(out)
    assert made["quarantined"] == 2
    assert made["kinds"]["typo"] == {
        "anomalies": 2,
        "held": 2,
        "found": 0,
        "recall": None,
        "caught": 1.0,
        "median_delay": None,
    }
    assert (made["recall"], made["caught"], made["held"], made["anomalies"]) == (1, 1, 2, 3)
    lines = run(*arguments)[1].splitlines()
    assert "recall 1.00 of 1 anomalies, 2 more are held in quarantine" in lines[2]
    (typo,) = (line.split() for line in lines if line.startswith("typo"))
    assert typo == ["typo", "2", "2", "0", "-", "1.00", "-"]


def test_a_label_cannot_play_with_the_terminal(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "year.csv"
    path.write_text(file(*QUIET, (200, "de\x1b[2Jtour")))
    out = run("backtest", str(path), "--labels", "fault")[1]
    assert "\nde\ufffd[2jtour " in out
    assert "\x1b" not in out


def test_a_file_without_anomalies_has_no_recall(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "year.csv"
    path.write_text(file(*QUIET))
    arguments = ("backtest", str(path), "--labels", "fault")
    made = json.loads(run(*arguments, "--json")[1])
    assert (made["recall"], made["caught"], made["precision"], made["kinds"]) == (
        None,
        None,
        None,
        {},
    )
    assert "precision -, recall - of 0 anomalies;" in run(*arguments)[1]


def test_it_asks_no_project_and_draws_a_picture(
    tmp_path: Path, run: Run, env: dict[str, str]
) -> None:
    del env["SUPABASE_URL"], env["SUPABASE_SECRET_KEY"]
    path, picture = tmp_path / "year.csv", tmp_path / "year.svg"
    path.write_text(file(*QUIET, (200, "detour <b>")))
    status, out, _ = run("backtest", str(path), "--labels", "fault", "--plot", str(picture))
    assert status == 0
    assert "detour" in out
    root = ET.fromstring(picture.read_text())  # noqa: S314 - our own
    circles = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 61
    assert [circle.get("fill") for circle in circles].count("#c62828") == 1


def test_a_file_without_the_column_is_refused_with_the_remedy(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "year.csv"
    path.write_text(file(*QUIET))
    assert run("backtest", str(path), "--labels", "truth")[0] == 2
    assert run("backtest", str(tmp_path / "none.csv"), "--labels", "truth")[0] == 2
