"""`worker ingest` as the person at the terminal meets it."""

from __future__ import annotations

import csv
import datetime as dt
import logging
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.worker.conftest import Run, Table
from worker.command_line import main

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
        "supplier     activity   compared by               learned from  judged",
        "A            logistics  default, per t_km_actual     12 events  from the next on",
        "Bäcker & Co  logistics  default, per t_km_actual      3 events  after 9 more",
    ]
    for scanned in (False, True):  # what waits for the worker counts as what was worked off
        if scanned:
            assert run("scan")[0] == 0
        out = run("ingest", text=more)[1]
        assert "written=0 repeated=4 " in out
        assert out.endswith(
            "A            logistics  default, per t_km_actual     12 events  from the next on\n"
            "Bäcker & Co  logistics  default, per t_km_actual      3 events  after 9 more\n"
        )
    out = run("ingest", text=HEADER + "\n" + line(13))[1]
    *_, summary, hint = out.splitlines()
    assert summary.endswith("13 events  yes")
    assert "hotspot-worker usual" in hint
    assert run("scan")[0] == 0
    (ready,) = tables.rows(
        "select sample_size n from baselines where series = 'event' and entity = 'A'"
    )
    assert ready == {"n": 13}


def test_events_that_different_detectors_learn_from_are_counted_apart(
    run: Run, tables: Table
) -> None:
    """With litres in every third row neither of the two is ready after twelve events."""
    trips = [
        f"2026-01-05T{h:02d}:00:00Z,A,logistics,100,900,truck,diesel,{'' if h % 3 else 22}\n"
        for h in range(15)
    ]
    out = run("ingest", text=f"{HEADER},fuel_litres\n" + "".join(trips))[1]
    assert out.splitlines()[2:] == [
        "A         logistics  default, per t_km_actual     10 events  after 2 more",
        "A         logistics  primary, per t_km_actual      5 events  after 7 more",
    ]
    assert run("scan")[0] == 0
    found = tables.rows(
        "select method, sample_size n from baselines where series = 'event' order by method"
    )
    assert found == [{"method": "default", "n": 10}, {"method": "primary", "n": 5}]


def test_rows_that_will_be_held_are_not_counted_as_usable(run: Run, tables: Table) -> None:
    text = HEADER + "\n" + "".join(line(h, km="6000") for h in range(9)) + line(10)
    status, out, err = run("ingest", text=text + line(11, "B", km="0"))
    assert status == 0
    assert out.splitlines()[0] == "written=11 repeated=0 refused=0 quarantined=10"
    assert out.splitlines()[2:] == [
        "A         logistics  default, per t_km_actual       1 event  after 11 more",
        "B         logistics  nothing usable                0 events  after 12 more",
    ]
    assert "lines 2, 3, 4 and 6 more: quarantined: distance_km 6000 is not above 0" in err


def test_a_site_without_output_is_judged_by_its_days(run: Run, tables: Table) -> None:
    """Twelve whole days before the one that is judged; a day is whole when the next one is over."""
    header = "timestamp,supplier_id,event_type,energy_kwh,country\n"

    def said(days: range) -> str:
        shifts = [
            f"2026-01-{day:02d}T{hour}:00Z,Foundry,factory,{400 + day},DE\n"
            for day in days
            for hour in ("06", "18")
        ]
        out = run("ingest", text=header + "".join(shifts))[1]
        return next(line for line in out.splitlines() if line.startswith("Foundry"))

    head = "Foundry   factory   primary, per day, DEU  "
    assert said(range(1, 8)) == f"{head}      5 days  after 7 more days"
    assert run("scan")[0] == 0
    assert said(range(8, 15)) == f"{head}     12 days  from the next day on"
    assert said(range(15, 16)) == f"{head}     13 days  yes"
    assert run("scan")[0] == 0
    assert tables.rows("select sample_size n, basis from baselines") == [{"n": 13, "basis": "none"}]


def test_settings_of_a_supplier_are_known(run: Run, tables: Table) -> None:
    """What a person set decides the detector: here the class of truck."""
    assert run("ingest", text=f"{HEADER}\n{line(1)}")[1].endswith("1 event  after 11 more\n")
    assert run("scan")[0] == 0
    tables.execute(
        "update suppliers set vehicle_class = 'rigid_17', vehicle_class_origin = 'person'"
        " where supplier_id = 'A'"
    )
    out = run("ingest", text=f"{HEADER}\n{line(2)}{line(3)}")[1]
    assert "modelled, per t_km_actual      2 events" in out


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
    assert "converted: 'Distanz' from mi to km (distance_km)\n" in out
    assert "A         logistics  default, per km_actual       1 event  after 11 more\n" in out
    assert "columns that are not known are ignored: 'Notiz'\n" in err
    assert "line 3: refused: timestamp 'gestern' is not a time" in err


def test_names_of_a_file_are_printed_as_they_are_but_cannot_play_with_the_terminal(
    dry: Any, tmp_path: Path
) -> None:
    file = tmp_path / "trips.csv"
    name = "北\u3000物\u2028流\u202e部"
    rows = "".join(line(hour, name).replace("\n", ",-\n") for hour in range(2))
    file.write_text(f"{HEADER},note\x1b[2J\n{rows}", encoding="utf-8")
    status, out, err = dry(file)
    assert status == 0
    shown = "北\u3000物\ufffd流\ufffd部"
    assert f", {shown}, logistics" in out  # first rows as understood
    assert f"\n{shown}  logistics" in out  # the summary
    assert "note\ufffd[2J" in out
    for harmful in ("\x1b", "\u202e", "\u2028"):
        assert harmful not in out + err


def test_a_header_that_is_refused_cannot_play_with_the_terminal(dry: Any, tmp_path: Path) -> None:
    file = tmp_path / "trips.csv"
    file.write_text("Datum (\x1b[2J),Lieferant\n2026-01-05,A\n")
    status, out, err = dry(file)
    assert status == 2
    assert '--map "Datum (\ufffd[2J)=timestamp"' in err
    assert "\x1b" not in out + err


def test_the_summary_is_aligned_where_letters_are_as_wide_as_two(dry: Any, tmp_path: Path) -> None:
    file = tmp_path / "trips.csv"
    rows = line(1, "北物流") + line(2, "M\u00fcller") + line(3, "a\u0323\u0307 Mills")
    file.write_text(f"{HEADER}\n{rows}", encoding="utf-8")
    table = dry(file)[1].splitlines()[-4:]
    columns = dict.fromkeys("北物流", 2) | dict.fromkeys("\u0323\u0307", 0)
    starts = {
        sum(columns.get(letter, 1) for letter in row.partition(cell)[0])
        for row, cell in zip(table, ("activity", *["logistics"] * 3), strict=True)
    }
    assert len(starts) == 1


def test_a_column_that_is_nearly_known_is_suggested(dry: Any, tmp_path: Path) -> None:
    file = tmp_path / "trips.csv"
    file.write_text(f"{HEADER},stop_event\n{line(1).strip()},2\n")
    assert "is 'stop_event' stop_events? Then say --map \"stop_event=stop_events\"" in dry(file)[2]


def test_times_without_a_zone_are_told(run: Run, tables: Table) -> None:
    text = f"{HEADER}\n{line(1).replace('Z', '')}{line(2)}"
    assert run("ingest", text=text)[2] == (
        "1 times without a zone were taken as UTC, see --timezone\n"
    )


def test_equal_refusals_are_one_line_with_their_number_and_a_file_has_all(
    dry: Any, tmp_path: Path
) -> None:
    file, listed = tmp_path / "trips.csv", tmp_path / "refused.csv"
    file.write_text(HEADER + "\n" + line(1, km="far") * 500 + line(2))
    status, out, err = dry("--refused", listed, file)
    assert status == 1
    assert "rows=1 refused=500" in out
    assert err.splitlines() == [
        "lines 2, 3, 4 and 497 more: refused: distance_km 'far' is not a number",
    ]
    with listed.open(newline="") as opened:
        rows = list(csv.reader(opened))
    assert rows[0] == ["line", "what", "reason"]
    assert rows[-1] == ["501", "refused", "distance_km 'far' is not a number"]
    assert len(rows) == 501


def test_refusals_that_differ_in_a_value_only_are_told_by_the_first_ones(
    dry: Any, tmp_path: Path
) -> None:
    file = tmp_path / "trips.csv"
    bad = [line(1, km=f"far{number % 5}") for number in range(10)]
    file.write_text(f"{HEADER}\n{''.join(bad)}{line(2, supplier='')}")
    assert dry(file)[2].splitlines() == [
        "lines 2 and 7: refused: distance_km 'far0' is not a number",
        "lines 3 and 8: refused: distance_km 'far1' is not a number",
        "lines 4 and 9: refused: distance_km 'far2' is not a number",
        "lines 5, 6, 10 and 1 more: refused, each much like line 2",
        "line 12: refused: supplier_id is empty",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--map", "Distanz"], 'is not "NAME=COLUMN"'),
        (["--map", "Distanz=length"], "'length' is none of the columns"),
        (["--units", "distance=furlong"], "distance_km has one of km, m, mi, nmi, not 'furlong'"),
        (["--units", "supplier_id=mi"], "supplier_id has no units, not 'mi'"),
        (["--units", "distance"], "'distance' is not COLUMN=UNIT"),
        (["--units", "fuel=gal"], "'gal' may be gal_us or gal_uk: say which"),
        (["--units", "load=ton"], "'ton' may be t or ton_us or ton_uk: say which"),
        (["--values", "LKW"], 'is not "COLUMN:WORD=MEANING,..."'),
        (["--values", "x=electric"], "may be a word of vehicle_type or fuel_type: say which"),
        (["--values", "x=lorry"], "'lorry' is a word of no column"),
        (["--set", "event_type"], "'event_type' is not COLUMN=VALUE"),
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
    assert dry("--sheet", "Notes", file)[0] == 2
    status, out, err = dry("--sheet", "Trips", file)
    assert "rows=3 refused=1" in out
    assert "of the workbook" not in err
    status, _, err = dry("--sheet", "Fahrten", file)
    assert status == 2
    assert "there is no sheet 'Fahrten': the workbook has Notes, Trips" in err


def test_the_sheet_with_a_header_that_is_understood_is_read(dry: Any, tmp_path: Path) -> None:
    notes: list[list[Any]] = [
        ["How to read this"],
        ["Distance is in km"],
        ["supplier_id", "what we call a carrier"],
    ]
    file = workbook(
        tmp_path / "trips.xlsx", ("Read me", notes), ("Trips", TRIPS), ("February", TRIPS)
    )
    _, out, err = dry(file)
    assert "sheet 'Trips'" in out
    assert "rows=3 refused=1" in out
    assert (
        "of the workbook the sheet 'Trips' is read, and not 'Read me', 'February': see --sheet\n"
    ) in err


def test_cells_of_a_workbook_with_errors_are_named(dry: Any, tmp_path: Path) -> None:
    """Error values, and formulas that no program has calculated; an offset table as well."""
    header = ["timestamp", "supplier_id", "event_type", "distance_km", "load_kg", "note"]
    good = ["2026-01-05 09:00", "A", "logistics", 100, 900, "#REF!"]
    rows: list[list[Any]] = [[], [None, *header], [None, *good]]
    for column, error in ((1, "#N/A"), (3, "#DIV/0!"), (4, "=1/0")):
        bad: list[Any] = [None, *good]
        bad[column + 1] = error
        rows.append(bad)
    file = workbook(tmp_path / "trips.xlsx", ("Trips", rows))
    status, out, err = dry(file)
    assert status == 1
    assert "rows=1 refused=3" in out
    assert "line 4: refused: supplier_id (cell C4) is the error #N/A\n" in err
    assert "line 5: refused: distance_km (cell E5) is the error #DIV/0!\n" in err
    assert (
        "line 6: refused: load_kg (cell F6) is a formula without a value: open the workbook in "
        "Excel and save it\n"
    ) in err


def test_dates_and_times_in_two_columns_of_a_workbook_are_joined(dry: Any, tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        ["Date", "Time", "Supplier", "Activity", "distance_km"],
        [dt.date(2026, 1, 5), dt.time(9, 14, 2), "A", "logistics", 10],
        [dt.datetime(2026, 1, 5), "9:14 PM", "A", "logistics", 11],
        [dt.date(2026, 1, 5), None, "A", "logistics", 12],
        [dt.date(2026, 1, 5), "noon", "A", "logistics", 13],
    ]
    _, out, err = dry(workbook(tmp_path / "trips.xlsx", ("Trips", rows)))
    assert [text.split(",")[0] for text in out.splitlines() if text.startswith("  line")] == [
        "  line 2: 2026-01-05T09:14:02+00:00",
        "  line 3: 2026-01-05T21:14:00+00:00",
        "  line 4: 2026-01-05T00:00:00+00:00",
    ]
    assert "line 5: refused: timestamp '2026-01-05 noon' has 'noon' beside it, which is not" in err


@pytest.mark.parametrize("name", ["old.xls", "renamed.xlsx"])
def test_an_old_workbook_is_refused_with_the_remedy(dry: Any, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 5000)
    for arguments in ([file], ["--sheet", "Trips", file]):
        status, _, err = dry(*arguments)
        assert status == 2
        assert "an old Excel workbook (.xls), or one with a password: save it as .xlsx" in err


def test_another_archive_is_no_workbook(dry: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "trips.zip", "w") as archive:
        archive.writestr("trips.csv", HEADER)
    status, _, err = dry(tmp_path / "trips.zip")
    assert (status, "no .xlsx" in err) == (2, True)


WORDS = "timestamp,supplier_id,event_type,vehicle_type,fuel_type,distance_km\n"


def test_words_of_the_file_are_told_once_and_mapped(dry: Any, tmp_path: Path) -> None:
    file = tmp_path / "trips.csv"
    rows = [("Logistik", "LKW", "diesel"), ("Logistik", "Truk", "Strom"), ("Lager", "", "")]
    file.write_text(
        WORDS
        + "".join(
            f"2026-01-05T{n:02d}:00Z,A,{','.join(cells)},10\n" for n, cells in enumerate(rows * 6)
        )
    )
    status, out, err = dry(file)
    assert (status, "rows=0 refused=18" in out) == (1, True)
    assert 'is it logistics? Then say --values "event_type:Logistik=logistics"\n' in err
    assert 'say what it means: --values "event_type:Lager=..."\n' in err
    assert err.count("'Logistik' is unknown") == 1
    status, out, err = dry(
        *("--values", "event_type:Logistik=logistics,LAGER=warehouse", "--values", "lkw=truck"),
        *("--values", "vehicle_type:Truk=van,fuel_type:Strom=electric", file),
    )
    assert (status, "rows=18 refused=0" in out) == (0, True)
    assert "line 2: 2026-01-05T00:00:00+00:00, A, logistics, vehicle_type=truck" in out
    assert "A, logistics, vehicle_type=van, fuel_type=electric, distance_km=10.0" in out
    assert "A, warehouse, distance_km" in out


def test_what_all_rows_have_is_set(dry: Any, tmp_path: Path) -> None:
    file = tmp_path / "trips.csv"
    file.write_text("timestamp,supplier,distance_km\n2026-01-05,A,10\n")
    status, _, err = dry(file)
    assert status == 2
    assert "the header lacks event_type" in err
    assert "what is the same in all rows, --set event_type=logistics" in err
    status, out, _ = dry("--set", "event_type=Logistics", "--set", "load=900", file)
    assert status == 0
    assert "A, logistics, distance_km=10.0, load_kg=900.0" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "event_type=sailing"], "--set event_type: event_type 'sailing' is unknown"),
        (["--set", "vehicle_type=lorry"], "--set vehicle_type: vehicle_type 'lorry' is unknown"),
        (["--set", "timestamp=2026-01-05"], "--set timestamp: the time differs from row to row"),
        (["--set", "distance=3"], "--set names distance_km, which the file has: 'distance_km'"),
        (["--values", "vehicle_type:x=lorry"], "--values: vehicle_type 'lorry' is unknown"),
        (["--values", "country:Schweiz=CH"], "--values names country, which the file does not"),
        (["--units", "energy=mwh"], "--units names energy_kwh, which the file does not have"),
    ],
)
def test_an_option_that_does_not_fit_the_file_is_refused(
    dry: Any, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    file = tmp_path / "trips.csv"
    cells = "2026-01-05,A,logistics,truck,diesel,10"
    if arguments[1].startswith(("event_type", "vehicle_type=")):
        file.write_text("timestamp,supplier_id,distance_km\n2026-01-05,A,10\n")
    else:
        file.write_text(f"{WORDS}{cells}\n")
    status, _, err = dry(*arguments, file)
    assert status == 2
    assert expected in err


def test_gaps_that_were_filled_with_zeros_are_taken_as_missing_and_told(
    run: Run, tables: Table
) -> None:
    """As pandas' fillna(0) leaves them: each kind of row has columns that only the other uses."""
    header = (
        "timestamp,supplier_id,event_type,vehicle_type,fuel_type,country,distance_km,load_kg,"
        "fuel_litres,co2e_kg,energy_kwh,traffic_score\n"
    )
    trip = "2026-01-05T{:02d}:00Z,Haulier,logistics,truck,diesel,0,{},900,0,0.0,0,0\n"
    shift = "2026-01-05T{:02d}:00Z,Foundry,factory,0,0,DE,0.0,0,0,0.0,{},0\n"
    rows = [trip.format(h, 100 + h) for h in range(13)]
    rows += [shift.format(h, 4000 + h) for h in range(13)]
    status, out, err = run("ingest", text=header + "".join(rows))
    assert status == 0
    assert out.startswith("written=26 repeated=0 refused=0 quarantined=0\n")
    assert err.splitlines() == [
        f"0 in every {kind} row, so taken as missing there: {names}"
        for kind, names in (
            ("factory", "co2e_kg, distance_km, fuel_litres, load_kg, traffic_score"),
            ("logistics", "co2e_kg, energy_kwh, fuel_litres, traffic_score"),
        )
    ]
    assert run("scan")[0] == 0
    assert tables.rows("select * from quarantine") == []
    methods = tables.rows("select distinct event_type, method from predictions order by 1")
    assert [tuple(row.values()) for row in methods] == [
        ("factory", "primary"),
        ("logistics", "default"),
    ]


def test_degrees_fahrenheit_that_were_not_told_are_asked_for(dry: Any, tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    file.write_text(
        "timestamp,supplier_id,event_type,energy_kwh,temperature\n"
        "2026-07-05,A,warehouse,300,72\n2026-07-06,A,warehouse,300,160\n"
    )
    err = dry(file)[2]
    assert "temperature 72 is not from -60 to 60; if these are degrees F, say --units temp" in err
    assert "temperature 160 is not from -60 to 60\n" in err


def test_a_broken_workbook_is_refused(dry: Any, tmp_path: Path) -> None:
    file = tmp_path / "trips.xlsx"
    file.write_bytes(b"PK\x03\x04" + b"nonsense" * 50)
    status, _, err = dry(file)
    assert status == 2
    assert "the workbook cannot be read" in err
