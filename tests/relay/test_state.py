"""What a new client gets first."""

from relay.changes.endpoints import HOTSPOTS
from relay.changes.filters import Filter
from relay.clients.state import State, StateRow, merge
from tests.relay.rows import change

ALL = Filter(HOTSPOTS)


def state(*rows: tuple[str, bool], more: bool = False) -> State:
    found = tuple(StateRow(frame.encode(), is_open) for frame, is_open in rows)
    return State(position=0, generation=0, rows=found, more=more, cursor=None)


def newest(state: State, count: int, *, with_open: bool = True) -> tuple[bytes, bool]:
    pieces, complete = state.newest(count, with_open=with_open)
    assert sum(piece.frames for piece in pieces) == sum(len(piece.data) for piece in pieces)
    return b"".join(piece.data for piece in pieces), complete


def test_the_newest_and_all_open_rows_oldest_first() -> None:
    rows = state(("1", True), ("2", False), ("3", False), ("4", True), ("5", False))
    assert newest(rows, 2) == (b"145", False)
    assert newest(rows, 2, with_open=False) == (b"45", False)
    assert newest(rows, 0) == (b"14", False)


def test_it_is_complete_when_nothing_is_left_out() -> None:
    rows = state(("1", False), ("2", True))
    assert newest(rows, 2) == (b"12", True)
    assert newest(rows, 1) == (b"2", False)
    assert newest(state(("1", True), ("2", True)), 1) == (b"12", True)
    assert newest(state(("1", False), more=True), 1000) == (b"1", False)


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
