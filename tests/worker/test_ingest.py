import io
import itertools
import json
from typing import Any

from worker.csv_rows import MAX_LINE_CHARACTERS, BadRow, CsvEvents, GoodRow
from worker.ingest import Ingested, ingest, lines

HEADER = "supplier_id,timestamp,event_type,distance_km,route_id\n"


class Events:
    """A table that keeps what it is given, once per source_key."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.batches: list[list[dict[str, Any]]] = []

    async def add_events(self, rows: list[dict[str, Any]], /) -> int:
        before = len(self.rows)
        self.batches.append(rows)
        self.rows = {row["source_key"]: row for row in rows} | self.rows
        return len(self.rows) - before


class Told:
    def __init__(self) -> None:
        self.bad: list[BadRow] = []

    def bad_row(self, row: BadRow) -> None:
        self.bad.append(row)

    def progress(self, summary: Ingested) -> None:
        raise AssertionError("no file of a test takes that long")


def file(count: int, route: str = "") -> list[str]:
    return [HEADER, *(f"A,2026-01-05 09:00:00,logistics,{n},{route}\n" for n in range(count))]


async def test_a_file_is_written_in_batches_and_a_repetition_adds_nothing() -> None:
    table = Events()
    assert await ingest(table, CsvEvents(file(1201)), Told()) == Ingested(written=1201)
    assert [len(batch) for batch in table.batches] == [500, 500, 201]
    assert await ingest(table, CsvEvents(file(1201)), Told()) == Ingested(already_there=1201)


async def test_a_batch_is_at_most_a_megabyte() -> None:
    table = Events()
    wide = [line.replace("A,", f"{'ü' * 200},", 1) for line in file(1000, "ß" * 200)[1:]]
    await ingest(table, CsvEvents([HEADER, *wide]), Told())
    sizes = [len(json.dumps(batch)) for batch in table.batches]
    assert len(sizes) > 2
    assert max(sizes) <= 1_000_000
    assert len(table.rows) == 1000


async def test_identical_lines_are_events_of_their_own() -> None:
    table = Events()
    text = [HEADER, *(["A,2026-01-05 09:00:00,logistics,9,\n"] * 3)]
    assert await ingest(table, CsvEvents(text), Told()) == Ingested(written=3)


async def test_rows_in_another_order_are_there_already() -> None:
    table = Events()
    await ingest(table, CsvEvents(file(9)), Told())
    header, *rest = file(9)
    assert await ingest(table, CsvEvents([header, *reversed(rest)]), Told()) == Ingested(
        already_there=9
    )


async def test_bad_rows_are_told_and_good_ones_written() -> None:
    table, told = Events(), Told()
    text = [*file(2), "A,yesterday,logistics,1,\n", "A\n", *file(3)[3:]]
    assert await ingest(table, CsvEvents(text), told) == Ingested(written=3, bad=2)
    assert [row.line for row in told.bad] == [4, 5]


def test_line_ends_of_all_systems_are_understood() -> None:
    for end in ("\n", "\r\n", "\r"):
        text = "".join(line.replace("\n", end) for line in file(2))
        stream = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", newline="")
        assert [isinstance(row, GoodRow) for row in CsvEvents(lines(stream))] == [True, True]


def test_a_line_without_end_is_one_bad_row_and_costs_no_memory() -> None:
    monster = "x" * (5 * MAX_LINE_CHARACTERS + 7) + "\n"
    header, good = file(1)
    stream = io.StringIO(header + monster + good + "x" * (2 * MAX_LINE_CHARACTERS), newline="")
    longest = max(map(len, lines(stream)))
    assert longest == MAX_LINE_CHARACTERS
    stream.seek(0)
    found = list(CsvEvents(lines(stream)))
    assert [(row.line, isinstance(row, GoodRow)) for row in found] == [
        (2, False),
        (3, True),
        (4, False),
    ]


def test_lines_are_read_as_they_are_needed() -> None:
    endless = CsvEvents(itertools.chain([HEADER], itertools.repeat(file(1)[1])))
    assert len(list(itertools.islice(endless, 10))) == 10
