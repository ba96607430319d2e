"""Which past snapshot a cursor is resumed from."""

from hypothesis import given
from hypothesis import strategies as st

from relay.stream import snapshot
from relay.stream.snapshot import Snapshot, SnapshotHistory


def test_the_newest_one_that_shows_nothing_else() -> None:
    past = SnapshotHistory()
    past.remember(Snapshot(10, 10), 1)
    past.remember(Snapshot(12, 20, frozenset({12})), 5)
    past.remember(Snapshot(30, 30), 9)
    assert past.best(Snapshot(9, 9)) is None
    for cursor, seq in (
        (Snapshot(10, 10), 1),
        (Snapshot(11, 25, frozenset({11})), 1),  # 11 was visible at 12:20
        (Snapshot(12, 25, frozenset({12, 22})), 5),
        (Snapshot(20, 20), 5),
        (Snapshot(31, 40, frozenset({31})), 9),
    ):
        mark = past.best(cursor)
        assert mark is not None
        assert mark.seq == seq


def test_of_those_that_stand_for_the_same_changes_the_first_is_kept() -> None:
    past = SnapshotHistory()
    past.remember(Snapshot(10, 10), 1)
    past.remember(Snapshot(20, 20), 1)
    past.remember(Snapshot(30, 30), 2)
    assert len(past) == 2
    mark = past.best(Snapshot(15, 15))
    assert mark is not None
    assert mark.snapshot == Snapshot(10, 10)


def test_it_is_bounded() -> None:
    past = SnapshotHistory()
    for number in range(1, 3 * snapshot.MOST_MARKS):
        past.remember(Snapshot(number, number), number)
    assert len(past) <= snapshot.MOST_MARKS


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.data())
def test_it_is_the_same_as_looking_at_each(steps: list[int], data: st.DataObject) -> None:
    past, marks, xmax = SnapshotHistory(), [], 1
    running: set[int] = set()
    for number, step in enumerate(steps):
        new = set(range(xmax, xmax + step))
        running = set(data.draw(st.sets(st.sampled_from(sorted(running | new)))))
        xmax += step
        snapshot = Snapshot(min(running, default=xmax), xmax, frozenset(running))
        past.remember(snapshot, number)
        marks.append(snapshot)
    at = data.draw(st.integers(1, xmax + 3))
    open_then = data.draw(st.sets(st.integers(1, at), max_size=5)) - {at}
    cursor = Snapshot(min(open_then, default=at), at, frozenset(open_then))
    shown = {tx for tx in range(1, at) if tx not in open_then}
    fit = [
        number
        for number, mark in enumerate(marks)
        if mark.xmax <= at and {tx for tx in range(1, mark.xmax) if tx not in mark.running} <= shown
    ]
    found = past.best(cursor)
    assert (None if found is None else found.seq) == (fit[-1] if fit else None)
