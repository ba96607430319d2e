"""Versions that the live lane alone has brought."""

from relay.stream.broker import MOST_AHEAD, Suspect, Unconfirmed
from relay.stream.change import HOTSPOTS, Change
from relay.stream.snapshot import Snapshot


def version(row_id: int, version: int, tx: int, *, deleted: bool = False) -> Change:
    record = None if deleted else {"id": row_id}
    return Change(HOTSPOTS, row_id, version, tx, record)


def at(xmax: int, *running: int) -> dict[int, Snapshot | None]:
    return {HOTSPOTS.number: Snapshot(min(running, default=xmax), xmax, frozenset(running))}


def test_a_version_that_a_read_has_brought_too_is_never_suspect() -> None:
    watched = Unconfirmed()
    watched.lived([version(7, 2, tx=10)])
    watched.read([version(7, 2, tx=10)])
    assert watched.suspects(at(20)) == []


def test_a_version_that_no_read_brings_though_it_should_is_suspect() -> None:
    watched = Unconfirmed()
    watched.lived([version(7, 9, tx=10), version(8, 1, tx=25)])
    watched.read([version(7, 3, tx=4)])
    assert watched.suspects(at(20)) == [Suspect(HOTSPOTS.number, 7, 9)]


def test_a_newer_version_confirms_and_a_deletion_is_a_version_like_any_other() -> None:
    watched = Unconfirmed()
    watched.lived([version(7, 2, tx=10), version(8, 3, tx=10, deleted=True)])
    watched.read([version(7, 3, tx=11), version(8, 3, tx=10, deleted=True)])
    assert watched.suspects(at(20)) == []


def test_a_commit_that_waits_for_a_standby_is_waited_for() -> None:
    watched = Unconfirmed()
    watched.lived([version(7, 2, tx=10), version(8, 2, tx=30)])
    assert watched.suspects(at(20, 10)) == []  # still running, and not begun when it was read


def test_a_transaction_that_cannot_have_been_yet_is_suspect() -> None:
    watched = Unconfirmed()
    watched.lived([version(7, 2, tx=21 + MOST_AHEAD)])
    assert len(watched.suspects(at(20))) == 1


def test_before_a_first_catch_up_nothing_is_suspect() -> None:
    watched = Unconfirmed()
    watched.lived([version(7, 2, tx=10)])
    assert watched.suspects({HOTSPOTS.number: None}) == []


def test_so_many_rows_and_no_more_are_watched() -> None:
    watched = Unconfirmed(most_kept=3)
    watched.lived(version(row_id, 1, tx=10) for row_id in range(10))
    assert [suspect.id for suspect in watched.suspects(at(20))] == [7, 8, 9]
