import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.csv_rows import COLUMNS, BadRow, CsvEvents, GoodRow, HeaderError, utc

HEADER = "supplier_id,timestamp,distance_km,load_kg,vehicle_type,fuel_type,speed,event_type"
LINE = "GreenTech,2026-01-05 09:00:00,42.5,280,van,diesel,74,logistics"


def rows(*lines: str) -> list[GoodRow | BadRow]:
    return list(CsvEvents(f"{line}\n" for line in lines))


def reason(line: str, header: str = HEADER) -> str:
    (row,) = rows(header, line)
    assert isinstance(row, BadRow), row
    assert row.line == 2
    return row.reason


def test_a_good_line_becomes_all_columns_of_the_table() -> None:
    (row,) = rows(HEADER, LINE)
    assert isinstance(row, GoodRow)
    assert row.line == 2
    assert set(row.values) == set(COLUMNS)
    assert {name: value for name, value in row.values.items() if value is not None} == {
        "supplier_id": "GreenTech",
        "timestamp": "2026-01-05T09:00:00+00:00",
        "distance_km": 42.5,
        "load_kg": 280.0,
        "vehicle_type": "van",
        "fuel_type": "diesel",
        "speed": 74.0,
        "event_type": "logistics",
    }


@pytest.mark.parametrize(
    "line",
    [
        LINE + "\r",
        LINE.replace("GreenTech", '"GreenTech"'),
        LINE.replace(",", " , "),
        LINE.replace("van", "VAN").replace("logistics", "Logistics"),
        LINE.replace("42.5", "+4.25e1").replace("280", "280."),
        LINE.replace("09:00:00", "09:00:00Z"),
        LINE.replace("09:00:00", "11:00:00+02:00"),
        LINE.replace("2026-01-05 09:00:00", "2026-01-05T09:00:00.000Z"),
    ],
)
def test_spellings_of_the_same_row_are_the_same_row(line: str) -> None:
    assert rows(HEADER, line) == rows(HEADER, LINE)


def test_quotes_keep_commas_and_quotes() -> None:
    (row,) = rows(HEADER, LINE.replace("GreenTech", '"Green, ""Tech"" Ltd"'))
    assert isinstance(row, GoodRow)
    assert row.values["supplier_id"] == 'Green, "Tech" Ltd'


def test_byte_order_mark_empty_lines_and_the_case_of_the_header_do_not_matter() -> None:
    found = rows("", "\ufeff" + HEADER.upper(), "", LINE, "   ", LINE)
    assert [row.line for row in found] == [4, 6]
    assert all(isinstance(row, GoodRow) for row in found)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (LINE + ",9", "9 fields where the header has 8"),
        (LINE.rpartition(",")[0], "7 fields where the header has 8"),
        (LINE.replace("GreenTech", ""), "supplier_id is empty"),
        (LINE.replace("2026-01-05 09:00:00", ""), "timestamp is empty"),
        (LINE.replace("logistics", " "), "event_type is empty"),
        (LINE.replace("logistics", "sailing"), "event_type 'sailing' is unknown"),
        (LINE.replace("van", "lorry"), "vehicle_type 'lorry' is unknown"),
        (LINE.replace("diesel", "coal"), "fuel_type 'coal' is unknown"),
        (LINE.replace("42.5", "-42.5"), "distance_km '-42.5' is negative"),
        (LINE.replace("42.5", "nan"), "distance_km 'nan' is not a number"),
        (LINE.replace("42.5", "inf"), "distance_km 'inf' is not a number"),
        (LINE.replace("42.5", "1e999"), "distance_km '1e999' is not a finite number"),
        (LINE.replace("42.5", "1_000"), "distance_km '1_000' is not a number"),
        (LINE.replace("42.5", '"1,000"'), "distance_km '1,000' is not a number"),
        (LINE.replace("42.5", "٤٢"), "distance_km '٤٢' is not a number"),
        (LINE.replace("42.5", "n/a"), "distance_km 'n/a' is not a number"),
        (LINE.replace("2026-01-05 09:00:00", "05.01.2026"), "timestamp '05.01.2026' is not a time"),
        (LINE.replace("2026-01-05", "2026-02-30"), "timestamp '2026-02-30 09:00:00' is not"),
        (LINE.replace("GreenTech", "A" * 201), "supplier_id is longer than 200 characters"),
        (LINE.replace("GreenTech", "A\x00B"), "has control characters"),
        (LINE.replace("GreenTech", "A\udcffB"), "the line is not valid UTF-8"),
        (LINE.replace("GreenTech", '"GreenTech'), "a quoted field does not end on this line"),
        (LINE.replace("GreenTech", '"Green"Tech'), "the quotes are wrong"),
        (LINE.replace("GreenTech", "A" * 100_000), "longer than 100000 characters"),
    ],
)
def test_a_bad_line_says_why(line: str, expected: str) -> None:
    assert expected in reason(line)


def test_a_count_must_be_whole() -> None:
    header = HEADER + ",stop_events"
    assert reason(LINE + ",2.5", header) == "stop_events '2.5' is not a whole number"
    (row,) = rows(header, LINE + ",2.0")
    assert isinstance(row, GoodRow)
    assert row.values["stop_events"] == 2


def test_frost_is_good_and_absolute_zero_is_not() -> None:
    header = "supplier_id,timestamp,event_type,temperature,energy_kwh"
    line = "A,2026-01-05,warehouse,{},300"
    (row,) = rows(header, line.format("-18.6"))
    assert isinstance(row, GoodRow)
    assert "below absolute zero" in reason(line.format("-274"), header)


def test_a_stray_quote_costs_its_own_line_only() -> None:
    found = rows(HEADER, LINE, LINE.replace("GreenTech", '"GreenTech'), LINE, LINE)
    assert [isinstance(row, GoodRow) for row in found] == [True, False, True, True]


def test_unknown_columns_are_ignored_and_named() -> None:
    events = CsvEvents([f"{HEADER},product_id,quantity\n", f"{LINE},P7,30\n"])
    assert events.ignored == ["product_id", "quantity"]
    (row,) = events
    assert isinstance(row, GoodRow)
    assert row.values["distance_km"] == 42.5


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "the file is empty"),
        (["", "  "], "the file is empty"),
        (["supplier_id,distance_km"], "the header lacks timestamp, event_type"),
        ([HEADER.replace(",", ";")], "columns are separated by commas"),
        ([HEADER + ",speed"], "the header has speed more than once"),
        ([HEADER + ',"'], "the header cannot be read"),
        ([LINE, LINE], "the header lacks timestamp, supplier_id, event_type"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(lines: list[str], expected: str) -> None:
    with pytest.raises(HeaderError, match=expected):
        CsvEvents(lines)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_every_zone_becomes_utc(moment: datetime, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    aware = moment.replace(tzinfo=zone)
    assert datetime.fromisoformat(utc(aware.isoformat())) == aware
    assert utc(moment.isoformat(" ")) == moment.replace(tzinfo=UTC).isoformat()


def test_a_time_without_zone_is_utc_wherever_the_program_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert utc("2026-01-05 09:00:00") == "2026-01-05T09:00:00+00:00"
    time.tzset()


def test_the_ends_of_time_are_bad_and_not_a_crash() -> None:
    with pytest.raises(ValueError, match="is not a time"):
        utc("0001-01-01T00:00:00+14:00")


@given(st.lists(st.text(st.characters(exclude_characters="\r\n"), max_size=60), max_size=20))
def test_no_text_whatever_stops_the_reader(garbage: list[str]) -> None:
    found = rows(HEADER, *garbage, LINE)
    assert len(found) == 1 + sum(bool(line.strip()) for line in garbage)
    assert isinstance(found[-1], GoodRow)
