"""Snapshots against their definition: a set of visible transactions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.stream.snapshot import Snapshot, common


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    xmax = draw(st.integers(1, 30))
    running = draw(st.frozensets(st.integers(1, xmax), max_size=6)) - {xmax}
    return Snapshot(min(running, default=xmax), xmax, running)


def visible(snapshot: Snapshot) -> set[int]:
    return {tx for tx in range(1, 40) if tx < snapshot.xmax and tx not in snapshot.running}


@given(snapshots())
def test_text_and_back(snapshot: Snapshot) -> None:
    assert Snapshot.parse(str(snapshot)) == snapshot


@given(snapshots(), st.integers(1, 40))
def test_shows_what_is_visible(snapshot: Snapshot, tx: int) -> None:
    assert snapshot.shows(tx) == (tx in visible(snapshot))


@given(snapshots(), snapshots())
def test_covers_another_one_when_all_of_that_is_visible(one: Snapshot, other: Snapshot) -> None:
    if one.covers(other):
        assert visible(other) <= visible(one)
    elif one.xmax >= other.xmax:
        assert not visible(other) <= visible(one)


@pytest.mark.parametrize("text", ["", "1:2", "a:b:", "5:4:", "0:1:", "1:2:3,x", "1:2:3:4"])
def test_other_text_is_no_snapshot(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Snapshot.parse(text)


@given(snapshots(), st.integers(0, 6))
def test_a_narrowed_one_shows_less(snapshot: Snapshot, most: int) -> None:
    narrowed = snapshot.narrowed(most)
    assert len(narrowed.running) <= most
    assert visible(narrowed) <= visible(snapshot)
    assert Snapshot.parse(str(narrowed)) == narrowed


@given(st.lists(snapshots(), min_size=1, max_size=4))
def test_what_several_have_in_common(several: list[Snapshot]) -> None:
    assert visible(common(several)) == set.intersection(*map(visible, several))
    assert Snapshot.parse(str(common(several))) == common(several)


@given(snapshots(), st.data())
def test_what_is_reached_on_the_way_to_a_newer_one(since: Snapshot, data: st.DataObject) -> None:
    xmax = data.draw(st.integers(since.xmax, 35))
    may_run = since.running | set(range(since.xmax, xmax))
    running = data.draw(st.frozensets(st.sampled_from(sorted(may_run)))) if may_run else frozenset()
    upto = Snapshot(min(running, default=xmax), xmax, running)
    tx = data.draw(st.integers(1, xmax))
    reached = since.reached(upto, tx)
    read = {each for each in visible(upto) - visible(since) if each < tx}
    assert visible(reached) == visible(since) | read
    assert upto.covers(reached)
    assert reached.covers(since)
    assert Snapshot.parse(str(reached)) == reached
