"""What is made for resuming clients: shared, within a budget, and nothing for who left."""

import json
from collections.abc import Iterable

import pytest

from relay.resume import resume
from relay.resume.backfill import CHUNK_BYTES, CHUNK_CHANGES, Backfill, Chunk, in_chunks
from relay.resume.resume import RenderCache
from relay.stream import encoding
from relay.stream.change import HOTSPOTS, Change
from relay.stream.encoding import Format, Piece, texts
from relay.stream.fan_out import Departure
from relay.stream.filters import Filter
from relay.stream.hub import Group, Stream
from relay.stream.log import Overflow
from relay.stream.snapshot import Snapshot
from tests.relay.rows import change

SEVERITIES = ("info", "warn", "critical")
WARN = Filter.of(HOTSPOTS, {"severity": frozenset({"warn"})})
ALL = Filter(HOTSPOTS)
OLD = Snapshot(1, 1)
COUNT = 10 * CHUNK_CHANGES


class Member:
    """A client that is sent nothing."""

    def fell_behind(self, left: Departure) -> None: ...
    def flushed(self) -> None: ...
    def start_anew(self) -> None: ...


def made(count: int) -> list[Change]:
    """Hotspots of all severities in turn, in the order of ids and transactions."""
    return [change(n + 1, 1, 1000 + n, severity=SEVERITIES[n % 3]) for n in range(count)]


def group_of(wanted: Filter, *, compressed: bool = False) -> Group:
    return Stream(HOTSPOTS).join(Format.EVENTS, wanted, Member(), compressed=compressed)


def ids(found: Iterable[Piece]) -> list[int]:
    messages = (json.loads(text) for piece in found for text in texts(piece.data))
    return [each["record"]["id"] if "record" in each else each["id"] for each in messages]


def missed_of(changes: list[Change], newer: dict[int, int] | None = None) -> Backfill:
    chunks = [
        Chunk(changes[start : start + CHUNK_CHANGES], start)
        for start in range(0, len(changes), CHUNK_CHANGES)
    ]
    number = HOTSPOTS.number
    return Backfill(
        since=Snapshot(1, 1),
        upto=Snapshot(10**6, 10**6),
        seqs={number: 0},
        generation=0,
        newer={number: newer or {}},
        now=lambda: 0.0,
        used_at=0.0,
        chunks={number: chunks},
    )


@pytest.mark.parametrize("xmax", [1, 1000, 1001, 1000 + 457, 1000 + COUNT])
def test_of_a_read_each_gets_what_its_own_cursor_does_not_show(xmax: int) -> None:
    running = frozenset({1003, 1150}) if xmax > 1300 else frozenset()
    since = Snapshot(min(running, default=xmax), xmax, running)
    found = RenderCache().missed(group_of(WARN), missed_of(made(COUNT)), since)
    assert ids(found) == [
        each.id
        for each in made(COUNT)
        if not since.shows(each.tx) and each.record and each.record["severity"] == "warn"
    ]


def test_cursors_share_the_chunks_that_are_new_to_all_of_them() -> None:
    missed, group, made_for = missed_of(made(COUNT)), group_of(ALL, compressed=True), RenderCache()
    one, other = (
        list(made_for.missed(group, missed, Snapshot(xmax, xmax))) for xmax in (1010, 1020)
    )
    assert (len(one), len(other)) == (10, 10)
    assert [a.data is b.data for a, b in zip(one, other, strict=True)] == [False] + [True] * 9


def test_a_group_that_comes_back_shares_them_too() -> None:
    missed, made_for = missed_of(made(COUNT)), RenderCache()
    one, other = (list(made_for.missed(group_of(WARN), missed, OLD)) for _ in range(2))
    assert all(a is b for a, b in zip(one, other, strict=True))


def test_who_leaves_is_the_last_for_whom_something_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[int] = []

    def counted(events: Iterable[bytes], wanted: Filter) -> list[bytes]:
        listed = list(events)
        parsed.append(len(listed))
        return list(encoding.filtered(listed, wanted))

    monkeypatch.setattr(resume, "filtered", counted)
    script = RenderCache().missed(group_of(WARN), missed_of(made(COUNT)), OLD)
    next(script)
    del script
    assert parsed == [CHUNK_CHANGES]


def test_where_nothing_is_wanted_others_get_their_turn_between_chunks() -> None:
    nobody = Filter.of(HOTSPOTS, {"entity": frozenset({"nobody"})})
    found = list(RenderCache().missed(group_of(nobody), missed_of(made(COUNT)), OLD))
    assert found == [Piece(b"", 0)] * 10


def test_chunks_of_long_rows_have_fewer_of_them() -> None:
    short, long = made(250), [change(n, 1, entity="x" * 10_000) for n in range(100)]
    assert [len(chunk) for chunk in in_chunks(short)] == [CHUNK_CHANGES, CHUNK_CHANGES, 50]
    chunks = list(in_chunks(long))
    assert [each for chunk in chunks for each in chunk] == long
    assert max(sum(each.size() for each in chunk) for chunk in chunks) <= CHUNK_BYTES
    huge = change(1, 1, entity="x" * 2 * CHUNK_BYTES)
    assert [len(chunk) for chunk in in_chunks([huge, huge])] == [1, 1]


def test_what_is_kept_stays_within_its_budget() -> None:
    missed, most = missed_of(made(COUNT)), 50_000
    made_for = RenderCache(most)
    for n in range(40):
        wanted = Filter.of(HOTSPOTS, {"severity": frozenset({"warn", f"x{n}"})})
        assert len(ids(made_for.missed(group_of(wanted), missed, OLD))) == COUNT // 3
        assert made_for.size <= most
    held = sum(len(piece.data) for found in made_for._kept.values() for piece in found)
    assert 0 < held <= made_for.size


def test_a_version_that_the_logs_have_too_comes_once() -> None:
    missed = missed_of(made(6), newer={2: 1, 3: 2, 4: 0})
    assert ids(RenderCache().missed(group_of(ALL), missed, OLD)) == [1, 4, 5, 6]


def test_a_read_that_had_to_make_room_ends_the_replay() -> None:
    missed = missed_of(made(COUNT))
    script = RenderCache().missed(group_of(WARN), missed, OLD)
    next(script)
    missed.chunks = None
    with pytest.raises(Overflow):
        list(script)
