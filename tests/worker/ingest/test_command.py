"""`worker ingest` as the person at the terminal meets it."""

from __future__ import annotations

import csv
import datetime as dt
import logging
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.worker.conftest import Run, Table
from worker.__main__ import main

CASES = Path(__file__).parent / "cases"
HEADER = "timestamp,supplier_id,event_type,distance_km,load_kg,vehicle_type,fuel_type"
GERMAN = (
    "sep=;\r\n"
    "Timestamp;Supplier ID;Event type;Distance km;Load (kg);Vehicle type;Fuel type\r\n"
    "05.07.2026 09:14;Müller;logistics;1.234,5;12.000;truck;diesel\r\n"
    "05.01.2026 09:14;Müller;logistics;100,25;900;truck;diesel\r\n"
)


def line(hour: int, supplier: str = "A", km: str = "100") -> str:
    return f"2026-01-05T{hour:02d}:00:00Z,{supplier},logistics,{km},900,truck,diesel\n"


@pytest.fixture
def dry(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A dry run, without any setting; gives status, stdout, stderr."""
    monkeypatch.delenv("SUPABASE_URL", raising=False)
    monkeypatch.delenv("SUPABASE_SECRET_KEY", raising=False)
    logging.getLogger().handlers.clear()

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        status = main(["ingest", "--dry-run", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        (
            "compact-time",
            4,
            "select timestamp::text as found from events_normalized order by timestamp",
        ),
        ("qnl2", 1, "select supplier_id as found from events_normalized"),
        ("spacequote", 1, "select supplier_id as found from events_normalized"),
        ("utf16", 1, "select supplier_id as found from events_normalized"),
        ("sepcomma", 1, "select supplier_id as found from events_normalized"),
        ("trailing", 3, "select distinct supplier_id as found from events_normalized"),
        ("nfd", 15, "select distinct supplier_id as found from events_normalized"),
    ],
)
def test_files_of_other_peoples_programs_are_read(
    run: Run, tables: Table, name: str, written: int, expected: Any
) -> None:
    status, out, _ = run("ingest", str(CASES / f"{name}.csv"))
    assert status == 0
    assert out.startswith(f"written={written} repeated=0 refused=0 quarantined=0\n")
    assert [row["found"] for row in tables.rows(expected)] == {
        "compact-time": [
            "2023-08-08 12:00:00+00",
            "2026-01-03 11:15:00+00",
            "2026-01-03 22:35:16+00",
            "2026-01-03 22:38:00+00",
        ],
        "qnl2": ["S-QNL2"],
        "spacequote": ["S-SPQ"],
        "utf16": ["S-UTF16"],
        "sepcomma": ["S-SEP"],
        "trailing": ["S-TRAIL"],
        "nfd": ["M\u00fcller"],
    }[name]


def test_a_german_excel_file_needs_its_timezone_and_nothing_else(
    run: Run, tables: Table, tmp_path: Path
) -> None:
    file = tmp_path / "Fahrten.csv"
    file.write_bytes(GERMAN.encode("utf-8-sig"))
    status, out, err = run("ingest", "--timezone", "Europe/Berlin", str(file))
    assert (status, err) == (0, "")
    assert out.startswith("written=2 ")
    found = tables.rows(
        """select supplier_id, timestamp::text, distance_km, load_kg from events_normalized
        order by id"""
    )
    assert found == [
        {
            "supplier_id": "Müller",
            "timestamp": "2026-01-05 08:14:00+00",
            "distance_km": 100.25,
            "load_kg": 900,
        },
        {
            "supplier_id": "Müller",
            "timestamp": "2026-07-05 07:14:00+00",
            "distance_km": 1234.5,
            "load_kg": 12_000,
        },
    ]


def test_a_file_is_stored_in_the_order_of_event_time(run: Run, tables: Table) -> None:
    hours = (9, 3, 17, 1, 12)
    assert run("ingest", text="\n".join([HEADER, *map(line, hours)]))[0] == 0
    found = tables.rows(
        "select extract(hour from timestamp)::int h from events_normalized order by id"
    )
    assert [row["h"] for row in found] == sorted(hours)


def test_the_summary_says_when_each_activity_is_judged(run: Run, tables: Table) -> None:
    assert run("ingest", text=HEADER + "\n" + "".join(map(line, range(11))))[0] == 0
    more = HEADER + "\n" + line(12) + "".join(line(h, "Bäcker & Co") for h in range(3))
    status, out, _ = run("ingest", text=more)
    assert status == 0
    assert out.splitlines() == [
        "written=4 repeated=0 refused=0 quarantined=0",
        "supplier     activity      events  judged",
        "A            logistics         12  yes",
        "Bäcker & Co  logistics          3  after 9 more",
    ]


def test_a_dry_run_shows_what_would_happen_and_needs_no_project(dry: Any, tmp_path: Path) -> None:
    file = tmp_path / "trips.csv"
    file.write_text(
        "Zeit;Lieferant;event_type;Distanz;Notiz\n"
        "05.01.2026 09:14;A;logistics;10,5;x\n"
        "gestern;A;logistics;10,5;x\n"
    )
    status, out, err = dry(
        *("--map", "Zeit=timestamp", "--map", "Lieferant=supplier_id"),
        *("--map", "Distanz=distance", "--units", "distance=mi", "--timezone", "Europe/Berlin"),
        file,
    )
    assert status == 1
    assert "cells between semicolons, decimal comma" in out
    assert "  Distanz                  -> distance_km, from mi\n" in out
    assert "  Notiz                       ignored\n" in out
    assert "  line 2: 2026-01-05T08:14:00+00:00, A, logistics, distance_km=16.898112\n" in out
    assert "dry run, nothing was written: rows=1 refused=1 quarantined=0\n" in out
    assert "A         logistics          1  after 11 more\n" in out
    assert "columns that are not known are ignored: 'Notiz'\n" in err
    assert "line 3: refused: timestamp 'gestern' is not a time" in err


def test_a_column_that_is_nearly_known_is_suggested(dry: Any, tmp_path: Path) -> None:
    file = tmp_path / "trips.csv"
    file.write_text(f"{HEADER},stop_event\n{line(1).strip()},2\n")
    assert "is 'stop_event' stop_events? Then say --map \"stop_event=stop_events\"" in dry(file)[2]


def test_times_without_a_zone_are_told(run: Run, tables: Table) -> None:
    text = f"{HEADER}\n{line(1).replace('Z', '')}{line(2)}"
    assert run("ingest", text=text)[2] == (
        "1 times without a zone were taken as UTC, see --timezone\n"
    )


def test_of_many_bad_rows_the_first_are_shown_and_a_file_has_all(dry: Any, tmp_path: Path) -> None:
    file, listed = tmp_path / "trips.csv", tmp_path / "refused.csv"
    file.write_text(HEADER + "\n" + line(1, km="far") * 500 + line(2))
    status, out, err = dry("--refused", listed, file)
    assert status == 1
    assert "rows=1 refused=500" in out
    assert len(err.splitlines()) == 201
    assert "... and 300 more such rows; --refused FILE.csv lists all" in err
    with listed.open(newline="") as opened:
        rows = list(csv.reader(opened))
    assert rows[0] == ["line", "what", "reason"]
    assert rows[-1] == ["501", "refused", "distance_km 'far' is not a number"]
    assert len(rows) == 501


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--map", "Distanz"], 'is not "NAME=COLUMN"'),
        (["--map", "Distanz=length"], "'length' is none of the columns"),
        (["--units", "distance=furlong"], "distance_km has one of km, m, mi, nmi, not 'furlong'"),
        (["--units", "supplier_id=mi"], "supplier_id has no units, not 'mi'"),
        (["--units", "distance"], "'distance' is not COLUMN=UNIT"),
        (["--timezone", "Berlin"], "'Berlin' is no time zone such as Europe/Berlin"),
        (["--timezone", "../etc/passwd"], "is no time zone"),
        (["--encoding", "klingon"], "'klingon' is no encoding such as"),
        (["--encoding", "base64"], "'base64' is no encoding such as"),
        (["--day-first", "--month-first"], "not allowed with argument"),
        (["--time", "unix"], "invalid choice: 'unix'"),
    ],
)
def test_a_wrong_option_is_explained(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["ingest", *arguments, "x.csv"])
    assert exit.value.code == 2
    assert expected in capsys.readouterr().err


def workbook(path: Path, *sheets: tuple[str, list[list[Any]]]) -> Path:
    book = openpyxl.Workbook()
    for number, (title, rows) in enumerate(sheets):
        sheet = book.active if number == 0 else book.create_sheet()
        assert sheet is not None
        sheet.title = title
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


TRIPS: list[list[Any]] = [
    ["Report of January"],
    [],
    ["Timestamp", "Supplier ID", "Event type", "Distance (km)", "vehicle type", "route id"],
    [dt.datetime(2026, 7, 5, 9, 14, 2), "Müller", "logistics", 1.234, "truck", 7],
    [dt.date(2026, 1, 5), "Müller", "logistics", 12, "truck", None],
    [None, None, None, None, None, None],
    ["05.01.2026 09:14", "Müller", "logistics", 12.5, "truck", "R 7"],
    [46027.385, "Müller", "logistics", 12.5, "truck", None],
]


def test_a_workbook_is_read_with_its_types(run: Run, tables: Table, tmp_path: Path) -> None:
    file = workbook(tmp_path / "trips.xlsx", ("Empty", []), ("Trips", TRIPS))
    status, out, err = run("ingest", "--timezone", "Europe/Berlin", str(file))
    assert status == 1
    assert out.startswith("written=3 repeated=0 refused=1 ")
    assert "the header is line 3; skipped above it: 'Report of January'\n" in err
    assert "line 8: refused: timestamp '46027.385' is not a time" in err
    assert "format the column as a date in Excel" in err
    found = tables.rows(
        """select timestamp::text t, distance_km km, route_id r from events_normalized
        order by id"""
    )
    assert found == [
        {"t": "2026-01-04 23:00:00+00", "km": 12, "r": None},
        {"t": "2026-01-05 08:14:00+00", "km": 12.5, "r": "R 7"},
        {"t": "2026-07-05 07:14:02+00", "km": 1.234, "r": "7"},
    ]


def test_another_sheet_is_read_when_named(dry: Any, tmp_path: Path) -> None:
    file = workbook(tmp_path / "trips.xlsx", ("Notes", [["x"]]), ("Trips", TRIPS))
    assert dry(file)[0] == 2
    status, out, _ = dry("--sheet", "Trips", file)
    assert "rows=3 refused=1" in out
    status, _, err = dry("--sheet", "Fahrten", file)
    assert status == 2
    assert "there is no sheet 'Fahrten': the workbook has Notes, Trips" in err


def test_a_broken_workbook_is_refused(dry: Any, tmp_path: Path) -> None:
    file = tmp_path / "trips.xlsx"
    file.write_bytes(b"PK\x03\x04" + b"nonsense" * 50)
    status, _, err = dry(file)
    assert status == 2
    assert "the workbook cannot be read" in err
