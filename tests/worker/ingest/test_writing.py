import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from tests.worker.ingest.reading import rows
from worker.detection.series import Identity
from worker.errors import Unavailable
from worker.ingest.files import BadRow
from worker.ingest.forecast import Foreseen
from worker.ingest.order import EventOrder
from worker.ingest.rows import GoodRow
from worker.ingest.writing import (
    BATCH_ROWS,
    Ingested,
    content_of,
    read,
    settle,
    source_key,
    write,
)

HEADER = "supplier_id,timestamp,event_type,distance_km,route_id\n"


class Events:
    """A table that keeps what it is given, once per source_key."""

    def __init__(self) -> None:
        self.rows: dict[str, Mapping[str, Any]] = {}
        self.batches: list[Sequence[Mapping[str, Any]]] = []

    async def add_events(self, rows: Sequence[Mapping[str, Any]], /) -> set[str]:
        before = set(self.rows)
        self.batches.append(rows)
        self.rows = self.rows | {
            row["source_key"]: row for row in rows if row["source_key"] not in self.rows
        }
        return self.rows.keys() - before


class Told:
    def __init__(self) -> None:
        self.bad: list[BadRow] = []
        self.held: list[tuple[int, str]] = []

    def refused(self, row: BadRow) -> None:
        self.bad.append(row)

    def quarantined(self, line: int, reason: str) -> None:
        self.held.append((line, reason))

    def reading(self, rows: int) -> None:
        raise AssertionError("no file of a test takes that long")

    def writing(self, done: Ingested) -> None:
        raise AssertionError("no file of a test takes that long")


IDENTITY = Identity("event", "modelled", "km_actual", "")


def usable(values: Mapping[str, Any]) -> Foreseen:
    return Foreseen(None, IDENTITY)


def ignore(values: Mapping[str, Any], identity: Identity | None) -> None: ...


async def ingest(
    table: Events,
    found: Iterable[GoodRow | BadRow],
    told: Told | None = None,
    memory_characters: int = 1_000_000,
) -> Ingested:
    told, order = told or Told(), EventOrder(memory_characters)
    done = read(found, order, told)
    await write(table, settle(order, done, told, usable), done, told, ignore)
    order.close()
    return done


def counts(done: Ingested) -> tuple[int, int, int]:
    return done.written, done.repeated, done.refused


def line(number: int, minute: int = 0) -> str:
    return f"A,2026-01-05 09:{minute:02d}:00,logistics,{number + 1},\n"


def file(count: int) -> str:
    return HEADER + "".join(map(line, range(count)))


async def test_a_file_is_written_in_batches_and_a_repetition_adds_nothing() -> None:
    table = Events()
    count = 2 * BATCH_ROWS + 201
    assert counts(await ingest(table, rows(file(count)))) == (count, 0, 0)
    assert [len(batch) for batch in table.batches] == [BATCH_ROWS, BATCH_ROWS, 201]
    assert counts(await ingest(table, rows(file(count)))) == (0, count, 0)


async def test_a_batch_is_at_most_a_megabyte() -> None:
    table = Events()
    wide = "".join(
        line(n).replace("A,", f"{'ü' * 200},").replace(",\n", f",{'ß' * 200}\n")
        for n in range(1000)
    )
    await ingest(table, rows(HEADER + wide))
    sizes = [len(json.dumps(batch)) for batch in table.batches]
    assert len(sizes) > 2
    assert max(sizes) <= 1_000_000
    assert len(table.rows) == 1000


async def test_after_a_failure_the_same_file_writes_the_rest() -> None:
    class Failing(Events):
        async def add_events(self, rows: Sequence[Mapping[str, Any]], /) -> set[str]:
            if len(self.batches) == 1:
                raise Unavailable("gone")
            return await super().add_events(rows)

    count = 3 * BATCH_ROWS
    failing = Failing()
    with pytest.raises(Unavailable):
        await ingest(failing, rows(file(count)))
    table = Events()
    table.rows = failing.rows
    assert counts(await ingest(table, rows(file(count)))) == (2 * BATCH_ROWS, BATCH_ROWS, 0)


async def test_identical_lines_are_events_of_their_own() -> None:
    table = Events()
    assert counts(await ingest(table, rows(HEADER + line(9) * 3 + line(8) + line(9)))) == (5, 0, 0)
    assert counts(await ingest(table, rows(HEADER + line(9) * 5 + line(8)))) == (1, 5, 0)


async def test_rows_in_another_order_and_other_spellings_are_there_already() -> None:
    table = Events()
    await ingest(table, rows(file(9)))
    backwards = HEADER + "".join(line(n).replace("09:00:00", "09:00Z") for n in range(8, -1, -1))
    assert counts(await ingest(table, rows(backwards))) == (0, 9, 0)


async def test_bad_rows_are_told_and_good_ones_written() -> None:
    table, told = Events(), Told()
    text = f"{file(2)}A,yesterday,logistics,1,\nA\n{line(2)}"
    assert counts(await ingest(table, rows(text), told)) == (3, 0, 2)
    assert [row.line for row in told.bad] == [4, 5]


@pytest.mark.parametrize("memory_characters", [1, 300, 10_000, 10_000_000])
async def test_a_file_is_written_in_the_order_of_event_time(memory_characters: int) -> None:
    """Whether it fits into memory or not; rows of the same time keep the order of the file."""
    minutes = [(n * 7919) % 60 for n in range(400)]
    text = HEADER + "".join(line(n, minute) for n, minute in enumerate(minutes))
    table = Events()
    await ingest(table, rows(text), memory_characters=memory_characters)
    written = [(row["timestamp"], row["distance_km"]) for batch in table.batches for row in batch]
    assert len(written) == 400
    assert written == sorted(written)


async def test_what_the_worker_will_hold_back_is_written_counted_and_told() -> None:
    table, told, order = Events(), Told(), EventOrder()

    def check(values: Mapping[str, Any]) -> Foreseen:
        far = values["distance_km"] > 2
        return Foreseen("too far", None) if far else Foreseen(None, IDENTITY)

    learned: list[Identity | None] = []
    done = read(rows(file(4)), order, told)
    rows_settled = settle(order, done, told, check)
    await write(table, rows_settled, done, told, lambda _, identity: learned.append(identity))
    assert counts(done) == (4, 0, 0)
    assert done.quarantined == 2
    assert told.held == [(4, "too far"), (5, "too far")]
    assert learned == [IDENTITY, IDENTITY, None, None]


ZEROS = "supplier_id,timestamp,event_type,distance_km,fuel_litres,temperature,energy_kwh\n"


def filled(number: int, kind: str, km: float, litres: float, kwh: float) -> str:
    return f"A,2026-01-05 09:{number:02d}:00,{kind},{km},{litres},0,{kwh}\n"


async def test_a_column_of_zeros_is_taken_as_missing_where_no_row_of_its_kind_has_more() -> None:
    text = ZEROS + filled(1, "logistics", 10, 0, 0) + filled(2, "factory", 0, 0, 300)
    text += filled(3, "logistics", 0, 0, 0)
    table = Events()
    done = await ingest(table, rows(text))
    assert done.zeros == {
        "logistics": {"fuel_litres", "energy_kwh"},
        "factory": {"distance_km", "fuel_litres"},
    }
    first, second, third = table.rows.values()
    assert first.keys() >= {"distance_km", "temperature"}
    assert first.keys().isdisjoint({"fuel_litres", "energy_kwh"})
    assert (second["energy_kwh"], "distance_km" in second) == (300, False)
    assert third["distance_km"] == 0  # another trip says more: this one is wrong


async def test_a_longer_file_with_the_same_rows_adds_only_the_new_ones() -> None:
    """Though a column is no longer 0 throughout."""
    table = Events()
    before = ZEROS + filled(1, "logistics", 10, 0, 0) + filled(2, "logistics", 11, 0, 0)
    await ingest(table, rows(before))
    after = before + filled(3, "logistics", 12, 4, 0)
    assert counts(await ingest(table, rows(after))) == (1, 2, 0)


def key(values: dict[str, Any], times: int = 1) -> str:
    occurrences: Counter[bytes] = Counter()
    return [source_key(content_of(values), occurrences) for _ in range(times)][-1]


def test_a_key_does_not_change_between_releases() -> None:
    """Keys are stored: another way to compute them would import every old file again."""
    # printf '{"a": 1.0, "b": "\\u00fc"}' | sha256sum | cut -c1-32
    assert key({"b": "ü", "a": 1.0}) == "404ef7baf79eb8240237598b005a8ef3-1"
    assert key({"a": 1.0, "b": "ü"}, times=3) == "404ef7baf79eb8240237598b005a8ef3-3"


def test_any_value_matters() -> None:
    row = {"supplier_id": "A", "distance_km": 3.0}
    others = [row | {"supplier_id": "B"}, row | {"distance_km": 3.1}, row | {"load_kg": 3.0}]
    assert len({key(values) for values in [row, *others]}) == 4
