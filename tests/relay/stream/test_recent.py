"""The last changes of an endpoint."""

from relay.stream.log import RecentChanges
from tests.relay.rows import change


def test_the_newest_change_of_each_row_after_a_place() -> None:
    recent = RecentChanges(seq=10)
    for each in (change(1, 1), change(2, 1), change(1, 2), change(3, 1, deleted=True)):
        recent.append(each)
    assert recent.since(14) == {}
    assert recent.since(12) == {3: change(3, 1, deleted=True), 1: change(1, 2)}
    assert recent.since(10) == {3: change(3, 1, deleted=True), 1: change(1, 2), 2: change(2, 1)}


def test_what_is_not_kept_any_more_is_not_told_in_part() -> None:
    recent = RecentChanges(seq=0, most=2)
    for row_id in (1, 2, 3):
        recent.append(change(row_id, 1))
    assert recent.since(0) is None
    assert recent.since(1) is not None
    assert recent.since(4) is None


def test_large_rows_count_by_their_size() -> None:
    recent = RecentChanges(seq=0, most_bytes=20_000)
    recent.append(change(1, 1))
    recent.append(change(2, 1, entity="x" * 30_000))
    assert recent.since(1) is None
    assert recent.since(2) == {}


def test_nothing_is_known_of_another_history() -> None:
    recent = RecentChanges(seq=0)
    recent.append(change(1, 1))
    recent.forget()
    assert recent.since(0) is None
    assert recent.since(1) == {}
