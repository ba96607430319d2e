"""Which of the changes that several sources bring are sent on."""

import pytest

from relay.stream.dedup import Deduplicator
from relay.stream.snapshot import Snapshot
from tests.relay.rows import change


def test_who_comes_first_is_sent_on_and_the_others_are_dropped() -> None:
    dedup = Deduplicator()
    assert dedup.accept(change(7, 1))
    assert not dedup.accept(change(7, 1))


def test_an_older_version_never_follows_a_newer_one() -> None:
    dedup = Deduplicator()
    assert dedup.accept(change(7, 3, tx=103))
    assert not dedup.accept(change(7, 2, tx=102))
    assert dedup.accept(change(7, 4, tx=104))


def test_a_deletion_is_a_version_like_any_other() -> None:
    dedup = Deduplicator()
    assert dedup.accept(change(7, 3, tx=103, deleted=True))
    assert not dedup.accept(change(7, 2, tx=102))
    assert not dedup.accept(change(7, 3, tx=103, deleted=True))
    assert dedup.accept(change(7, 4, tx=104))
    assert not dedup.accept(change(7, 3, tx=103, deleted=True))
    assert dedup.accept(change(7, 5, tx=105, deleted=True))


def test_what_a_completed_catch_up_showed_is_stale() -> None:
    dedup = Deduplicator()
    dedup.complete(Snapshot(100, 105, frozenset({102})))
    assert not dedup.accept(change(1, 1, tx=104))
    assert dedup.accept(change(2, 1, tx=102))
    assert dedup.accept(change(3, 1, tx=105))


def test_only_what_the_snapshot_does_not_show_is_kept_in_mind() -> None:
    dedup = Deduplicator()
    for row_id, tx in ((1, 100), (2, 101), (3, 102)):
        dedup.accept(change(row_id, 1, tx=tx))
    dedup.complete(Snapshot(101, 102, frozenset({101})))
    assert len(dedup) == 2
    assert not dedup.accept(change(1, 1, tx=100))


def test_a_snapshot_that_goes_back_is_refused() -> None:
    dedup = Deduplicator()
    dedup.complete(Snapshot(105, 105))
    with pytest.raises(ValueError, match="goes behind"):
        dedup.complete(Snapshot(104, 104))
    with pytest.raises(ValueError, match="goes behind"):
        dedup.complete(Snapshot(103, 106, frozenset({103})))


def test_another_epoch_begins_with_nothing() -> None:
    dedup = Deduplicator()
    dedup.accept(change(7, 9, tx=900))
    dedup.complete(Snapshot(1000, 1000))
    dedup.forget()
    dedup.complete(Snapshot(50, 50))
    assert dedup.accept(change(7, 2, tx=60))


def test_a_page_of_a_catch_up_is_as_good_as_all_of_it() -> None:
    dedup = Deduplicator()
    dedup.complete(Snapshot(100, 100))
    for row_id in range(1, 9):
        dedup.accept(change(row_id, 1, tx=100 + row_id))
    dedup.reach(Snapshot(106, 106))
    assert not dedup.accept(change(1, 1, tx=101))
    assert not dedup.accept(change(9, 1, tx=105))
    assert dedup.snapshot == Snapshot(100, 100)
    assert dedup.reached == Snapshot(106, 106)
    dedup.cover(Snapshot(110, 110))
    assert (len(dedup), dedup.snapshot) == (0, Snapshot(100, 100))
    dedup.complete(Snapshot(110, 110))
    assert (len(dedup), dedup.snapshot) == (0, dedup.reached)


def test_a_page_may_bring_a_version_whose_transaction_began_before_that_of_an_older_one() -> None:
    dedup = Deduplicator()
    dedup.complete(Snapshot(100, 104, frozenset({101})))
    assert dedup.accept(change(7, 4, tx=101))
    dedup.reach(Snapshot(103, 103))
    assert not dedup.accept(change(7, 3, tx=105))
    assert not dedup.accept(change(7, 4, tx=101))


def test_while_no_catch_up_completes_it_keeps_the_newest_in_mind() -> None:
    dedup = Deduplicator(most_sent=3)
    for row_id in (1, 2, 3):
        dedup.accept(change(row_id, 1))
    dedup.accept(change(1, 2))
    dedup.accept(change(4, 1))
    assert len(dedup) == 3
    assert not dedup.accept(change(1, 1))
    assert not dedup.accept(change(3, 1))
    assert dedup.accept(change(2, 1))


def test_a_change_that_a_later_snapshot_does_not_show_is_noticed() -> None:
    dedup = Deduplicator()
    dedup.accept(change(1, 1, tx=100))
    dedup.accept(change(2, 1, tx=101))
    accepted = dedup.accepted
    dedup.accept(change(3, 1, tx=102))
    assert not dedup.hidden_from(Snapshot(102, 102), accepted)
    assert dedup.hidden_from(Snapshot(101, 102, frozenset({101})), accepted)


def test_what_no_catch_up_has_shown_yet_is_kept_for_those_who_read() -> None:
    dedup = Deduplicator()
    dedup.accept(change(1, 1, tx=100))
    dedup.accept(change(2, 1, tx=101))
    dedup.accept(change(2, 2, tx=102, deleted=True))
    assert dedup.unshown() == {1: change(1, 1, tx=100), 2: change(2, 2, tx=102, deleted=True)}
    dedup.cover(Snapshot(101, 103, frozenset({102})))
    assert dedup.unshown() == {2: change(2, 2, tx=102, deleted=True)}
    assert dedup.unkept is None


def test_what_is_too_much_to_keep_is_known_by_its_transactions() -> None:
    dedup = Deduplicator(most_unshown_bytes=20_000)
    for n in range(30):
        dedup.accept(change(n, 1, tx=100 + n))
    kept = dedup.unshown()
    assert 0 < len(kept) < 30
    assert list(kept) == list(range(30 - len(kept), 30))
    unkept = dedup.unkept
    assert unkept is not None
    assert (unkept.first, unkept.last) == (100, 129 - len(kept))
    assert unkept.shown_by(Snapshot(130, 130))
    assert not unkept.shown_by(Snapshot(103, 130, frozenset({103})))
    assert not unkept.shown_by(Snapshot(101, 101))
    dedup.cover(Snapshot(103, 130, frozenset({103})))
    assert dedup.unkept == unkept
    dedup.cover(Snapshot(130, 130))
    assert dedup.unkept is None
    assert dedup.unshown() == {}


def test_large_rows_count_by_their_size() -> None:
    dedup = Deduplicator(most_unshown_bytes=20_000)
    dedup.accept(change(1, 1, tx=100))
    dedup.accept(change(2, 1, tx=101, entity="x" * 30_000))
    assert dedup.unshown() == {}
    dedup.accept(change(3, 1, tx=102))
    assert list(dedup.unshown()) == [3]


def test_what_was_forgotten_counts_as_hidden_until_its_transactions_are_shown() -> None:
    dedup = Deduplicator(most_sent=1)
    dedup.accept(change(1, 1, tx=100))
    dedup.accept(change(2, 1, tx=101))
    assert dedup.hidden_from(Snapshot(100, 102, frozenset({100})), dedup.accepted)
    assert not dedup.hidden_from(Snapshot(102, 102), dedup.accepted)
    dedup.cover(Snapshot(102, 103, frozenset({102})))
    assert not dedup.hidden_from(Snapshot(100, 103, frozenset({100})), dedup.accepted)
