"""What a new client gets first."""

import itertools

import pytest

from relay.resume.initial_state import (
    MOST_SLICES,
    PROTECTED_SECONDS,
    InitialState,
    StateBudget,
    StateRow,
    StateSlice,
    merge,
)
from relay.stream.change import HOTSPOTS, Change
from relay.stream.encoding import Compression, framed, texts
from relay.stream.filters import Filter
from relay.stream.log import Overflow
from tests.relay.rows import change

ALL = Filter(HOTSPOTS)
SEQS = itertools.count(100)


def state(
    *rows: tuple[int, bool], floor: int = 0, most: int = 1000, budget: StateBudget | None = None
) -> InitialState:
    return InitialState(
        [StateRow(row_id, is_open, framed(f"{row_id}")) for row_id, is_open in rows],
        most=most,
        whole=True,
        position=3,
        seq=7,
        generation=0,
        floor=floor,
        cursor=None,
        budget=budget or StateBudget(),
    )


def shown(part: StateSlice | None) -> tuple[str, bool] | None:
    if part is None:
        return None
    found = [text for piece in part.rows for text in texts(piece.data)]
    assert sum(piece.frames for piece in part.rows) == len(found)
    return "".join(found), part.complete


def test_the_newest_and_all_open_rows_oldest_first() -> None:
    rows = (1, True), (2, False), (3, False), (4, True), (5, False)
    assert shown(state(*rows, most=2).all()) == ("145", False)
    assert shown(state(*rows, most=0).all()) == ("14", False)


@pytest.mark.parametrize("how", Compression)
def test_what_is_compressed_counts_for_the_budget_and_makes_room_with_the_rest(
    how: Compression,
) -> None:
    budget = StateBudget(most_bytes=1_540)
    rows = state((1, True), (2, True), budget=budget).all().rows
    plain = budget.size
    compressed = [*rows.compressed(how)]
    assert [*rows.compressed(how)] == compressed
    assert budget.size == plain + sum(len(piece.data) for piece in compressed)
    reading = rows.compressed(how)
    others = [state((3, True), budget=budget), state((4, True), budget=budget)]
    with pytest.raises(Overflow):
        next(reading)
    assert budget.size <= 1_540
    assert all(other.retained for other in others)


def test_it_is_complete_when_nothing_is_left_out() -> None:
    rows = (1, False), (2, True)
    assert shown(state(*rows, most=2).all()) == ("12", True)
    assert shown(state(*rows, most=1).all()) == ("2", False)
    assert shown(state((1, True), (2, True), most=1).all()) == ("12", True)
    assert shown(state((1, False), floor=1).all()) == ("1", False)
    assert last(state(*rows, most=1), 1) == ("2", False)
    assert last(state(*rows, most=1), 2) is None


def last(
    state: InitialState, count: int, *since: Change, seq: int | None = None
) -> tuple[str, bool] | None:
    """The newest `count` rows, of which those that changed since are shown by capital letters."""
    cut = state.last(
        count,
        {each.id: each for each in since},
        Filter.of(HOTSPOTS, {"status": frozenset({"active"})}),
        lambda change: framed(chr(ord("A") + change.id - 1)),
        next(SEQS) if seq is None else seq,
        head=9,
    )
    assert cut is None or cut.position == 9
    return shown(cut)


def test_so_many_of_the_newest_rows_and_no_other() -> None:
    rows = state((1, True), (2, False), (3, True))
    assert last(rows, 2) == ("23", False)
    assert last(rows, 3) == ("123", True)
    assert last(rows, 5) == ("123", True)
    assert last(rows, 0) == ("", False)
    assert last(state(), 0) == ("", True)


def test_so_many_of_the_newest_rows_as_they_are_now() -> None:
    rows = state((1, True), (2, False), (3, True))
    assert last(rows, 2, change(4, 1), change(5, 1)) == ("DE", False)
    assert last(rows, 2, change(2, 2)) == ("B3", False)
    assert last(rows, 2, change(1, 2)) == ("23", False)
    assert last(rows, 2, change(3, 2, deleted=True)) == ("12", True)
    assert last(rows, 2, change(3, 2, status="resolved"), change(4, 1)) == ("2D", False)
    assert last(rows, 0, change(4, 1)) == ("", False)


def test_who_asks_for_the_same_gets_the_same_until_something_changes() -> None:
    rows = state((1, True), (2, False))
    assert last(rows, 1, change(3, 1), seq=8) == ("C", False)
    assert last(rows, 1, seq=8) == ("C", False)
    assert last(rows, 1, change(3, 2, deleted=True), seq=9) == ("2", False)


def test_rows_that_were_not_read_are_not_passed_over() -> None:
    """Below the floor there are rows that were read only because they are open."""
    rows = state((2, True), (6, False), (7, False), floor=6)
    assert last(rows, 2) == ("67", False)
    assert last(rows, 3) is None
    assert last(rows, 2, change(7, 2, deleted=True)) is None
    assert last(rows, 2, change(5, 2)) == ("67", False)
    assert last(rows, 2, change(7, 2, deleted=True), change(8, 1)) == ("6H", False)
    assert last(rows, 0) == ("", False)


MANY = [(row_id, True) for row_id in range(20_000)]  # in several pieces


def test_states_that_nobody_has_used_lately_make_room_for_others() -> None:
    budget = StateBudget(1_000_000)
    states = [state(*MANY, budget=budget) for _ in range(100)]
    assert budget.size <= 1_000_000
    kept = [each.retained for each in states]
    assert kept == sorted(kept)
    assert 2 <= sum(kept) < 10
    states[-2].all().rows.use()
    newer = state(*MANY, budget=budget), state(*MANY, budget=budget)
    assert states[-2].retained
    assert all(each.retained for each in newer)


def test_what_nobody_refers_to_does_not_count() -> None:
    budget = StateBudget()
    states = [state(*MANY, budget=budget) for _ in range(3)]
    cut = last(states[0], 1000), budget.size
    assert cut[1] > 3 * 60_000
    del states
    assert budget.size == 0


def test_who_is_in_the_middle_of_what_had_to_make_room_starts_anew() -> None:
    budget = StateBudget(1_000_000)
    script = iter(state(*MANY, budget=budget).all().rows)
    next(script)
    others = [state(*MANY, budget=budget) for _ in range(10)]
    assert others[-1].retained
    with pytest.raises(Overflow):
        next(script)


def test_a_state_that_is_being_read_makes_room_last_for_a_while() -> None:
    now = 0.0
    budget = StateBudget(1_000_000, now=lambda: now)
    reading, left, idle = (state(*MANY, budget=budget) for _ in range(3))
    script = iter(reading.all().rows)
    next(script)
    assert len(list(left.all().rows)) > 1
    leaving = left.all().rows.compressed(Compression.STREAM)
    next(leaving)
    del leaving
    assert len(list(idle.all().rows)) > 1
    assert 0 < budget.room() < 1_000_000
    later = []
    while idle.retained:  # which was used last
        later.append(state(*MANY, budget=budget))
        assert len(list(later[-1].all().rows)) > 1
    assert [reading.retained, left.retained] == [True, False]
    next(script)
    now = PROTECTED_SECONDS
    assert budget.room() == 1_000_000
    others = [state(*MANY, budget=budget) for _ in range(20)]
    assert others[-1].retained
    with pytest.raises(Overflow):
        next(script)


def test_what_is_read_by_too_many_at_once_makes_room_too() -> None:
    """The budget is kept, whatever is being read."""
    budget = StateBudget(1_000_000, now=lambda: 0.0)
    states = [state(*MANY, budget=budget) for _ in range(20)]
    scripts = [iter(each.all().rows) for each in states if each.retained]
    for script in scripts:
        next(script)
    for _ in range(20):
        states.append(state(*MANY, budget=budget))
        next(iter(states[-1].all().rows))
        assert budget.size <= 1_000_000
        assert states[-1].retained


def test_a_state_that_is_larger_than_all_that_may_be_kept_is_sent_all_the_same() -> None:
    only = state(*MANY, budget=StateBudget(1000))
    assert len(list(only.all().rows)) > 1


def test_numbers_of_rows_that_many_ask_for_are_not_all_kept() -> None:
    budget = StateBudget()
    rows = state(*MANY, budget=budget)
    before = budget.size
    for number in range(1, 1000):
        assert rows.last(number, {}, ALL, lambda _: b"", seq=8, head=9) is not None
    assert budget.size - before < MOST_SLICES * 10_000


def test_what_was_published_meanwhile_is_newer() -> None:
    read = [change(1, 1), change(2, 5), change(3, 1), change(4, 1, status="active")]
    published = {
        1: change(1, 2),
        2: change(2, 4),
        3: change(3, 2, deleted=True),
        5: change(5, 1),
    }
    assert list(merge(read, published, ALL)) == [
        change(1, 2),
        change(2, 5),
        change(4, 1),
        change(5, 1),
    ]


def test_a_row_that_stopped_matching_meanwhile_is_not_in_it() -> None:
    active = Filter.of(HOTSPOTS, {"status": frozenset({"active"})})
    published = {1: change(1, 2, status="resolved"), 2: change(2, 1, status="resolved")}
    assert list(merge([change(1, 1)], published, active)) == []
