"""What a new client gets first."""

import itertools

from relay.changes.endpoints import HOTSPOTS
from relay.changes.filters import Filter
from relay.changes.records import Change
from relay.clients.state import Cut, State, StateRow, merge
from tests.relay.rows import change

ALL = Filter(HOTSPOTS)
SEQS = itertools.count(100)


def state(*rows: tuple[int, bool], floor: int = 0) -> State:
    found = tuple(StateRow(row_id, f"{row_id}".encode(), is_open) for row_id, is_open in rows)
    return State(position=3, seq=7, generation=0, rows=found, floor=floor, cursor=None)


def shown(cut: Cut | None) -> tuple[bytes, bool] | None:
    if cut is None:
        return None
    assert sum(piece.frames for piece in cut.rows) == sum(len(piece.data) for piece in cut.rows)
    return b"".join(piece.data for piece in cut.rows), cut.complete


def test_the_newest_and_all_open_rows_oldest_first() -> None:
    rows = state((1, True), (2, False), (3, False), (4, True), (5, False))
    assert shown(rows.newest(2)) == (b"145", False)
    assert shown(rows.newest(0)) == (b"14", False)


def test_it_is_complete_when_nothing_is_left_out() -> None:
    rows = state((1, False), (2, True))
    assert shown(rows.newest(2)) == (b"12", True)
    assert shown(rows.newest(1)) == (b"2", False)
    assert shown(state((1, True), (2, True)).newest(1)) == (b"12", True)
    assert shown(state((1, False), floor=1).newest(1000)) == (b"1", False)


def last(
    state: State, count: int, *since: Change, seq: int | None = None
) -> tuple[bytes, bool] | None:
    """The newest `count` rows, of which those that changed since are shown by capital letters."""
    cut = state.last(
        count,
        {each.id: each for each in since},
        Filter.of(HOTSPOTS, {"status": frozenset({"active"})}),
        lambda change: chr(ord("A") + change.id - 1).encode(),
        next(SEQS) if seq is None else seq,
        head=9,
    )
    assert cut is None or cut.position == 9
    return shown(cut)


def test_so_many_of_the_newest_rows_and_no_other() -> None:
    rows = state((1, True), (2, False), (3, True))
    assert last(rows, 2) == (b"23", False)
    assert last(rows, 3) == (b"123", True)
    assert last(rows, 5) == (b"123", True)
    assert last(rows, 0) == (b"", False)
    assert last(state(), 0) == (b"", True)


def test_so_many_of_the_newest_rows_as_they_are_now() -> None:
    rows = state((1, True), (2, False), (3, True))
    assert last(rows, 2, change(4, 1), change(5, 1)) == (b"DE", False)
    assert last(rows, 2, change(2, 2)) == (b"B3", False)
    assert last(rows, 2, change(1, 2)) == (b"23", False)
    assert last(rows, 2, change(3, 2, deleted=True)) == (b"12", True)
    assert last(rows, 2, change(3, 2, status="resolved"), change(4, 1)) == (b"2D", False)
    assert last(rows, 0, change(4, 1)) == (b"", False)


def test_who_asks_for_the_same_gets_the_same_until_something_changes() -> None:
    rows = state((1, True), (2, False))
    assert last(rows, 1, change(3, 1), seq=8) == (b"C", False)
    assert last(rows, 1, seq=8) == (b"C", False)
    assert last(rows, 1, change(3, 2, deleted=True), seq=9) == (b"2", False)


def test_rows_that_were_not_read_are_not_passed_over() -> None:
    """Below the floor there are rows that were read only because they are open."""
    rows = state((2, True), (6, False), (7, False), floor=6)
    assert last(rows, 2) == (b"67", False)
    assert last(rows, 3) is None
    assert last(rows, 2, change(7, 2, deleted=True)) is None
    assert last(rows, 2, change(5, 2)) == (b"67", False)
    assert last(rows, 2, change(7, 2, deleted=True), change(8, 1)) == (b"6H", False)
    assert last(rows, 0) == (b"", False)


def test_what_was_published_meanwhile_is_newer() -> None:
    read = [change(1, 1), change(2, 5), change(3, 1), change(4, 1, status="active")]
    published = {
        1: change(1, 2),
        2: change(2, 4),
        3: change(3, 2, deleted=True),
        5: change(5, 1),
    }
    assert merge(read, published, ALL) == (
        change(1, 2),
        change(2, 5),
        change(4, 1),
        change(5, 1),
    )


def test_a_row_that_stopped_matching_meanwhile_is_not_in_it() -> None:
    active = Filter.of(HOTSPOTS, {"status": frozenset({"active"})})
    published = {1: change(1, 2, status="resolved"), 2: change(2, 1, status="resolved")}
    assert merge([change(1, 1)], published, active) == ()
