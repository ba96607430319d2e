"""The ring of frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.changes.log import Log, Overflow


def test_a_reader_gets_what_follows_its_position() -> None:
    log = Log(max_frames=10, max_bytes=1000)
    for frame in (b"a", b"b", b"c"):
        log.append(frame)
    assert log.since(1) == [b"b", b"c"]
    assert log.since(0, 2) == [b"a", b"b"]
    assert log.since(log.head) == []


def test_a_reader_that_is_too_far_behind_is_told() -> None:
    log = Log(max_frames=2, max_bytes=1000)
    for frame in (b"a", b"b", b"c"):
        log.append(frame)
    assert log.since(1) == [b"b", b"c"]
    with pytest.raises(Overflow):
        log.since(0)


def test_the_newest_frame_stays_however_large() -> None:
    log = Log(max_frames=10, max_bytes=5)
    log.append(b"small")
    log.append(b"x" * 100)
    assert log.since(1) == [b"x" * 100]
    assert log.tail == 1


@given(
    st.lists(st.binary(max_size=20), max_size=400),
    st.integers(1, 30),
    st.integers(1, 200),
)
def test_it_is_the_end_of_all_that_was_appended(
    frames: list[bytes], max_frames: int, max_bytes: int
) -> None:
    log = Log(max_frames=max_frames, max_bytes=max_bytes)
    for frame in frames:
        log.append(frame)
    assert log.head == len(frames)
    kept = frames[log.tail :]
    assert log.since(log.tail) == kept
    assert len(kept) <= max_frames
    assert len(kept) <= 1 or sum(len(frame) for frame in kept) <= max_bytes
    for position in range(log.tail, log.head + 1):
        behind = sum(len(frame) for frame in frames[position:])
        assert log.bytes_behind(position) == behind
    if log.tail > 0:  # nothing was dropped without need
        longer = frames[log.tail - 1 :]
        too_big = sum(len(frame) for frame in longer) > max_bytes
        assert len(longer) > max_frames or too_big


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=200),
    st.integers(1, 30),
    st.data(),
)
def test_changes_are_found_by_their_number(
    appended: list[tuple[bool, int]], max_frames: int, data: st.DataObject
) -> None:
    log = Log(max_frames=max_frames, max_bytes=10_000, seq=100)
    changes: list[tuple[int, int]] = []  # position and seq
    seq = 100
    for position, (is_change, step) in enumerate(appended):
        if is_change:
            seq += step  # those in between did not pass the filter
            changes.append((position, seq))
        kind = "change" if is_change else "other"
        log.append(f"{kind} {position}".encode(), seq if is_change else None)
    gone = [number for position, number in changes if position < log.tail]
    after = data.draw(st.integers(95, seq + 2))
    assert log.covers(after) == (after >= (gone[-1] if gone else 100))
    if log.covers(after):
        position = log.after(after)
        assert log.changes(position, log.head) == [
            b"change %d" % place for place, number in changes if number > after
        ]


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=20)), min_size=1, max_size=100),
    st.integers(1, 60),
    st.booleans(),
    st.data(),
)
def test_pieces_hold_what_is_asked_for_and_no_more(
    appended: list[tuple[bool, bytes]], most_bytes: int, changes_only: bool, data: st.DataObject
) -> None:
    log = Log(max_frames=1000, max_bytes=10_000)
    for number, (is_change, frame) in enumerate(appended):
        log.append(frame, number + 1 if is_change else None)
    position = data.draw(st.integers(0, len(appended) - 1))
    stop = data.draw(st.integers(position + 1, len(appended) + 3))
    piece, end = log.joined(position, stop, most_bytes, changes_only=changes_only)
    assert position < end <= min(stop, log.head)
    among = appended[position:end]
    kept = [frame for is_change, frame in among if is_change or not changes_only]
    assert (piece.data, piece.frames) == (b"".join(kept), len(kept))
    size = sum(len(frame) for _, frame in among)
    assert size <= most_bytes or len(among) == 1
    if end < min(stop, log.head):  # one more would have been too much
        assert size + len(appended[end][1]) > most_bytes
    again, _ = log.joined(position, stop, most_bytes, changes_only=changes_only)
    assert again is piece


def test_a_piece_before_the_ring_is_refused() -> None:
    log = Log(max_frames=1, max_bytes=100)
    log.append(b"a")
    log.append(b"b")
    with pytest.raises(Overflow):
        log.joined(0, 2, 100)
