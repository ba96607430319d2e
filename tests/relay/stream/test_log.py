"""The newest frames of an endpoint, and the budget that all logs share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.stream.log import ANNOUNCEMENT, DELETION, ENTRY_BYTES, Budget, Log, Overflow

PLENTY = 1 << 30


def log_of(max_frames: int = 1000, max_bytes: int = PLENTY, seq: int = 0) -> Log:
    return Log(Budget(max_bytes), max_frames=max_frames, seq=seq)


def since(log: Log, position: int, stop: int | None = None) -> list[bytes]:
    found = log.entries(position, log.head if stop is None else stop)
    return [frame for frame, _ in found]


def test_a_reader_gets_what_follows_its_position() -> None:
    log = log_of()
    for frame in (b"a", b"b", b"c"):
        log.append(frame)
    assert since(log, 1) == [b"b", b"c"]
    assert since(log, 0, 2) == [b"a", b"b"]
    assert since(log, log.head) == []


def test_a_reader_that_is_too_far_behind_is_told() -> None:
    log = log_of(max_frames=2)
    for frame in (b"a", b"b", b"c"):
        log.append(frame)
    assert since(log, 1) == [b"b", b"c"]
    with pytest.raises(Overflow):
        since(log, 0)
    with pytest.raises(Overflow):
        log.piece_end(0, 3, 100)


def test_the_newest_frame_stays_however_large() -> None:
    log = log_of(max_bytes=5)
    log.append(b"small")
    log.append(b"x" * 100)
    assert since(log, 1) == [b"x" * 100]
    assert log.tail == 1


@given(
    st.lists(st.binary(max_size=200), max_size=400),
    st.integers(1, 30),
    st.integers(1, 6000),
)
def test_it_is_the_end_of_all_that_was_appended(
    frames: list[bytes], max_frames: int, max_bytes: int
) -> None:
    log = log_of(max_frames, max_bytes)
    for frame in frames:
        log.append(frame)
    assert log.head == len(frames)
    kept = frames[log.tail :]
    assert since(log, log.tail) == kept
    assert len(kept) <= max_frames
    assert len(kept) <= 1 or taken(kept) <= max_bytes
    for position in range(log.tail, log.head + 1):
        behind = sum(len(frame) for frame in frames[position:])
        assert log.bytes_behind(position) == behind
    if log.tail > 0:  # nothing was dropped without need
        longer = frames[log.tail - 1 :]
        assert len(longer) > max_frames or taken(longer) > max_bytes


def taken(frames: list[bytes]) -> int:
    """What they cost."""
    return sum(len(frame) + ENTRY_BYTES for frame in frames)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2000)), max_size=300),
    st.integers(1, 20_000),
)
def test_all_logs_together_keep_within_the_budget_and_the_longest_gives_way(
    appended: list[tuple[int, int]], max_bytes: int
) -> None:
    budget = Budget(max_bytes)
    logs = [Log(budget, max_frames=1000) for _ in range(3)]
    for number, size in appended:
        before = [taken(since(log, log.tail)) for log in logs]
        tails = [log.tail for log in logs]
        logs[number].append(b"x" * size)
        before[number] += size + ENTRY_BYTES
        kept = [since(log, log.tail) for log in logs]
        used = sum(map(taken, kept))
        assert budget.used == used
        assert used <= max_bytes or all(len(frames) <= 1 for frames in kept)
        for tail, log, size_before in zip(tails, logs, before, strict=True):
            if log.tail > tail:  # it was the longest of those that had something to spare
                others = [taken(frames) for frames in kept if len(frames) > 1]
                assert size_before >= max(others, default=0)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=200),
    st.integers(1, 30),
    st.data(),
)
def test_changes_are_found_by_their_number(
    appended: list[tuple[bool, int]], max_frames: int, data: st.DataObject
) -> None:
    log = log_of(max_frames, seq=100)
    changes: list[tuple[int, int]] = []  # position and seq
    seq = 100
    for position, (is_change, step) in enumerate(appended):
        if is_change:
            seq += step
            changes.append((position, seq))
        about = DELETION if is_change else ANNOUNCEMENT
        log.append(b"%d" % position, about, seq if is_change else None)
    gone = [number for position, number in changes if position < log.tail]
    after = data.draw(st.integers(95, seq + 2))
    assert log.covers(after) == (after >= (gone[-1] if gone else 100))
    if log.covers(after):
        found = log.entries(log.after(after), log.head)
        assert [frame for frame, about in found if about is not ANNOUNCEMENT] == [
            b"%d" % place for place, number in changes if number > after
        ]


@given(
    st.lists(st.binary(max_size=20), min_size=1, max_size=100),
    st.integers(1, 60),
    st.data(),
)
def test_a_piece_ends_where_more_would_be_too_much(
    frames: list[bytes], most_bytes: int, data: st.DataObject
) -> None:
    log = log_of()
    for frame in frames:
        log.append(frame)
    position = data.draw(st.integers(0, len(frames) - 1))
    stop = data.draw(st.integers(position + 1, len(frames) + 3))
    end = log.piece_end(position, stop, most_bytes)
    assert position < end <= min(stop, log.head)
    size = sum(map(len, frames[position:end]))
    assert size <= most_bytes or end == position + 1
    if end < min(stop, log.head):
        assert size + len(frames[end]) > most_bytes
