"""What people's programs write: encodings, separators, quotes, line ends."""

import io
import itertools

import pytest

from tests.worker.ingest.reading import events, rows, values
from worker.ingest.files import MAX_LINE_CHARACTERS, BadRow, CsvRecords, FileError, lines
from worker.ingest.header import COLUMNS
from worker.ingest.rows import GoodRow

HEADER = "supplier_id,timestamp,event_type,distance_km,note"
LINE = "A,2026-01-05 09:00:00,logistics,100,x"
EVENT = {
    "supplier_id": "A",
    "timestamp": "2026-01-05T09:00:00+00:00",
    "event_type": "logistics",
    "distance_km": 100.0,
}


def text(*found: str) -> str:
    return "".join(f"{line}\n" for line in found)


def test_a_header_in_another_encoding_is_told_as_that() -> None:
    with pytest.raises(FileError, match=r"not in the encoding of the file.*windows-1252"):
        events("Horodatage;Activité;Véhicule\n".encode("windows-1252"))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be-mark", "utf-8-mark-told"]
)
def test_a_byte_order_mark_tells_the_encoding(encoding: str) -> None:
    file = text(HEADER, LINE.replace("A", "Müller", 1))
    told = None
    if encoding == "utf-16-be-mark":
        raw = b"\xfe\xff" + file.encode("utf-16-be")
    elif encoding == "utf-8-mark-told":
        raw, told = file.encode("utf-8-sig"), "windows-1252"
    else:
        raw = file.encode(encoding)
    assert values(raw, encoding=told) == [EVENT | {"supplier_id": "Müller"}]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_refused_with_its_name_and_read_when_told(encoding: str) -> None:
    raw = text(HEADER, LINE).encode(encoding)
    with pytest.raises(FileError, match=f"looks like {encoding}.*--encoding {encoding}"):
        events(raw)
    assert values(raw, encoding=encoding) == [EVENT]


def test_windows_1252_is_read_when_told_and_otherwise_costs_its_rows_only() -> None:
    raw = text(HEADER, LINE.replace("A", "Müller", 1), LINE).encode("windows-1252")
    assert values(raw, encoding="windows-1252")[0]["supplier_id"] == "Müller"
    bad, good = rows(raw)
    assert isinstance(bad, BadRow)
    assert "say which one it is, for example --encoding windows-1252" in bad.reason
    assert isinstance(good, GoodRow)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100, "old Excel workbook"),
        (b"%PDF-1.7", "PDF"),
        (b"\x1f\x8b\x08\x00", "gunzip it first"),
        (b"a\0\0\0\0\0\0b\0c", "zero bytes"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_the_remedy(raw: bytes, expected: str) -> None:
    with pytest.raises(FileError, match=expected):
        events(raw)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_separator_is_found_by_the_header(delimiter: str) -> None:
    assert values(text(HEADER, LINE).replace(",", delimiter)) == [EVENT]


@pytest.mark.parametrize("line", ["sep=,", "SEP=,", '"sep=,"', "\ufeffsep=,"])
def test_excels_separator_line_is_obeyed(line: str) -> None:
    assert values(text(line, HEADER, LINE).replace("\n", "\r\n")) == [EVENT]
    # A separator that nobody would guess, too.
    assert values(text(line.replace(",", "!"), HEADER.replace(",", "!"), LINE.replace(",", "!")))


def test_commas_in_cells_do_not_make_commas_the_separator() -> None:
    header = "supplier_id;timestamp;event_type;note, of the driver, and others, too, and more"
    assert values(text(header, "A;2026-01-05;factory;x"))[0]["supplier_id"] == "A"


def test_titles_above_the_header_are_skipped_and_told() -> None:
    found = events(text("Report of November, all sites", "", "by Müller", HEADER, LINE))
    assert [row.line for row in found] == [5]


def test_of_lines_without_a_known_name_the_widest_is_told_as_the_header() -> None:
    with pytest.raises(FileError, match="The header is: 'Datum', 'Strecke', 'Ladung'"):
        events(text("Report of November", "", "Datum;Strecke;Ladung", "05.01.2026;10;"))


def test_the_records_tell_which_line_is_the_header() -> None:
    source = CsvRecords(iter(["Report\n", "\n", HEADER + "\n", LINE + "\n"]), len)
    assert (source.header_lines, source.skipped) == (range(3, 4), ["Report"])


def test_lines_of_commas_and_padding_are_no_rows() -> None:
    file = text(HEADER + ",,,", LINE + ",,,", ",,,,,,,", " , ,,", "", LINE + ",,,", ",")
    assert values(file) == [EVENT, EVENT]


def test_line_breaks_in_quotes_are_part_of_the_cell() -> None:
    note = '"first\n' + LINE.replace("A", "GHOST", 1) + '\nlast ""quoted"" line"'
    found = rows(text(HEADER, LINE.replace("x", note), LINE))
    assert [row.line for row in found] == [2, 5]
    assert [row.values for row in found if isinstance(row, GoodRow)] == [EVENT, EVENT]


def test_a_stray_quote_costs_its_own_line_only() -> None:
    stray = LINE.replace("A", '"A', 1)
    found = rows(text(HEADER, LINE, stray, LINE, stray, LINE, LINE))
    assert [(row.line, isinstance(row, GoodRow)) for row in found] == [
        (2, True),
        (3, False),
        (4, True),
        (5, False),
        (6, True),
        (7, True),
    ]


def test_a_stray_quote_before_many_rows_does_not_cost_them() -> None:
    found = rows(text(HEADER, LINE.replace("A", '"A', 1), *[LINE] * 5000))
    assert [isinstance(row, GoodRow) for row in found] == [False, *[True] * 5000]


def test_a_record_over_several_lines_with_other_cells_says_which_lines() -> None:
    (bad,) = rows(text(HEADER, 'A,"2026\n\n",logistics'))
    assert isinstance(bad, BadRow)
    assert bad.reason == "3 fields where the header has 5; a quoted cell reaches to line 4"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_are_understood(end: str) -> None:
    assert values(text(HEADER, LINE, LINE).replace("\n", end)) == [EVENT, EVENT]
    assert values(text(HEADER, LINE).replace("\n", end).rstrip()) == [EVENT]


def test_a_line_without_end_is_one_bad_row_and_costs_no_memory() -> None:
    monster = "x" * (5 * MAX_LINE_CHARACTERS + 7)
    stream = io.StringIO(text(HEADER, monster, LINE) + "x" * (2 * MAX_LINE_CHARACTERS), newline="")
    assert max(map(len, lines(stream))) == MAX_LINE_CHARACTERS
    found = rows(stream.getvalue())
    assert [(row.line, isinstance(row, GoodRow)) for row in found] == [
        (2, False),
        (3, True),
        (4, False),
    ]


def test_lines_are_read_as_they_are_needed() -> None:
    endless = itertools.chain([HEADER + "\n"], itertools.repeat(LINE + "\n"))
    source = CsvRecords(endless, lambda names: len(set(names) & set(COLUMNS)))
    assert len(list(itertools.islice(source, 10))) == 10
