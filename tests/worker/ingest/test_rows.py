import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.ingest.reading import events, rows, times, values
from worker.ingest.files import BadRow, FileError
from worker.ingest.rows import GoodRow, Reading
from worker.ingest.suggestions import suggestion

HEADER = "supplier_id,timestamp,distance_km,load_kg,vehicle_type,fuel_type,speed,event_type"
LINE = "GreenTech,2026-01-05 09:00:00,42.5,280,van,diesel,74,logistics"


def text(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def reason(line: str, header: str = HEADER) -> str:
    (row,) = rows(text(header, line))
    assert isinstance(row, BadRow), row
    assert row.line == 2
    return row.reason


def test_a_good_line_becomes_the_columns_that_it_says_something_about() -> None:
    (row,) = rows(text(HEADER, LINE))
    assert row == GoodRow(
        2,
        {
            "supplier_id": "GreenTech",
            "timestamp": "2026-01-05T09:00:00+00:00",
            "distance_km": 42.5,
            "load_kg": 280.0,
            "vehicle_type": "van",
            "fuel_type": "diesel",
            "speed": 74.0,
            "event_type": "logistics",
        },
    )


@pytest.mark.parametrize(
    "line",
    [
        LINE + "\r",
        LINE.replace("GreenTech", '"GreenTech"'),
        LINE.replace("GreenTech", '  "GreenTech"  '),
        LINE.replace("GreenTech", '"  GreenTech "'),
        LINE.replace("van", '\t"van"\t'),
        LINE.replace("GreenTech", "\u200bGreenTech\ufeff"),
        LINE.replace(",", " , "),
        LINE.replace("van", "VAN").replace("logistics", "Logistics"),
        LINE.replace("42.5", "+4.25e1").replace("280", "280."),
        LINE.replace("09:00:00", "09:00:00Z"),
        LINE.replace("09:00:00", "11:00:00+02:00"),
        LINE.replace("2026-01-05 09:00:00", "2026-01-05T09:00:00.000Z"),
        LINE + ",,,",
    ],
)
def test_spellings_of_the_same_row_are_the_same_row(line: str) -> None:
    assert values(text(HEADER, line)) == values(text(HEADER, LINE))


def test_composed_and_decomposed_names_are_one_supplier() -> None:
    both = (LINE.replace("GreenTech", name) for name in ("Mu\u0308ller", "M\u00fcller"))
    assert {row["supplier_id"] for row in values(text(HEADER, *both))} == {"M\u00fcller"}


def test_quotes_keep_commas_and_quotes() -> None:
    (row,) = values(text(HEADER, LINE.replace("GreenTech", '"Green, ""Tech"" Ltd"')))
    assert row["supplier_id"] == 'Green, "Tech" Ltd'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (LINE + ",9", "9 fields where the header has 8"),
        (LINE.rpartition(",")[0], "7 fields where the header has 8"),
        (LINE.replace("GreenTech", ""), "supplier_id is empty"),
        (LINE.replace("GreenTech", "\ufeff\u200b"), "supplier_id is empty"),
        (LINE.replace("2026-01-05 09:00:00", ""), "timestamp is empty"),
        (LINE.replace("logistics", " "), "event_type is empty"),
        (LINE.replace("logistics", "sailing"), "event_type 'sailing' is unknown"),
        (LINE.replace("van", "lorry"), "vehicle_type 'lorry' is unknown"),
        (LINE.replace("diesel", "coal"), "fuel_type 'coal' is unknown"),
        (LINE.replace("42.5", "-42.5"), "distance_km '-42.5' is negative"),
        (LINE.replace("42.5", "inf"), "distance_km 'inf' is not a number"),
        (LINE.replace("42.5", "1e999"), "distance_km '1e999' is not a finite number"),
        (LINE.replace("42.5", "1_000"), "distance_km '1_000' is not a number"),
        (LINE.replace("42.5", '"1,000"'), "may be 1.000 or 1000: say --decimal point"),
        (LINE.replace("42.5", "٤٢"), "distance_km '٤٢' is not a number"),
        (LINE.replace("42.5", "unknown"), "distance_km 'unknown' is not a number"),
        (LINE.replace("2026-01-05 09:00:00", "5 Jan 2026"), "timestamp '5 Jan 2026' is not a time"),
        (LINE.replace("GreenTech", "A" * 201), "supplier_id is longer than 200 characters"),
        (LINE.replace("GreenTech", "A\x00B"), "has control characters"),
        (LINE.replace("GreenTech", '"A\nB"'), "has control characters"),
        (LINE.replace("GreenTech", '"GreenTech'), "a quoted cell does not end"),
        (LINE.replace("GreenTech", '"Green"Tech'), "the quotes are wrong"),
        (LINE.replace("GreenTech", "A" * 100_000), "longer than 100000 characters"),
    ],
)
def test_a_bad_line_says_why(line: str, expected: str) -> None:
    assert expected in reason(line)


def test_a_reason_is_short_however_long_the_cell_is() -> None:
    assert len(reason(LINE.replace("van", "x" * 50_000))) <= 400


@pytest.mark.parametrize(
    "cell", ["n/a", "N/A", "NaN", "nan", "null", "NULL", "-", "\u2013", "<NA>", "NaT", " - "]
)
def test_what_programs_write_for_no_value_is_empty(cell: str) -> None:
    line = LINE.replace("42.5", cell).replace("van", cell).replace("diesel", cell)
    (row,) = values(text(HEADER, line))
    assert row.keys().isdisjoint({"distance_km", "vehicle_type", "fuel_type"})
    assert reason(LINE.replace("GreenTech", cell)) == "supplier_id is empty"
    assert reason(LINE.replace("2026-01-05 09:00:00", cell)) == "timestamp is empty"


def test_na_is_empty_for_numbers_and_namibia_for_countries() -> None:
    (row,) = values(text(HEADER + ",country", LINE.replace("42.5", "NA") + ",NA"))
    assert row["country"] == "NAM"
    assert "distance_km" not in row


@pytest.mark.parametrize(
    "error", ["#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NV", "#WERT!", "Err:502"]
)
def test_an_error_of_a_spreadsheet_is_an_error_that_names_its_cell(error: str) -> None:
    assert reason(LINE.replace("42.5", error)) == f"distance_km (cell C2) is the error {error}"
    assert reason(LINE.replace("GreenTech", error)) == f"supplier_id (cell A2) is the error {error}"
    stamp = "2026-01-05 09:00:00"
    assert reason(LINE.replace(stamp, error)) == f"timestamp (cell B2) is the error {error}"
    (row,) = values(text(HEADER + ",note", f"{LINE},{error}"))  # nobody reads that column
    assert row["distance_km"] == 42.5


def test_a_zero_in_a_column_of_words_is_a_filled_gap() -> None:
    header = HEADER + ",country,output_unit,co2e_method,furnace_unit,vehicle_class,route_id"
    line = LINE.replace("van", "0").replace("diesel", "0.0") + ",0,0,0,0.0,0,0"
    (row,) = values(text(header, line))
    assert row["route_id"] == "0"  # a name may be
    assert set(row) == {*HEADER.split(","), "route_id"} - {"vehicle_type", "fuel_type"}


def test_a_count_must_be_whole() -> None:
    header = HEADER + ",stop_events"
    assert reason(LINE + ",2.5", header) == "stop_events '2.5' is not a whole number"
    (row,) = values(text(header, LINE + ",2.0"))
    assert row["stop_events"] == 2


def test_frost_is_good_and_absolute_zero_is_not() -> None:
    header = "supplier_id,timestamp,event_type,temperature,energy_kwh"
    line = "A,2026-01-05,warehouse,{},300"
    assert values(text(header, line.format("-18.6")))[0]["temperature"] == -18.6
    assert "below absolute zero" in reason(line.format("-274"), header)


def test_unknown_columns_are_named_and_what_they_may_mean() -> None:
    found = events(text(f"{HEADER},product_id,plant_id,stop_event", f"{LINE},P7,30,2"))
    assert found.ignored == ["product_id", "plant_id", "stop_event"]
    assert suggestion("stop_event", found.places) == (
        "is 'stop_event' stop_events? Then say --map \"stop_event=stop_events\""
    )
    assert suggestion("product_id", found.places) is None
    (row,) = found
    assert isinstance(row, GoodRow)
    assert row.values["distance_km"] == 42.5


@pytest.mark.parametrize(
    "header",
    [
        HEADER.upper(),
        HEADER.replace("_", " ").title(),
        HEADER.replace("supplier_id", "Supplier-ID").replace("load_kg", "Load (kg)"),
        HEADER.replace("distance_km", "  Distance [km]"),
        "\ufeff" + HEADER,
    ],
)
def test_the_spelling_of_the_header_does_not_matter(header: str) -> None:
    assert values(text("", header, "", LINE, "   ")) == values(text(HEADER, LINE))


def test_a_column_with_another_name_is_mapped() -> None:
    header = HEADER.replace("distance_km", "Distänz").replace("supplier_id", "Lieferant")
    reading = Reading(times(), renamed={"DISTA\u0308NZ": "distance_km", "Lieferant": "supplier_id"})
    assert values(text(header, LINE), reading=reading) == values(text(HEADER, LINE))


def test_a_mapped_name_that_the_file_lacks_is_refused_with_the_names_it_has() -> None:
    reading = Reading(times(), renamed={"Distanz": "distance_km"})
    with pytest.raises(FileError, match=r"--map names Distanz.*'supplier_id', 'timestamp'"):
        events(text(HEADER, LINE), reading)


@pytest.mark.parametrize(
    ("column", "unit", "given", "expected"),
    [
        ("distance_km", "mi", "10", 16.09344),
        ("distance_km", "m", "42500", 42.5),
        ("load_kg", "t", "0.28", 280.0),
        ("load_kg", "lb", "1000", 453.59237),
        ("speed", "mph", "60", 96.56064),
        ("energy_kwh", "mwh", "4.2", 4200.0),
        ("energy_kwh", "gj", "3.6", 1000.0),
        ("temperature", "f", "-40", -40.0),
        ("temperature", "f", "50", 10.0),
        ("temperature", "k", "273.15", 0.0),
        ("shift_hours", "min", "480", 8.0),
    ],
)
def test_units_of_the_file_become_those_of_the_column(
    column: str, unit: str, given: str, expected: float
) -> None:
    reading = Reading(times(), units={column: unit})
    file = text(f"supplier_id,timestamp,event_type,{column}", f"A,2026-01-05,factory,{given}")
    assert values(file, reading=reading)[0][column] == pytest.approx(expected, rel=1e-14)


def test_a_unit_of_a_column_that_the_file_lacks_is_refused() -> None:
    with pytest.raises(FileError, match=r"--units names energy_kwh"):
        events(text(HEADER, LINE), Reading(times(), units={"energy_kwh": "mwh"}))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "the file is empty"),
        (["", "  "], "the file is empty"),
        (["supplier_id,distance_km"], "the header lacks timestamp, event_type.*--map"),
        ([HEADER + ",speed"], "the header has speed more than once"),
        ([HEADER + ',"'], "the header cannot be read"),
        ([LINE, LINE], "the header lacks timestamp, supplier_id, event_type"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(lines: list[str], expected: str) -> None:
    with pytest.raises(FileError, match=expected):
        events(text(*lines))


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60), max_size=20
    )
)
def test_no_text_whatever_stops_the_reader(garbage: list[str]) -> None:
    found = rows(text(HEADER, *(line for line in garbage if '"' not in line), LINE))
    assert isinstance(found[-1], GoodRow)
