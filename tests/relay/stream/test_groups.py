"""What reaches which clients."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.stream import encoding
from relay.stream.change import ALERTS, HOTSPOTS
from relay.stream.encoding import Format, framed, texts
from relay.stream.fan_out import Departure
from relay.stream.filters import Filter
from relay.stream.hub import MOST_BYTES, Group, Hub, Stream
from relay.stream.log import LogLimits
from tests.relay.rows import change


class Reader:
    """A client that notes what it is sent, and falls behind when its room is used up."""

    def __init__(self, group: Group | None = None, room: int = 1000) -> None:
        self.group = group
        self.room = room
        self.written: list[bytes] = []
        self.told: list[str] = []
        self.left: Departure | None = None

    def write(self, frames: bytes) -> None:
        """Its socket."""
        self.written.append(frames)
        self.room -= 1
        if self.room == 0 and self.group is not None:
            self.group.fall_behind(self)

    def fell_behind(self, left: Departure) -> None:
        self.told.append("fell behind")
        self.left = left

    def flushed(self) -> None:
        self.told.append("flushed")

    def start_anew(self) -> None:
        self.told.append("start anew")


def hotspots_with(**terms: str) -> Filter:
    return Filter.of(HOTSPOTS, {name: frozenset(text.split(",")) for name, text in terms.items()})


def sent(group: Group) -> list[dict[str, Any]]:
    """What members get of the whole log, one by one."""
    return [json.loads(message) for message in messages(group)]


def messages(group: Group, most_bytes: int = 300) -> list[str]:
    found, position = list[str](), 0
    while position < group.log.head:
        piece, position = group.read(position, group.log.head, most_bytes)
        read = list(texts(piece.data))
        assert len(read) == piece.frames
        found += read
    return found


def flush(stream: Stream) -> int:
    """Sends all that there is; how many frames that were for all clients together."""
    count = 0
    while stream.flushed < stream.log.head:
        while (step := stream.send(1 << 20, 1000)) is not None:
            count += step.frames * step.clients
    return count


def test_each_format_gets_its_own_frames() -> None:
    stream = Stream(HOTSPOTS)
    rows = stream.join(Format.ROWS, Filter(HOTSPOTS), Reader())
    events = stream.join(Format.EVENTS, Filter(HOTSPOTS), Reader())
    stream.publish([change(7, 1), change(7, 2, deleted=True)])
    assert messages(rows) == [encoding.row(change(7, 1)), '{"id":7,"deleted":true}']
    assert [(event["type"], event["seq"]) for event in sent(events)] == [
        ("INSERT", 1),
        ("DELETE", 2),
    ]


def test_a_stream_is_said_to_have_changed_once_for_many_changes() -> None:
    changed: list[Stream] = []
    stream = Stream(HOTSPOTS, changed=changed.append)
    stream.publish([change(number) for number in range(1, 9)])
    assert changed == [stream]


def test_who_wants_other_rows_is_left_alone() -> None:
    stream, reader = Stream(HOTSPOTS), Reader()
    group = stream.join(Format.ROWS, hotspots_with(severity="critical"), reader)
    group.keep(reader, reader.write, None)
    stream.publish([change(7, 1, severity="info"), change(7, 2, severity="warn")])
    assert sent(group) == []
    flush(stream)
    assert reader.written == []


def followers(stream: Stream, count: int, wanted: Filter | None = None) -> list[Reader]:
    """So many clients of bare rows who keep up."""
    readers = [Reader() for _ in range(count)]
    for reader in readers:
        reader.group = stream.join(Format.ROWS, wanted or Filter(HOTSPOTS), reader)
        reader.group.keep(reader, reader.write, None)
    return readers


def test_those_who_keep_up_are_written_the_same_bytes_once() -> None:
    stream = Stream(HOTSPOTS)
    readers = followers(stream, 3)
    assert readers[0].group is not None
    stream.publish([change(1), change(2), change(3)])
    assert flush(stream) == 9
    assert list(texts(readers[0].written[0])) == messages(readers[0].group)
    assert all(reader.written[0] is readers[0].written[0] for reader in readers)
    assert readers[0].group.flushed == stream.log.head


def test_a_thousand_filters_that_let_the_same_rows_pass_are_sent_the_same_bytes() -> None:
    stream = Stream(HOTSPOTS)
    readers = [
        reader
        for number in range(1000)
        for reader in followers(stream, 1, hotspots_with(entity=f"SUP-1,other-{number}"))
    ]
    stream.publish([change(number, entity="SUP-1") for number in range(50)])
    stream.publish([change(99, entity="other-7")])
    flush(stream)
    assert len({id(reader.written[0]) for reader in readers}) == 2
    assert [len(list(texts(readers[number].written[0]))) for number in (6, 7)] == [50, 51]


def test_what_does_not_fit_into_a_round_comes_with_the_next_one() -> None:
    stream = Stream(HOTSPOTS)
    (reader,) = followers(stream, 1)
    stream.publish([change(number, text="x" * (MOST_BYTES // 4)) for number in range(10)])
    rounds = []
    while stream.flushed < stream.log.head:
        step = stream.send(1, 1)
        assert step is not None
        rounds.append(step.frames)
        assert stream.send(1, 1) is None
    assert rounds == [3, 3, 3, 1]
    assert reader.group is not None
    assert list(texts(b"".join(reader.written))) == messages(reader.group)


def test_a_step_goes_to_no_more_clients_than_it_may() -> None:
    stream = Stream(HOTSPOTS)
    readers = followers(stream, 10)
    stream.publish([change(1)])
    most = 3 * (len(framed(encoding.row(change(1)))) + 900)
    steps = []
    while (step := stream.send(most, 900)) is not None:
        steps.append(step.clients)
    assert steps == [3, 3, 3, 1]
    assert all(len(reader.written) == 1 for reader in readers)


def test_who_falls_behind_in_a_round_has_had_all_of_it() -> None:
    stream = Stream(HOTSPOTS)
    slow, fast = followers(stream, 2)
    slow.room = 1
    stream.publish([change(1)])
    flush(stream)
    assert slow.group is not None
    assert (slow.told, list(slow.group.caught_up)) == (["fell behind"], [fast])
    assert slow.left == (stream.log.head, 1)
    stream.publish([change(2)])
    flush(stream)
    assert (len(slow.written), len(fast.written)) == (1, 2)


@given(
    st.lists(st.tuples(st.sampled_from(["come", "go", "step", "publish"]), st.integers(0, 9))),
    st.integers(0, 2),
)
def test_who_comes_or_goes_in_the_middle_of_a_round_gets_everything_once(
    happened: list[tuple[str, int]], groups: int
) -> None:
    stream, number = Stream(HOTSPOTS), 0
    filters = [Filter(HOTSPOTS), *(hotspots_with(entity=f"SUP-1,{n}") for n in range(groups))]
    here: list[tuple[Reader, Group, int]] = []
    gone: list[tuple[Reader, int, int]] = []
    for what, which in [*happened, *[("step", 0)] * 400]:
        if what == "come":
            reader = Reader()
            group = stream.join(Format.ROWS, filters[which % len(filters)], reader)
            here.append((reader, group, group.flushed))
            group.keep(reader, reader.write, None)
        elif what == "go" and here:
            reader, group, start = here.pop(which % len(here))
            left = group.drop(reader)
            assert left is not None
            gone.append((reader, start, left.position))
            stream.leave(group, reader)
        elif what == "publish":
            stream.publish([change(number := number + 1, entity="SUP-1") for _ in range(which)])
        elif what == "step":
            stream.send(1000, 400)
    assert stream.flushed == stream.log.head
    for reader, start, stop in [*gone, *((each, start, number) for each, _, start in here)]:
        found = [json.loads(message)["id"] for message in texts(b"".join(reader.written))]
        assert found == list(range(start + 1, stop + 1))


def test_more_at_once_than_the_log_holds_leaves_everybody_behind() -> None:
    stream = Stream(HOTSPOTS, LogLimits(max_frames=3))
    (reader,) = followers(stream, 1)
    stream.publish([change(number) for number in range(1, 6)])
    assert flush(stream) == 0
    assert reader.group is not None
    assert (reader.written, reader.told, list(reader.group.caught_up)) == ([], ["fell behind"], [])
    assert reader.left == (0, 0)
    assert reader.group.flushed == stream.log.head


def test_a_row_that_may_have_matched_leaves() -> None:
    stream = Stream(HOTSPOTS)
    group = stream.join(Format.EVENTS, hotspots_with(status="active"), Reader())
    stream.publish([change(7, 1), change(7, 2, status="resolved"), change(8, 1, status="ignored")])
    assert [event["type"] for event in sent(group)] == ["INSERT", "LEAVE"]
    assert sent(group)[1] == {"type": "LEAVE", "table": "hotspots", "id": 7, "version": 2, "seq": 2}


@pytest.mark.parametrize("column", list(HOTSPOTS.filters))
def test_a_row_leaves_whatever_column_was_changed(column: str) -> None:
    stream = Stream(HOTSPOTS)
    group = stream.join(Format.EVENTS, hotspots_with(**{column: "before"}), Reader())
    before, after = dict[str, Any]({column: "before"}), dict[str, Any]({column: "after"})
    stream.publish([change(7, 1, **before), change(7, 2, **after)])
    assert [event["type"] for event in sent(group)] == ["INSERT", "LEAVE"]


def test_equal_filters_share_a_log_that_vanishes_with_its_last_reader() -> None:
    stream, one, two = Stream(HOTSPOTS), Reader(), Reader()
    group = stream.join(Format.ROWS, hotspots_with(severity="warn,info"), one)
    assert stream.join(Format.ROWS, hotspots_with(severity="info,warn"), two) is group
    stream.leave(group, one)
    assert group in stream.groups()
    stream.leave(group, two)
    assert group not in stream.groups()


def test_a_log_goes_on_without_readers() -> None:
    stream, reader = Stream(HOTSPOTS), Reader()
    stream.publish([change(7)])
    late = stream.join(Format.EVENTS, hotspots_with(entity="SUP-1"), reader)
    assert [event["record"]["id"] for event in sent(late)] == [7]


def test_a_row_whose_last_version_is_known_leaves_only_those_who_may_hold_it() -> None:
    stream = Stream(HOTSPOTS)
    names = ("before", "after", "other")
    readers = {name: Reader() for name in names}
    for name, reader in readers.items():
        group = stream.join(Format.EVENTS, hotspots_with(status=name), reader)
        group.keep(reader, reader.write, None)
    stream.publish(
        [
            change(7, 4, status="before"),  # any of them may hold an earlier version
            change(7, 5, status="after"),
            change(7, 7, status="after"),  # what was in between is not known
            change(7, 8, deleted=True),
            change(7, 9, status="after"),  # put back
        ]
    )
    flush(stream)
    types = {
        name: [json.loads(each)["type"] for each in texts(b"".join(reader.written))]
        for name, reader in readers.items()
    }
    assert types == {
        "before": ["UPDATE", "LEAVE", "LEAVE", "DELETE"],
        "after": ["LEAVE", "UPDATE", "UPDATE", "DELETE", "UPDATE"],
        "other": ["LEAVE", "LEAVE", "DELETE"],
    }


def test_each_filter_is_sent_its_own_cursor_and_who_is_late_only_the_newest() -> None:
    stream = Stream(HOTSPOTS)
    readers = [Reader() for _ in range(3)]
    for reader, wanted in zip(readers, ("a", "b", "b"), strict=True):
        group = stream.join(Format.EVENTS, hotspots_with(entity=wanted), reader)
        group.keep(reader, reader.write, None)
    bare = followers(stream, 1)[0]
    for place in ("first", "second"):
        stream.publish([change(1, entity="a")])
        stream.announce_cursors((place + " {}").format)
        if place == "first":
            flush(stream)
    late = sent(group)
    flush(stream)
    assert [
        [json.loads(each).get("cursor") for each in texts(b"".join(reader.written))]
        for reader in readers
    ] == [
        [None, "first entity=a", None, "second entity=a"],
        ["first entity=b", "second entity=b"],
        ["first entity=b", "second entity=b"],
    ]
    assert late == [{"type": "cursor", "cursor": "second entity=b"}]
    assert len(list(texts(b"".join(bare.written)))) == 2


def test_bare_rows_never_get_anything_else() -> None:
    stream = Stream(HOTSPOTS)
    rows = stream.join(Format.ROWS, Filter(HOTSPOTS), Reader())
    events = stream.join(Format.EVENTS, Filter(HOTSPOTS), Reader())
    stream.announce(encoding.status("down"))
    assert messages(rows) == []
    assert messages(events) == ['{"type":"status","upstream":"down"}']


def test_changes_go_to_their_endpoint() -> None:
    hub = Hub()
    hub.publish([change(1), change(2, endpoint=ALERTS), change(3)])
    assert (hub[HOTSPOTS].seq, hub[ALERTS].seq) == (2, 1)


def test_a_recording_holds_the_newest_change_of_each_id() -> None:
    stream = Stream(HOTSPOTS)
    stream.publish([change(1, 1)])
    recorded = stream.record()
    stream.publish([change(1, 2), change(2, 1), change(1, 3)])
    stream.stop_recording(recorded)
    stream.publish([change(1, 4)])
    assert recorded == {1: change(1, 3), 2: change(2, 1)}


FILTERS = st.builds(
    lambda terms: Filter.of(HOTSPOTS, terms),
    st.dictionaries(
        st.sampled_from(["entity", "severity", "status"]),
        st.frozensets(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=2),
    ),
)
COLUMNS = st.fixed_dictionaries(
    {name: st.sampled_from(["a", "b", "c", None]) for name in ("entity", "severity", "status")}
)


def holding(messages: Iterable[str], before: dict[int, int]) -> set[int]:
    """The rows that a client holds which follows the protocol and held those versions before."""
    held = dict(before)
    for message in map(json.loads, messages):
        if message["type"] in ("INSERT", "UPDATE"):
            held[message["record"]["id"]] = message["version"]
        else:
            row_id = message["id"] if message["type"] == "LEAVE" else message["old_record"]["id"]
            held.pop(row_id, None)
    return set(held)


@given(
    st.lists(st.tuples(st.sampled_from(Format), FILTERS), max_size=8),
    st.lists(st.tuples(st.integers(1, 3), COLUMNS | st.none(), st.integers(1, 2)), max_size=12),
    st.integers(1, 100),
)
def test_every_group_gets_what_its_filter_alone_decides(
    wanted: list[tuple[Format, Filter]],
    written: list[tuple[int, dict[str, Any] | None, int]],
    most_bytes: int,
) -> None:
    stream = Stream(HOTSPOTS)
    leaving = Reader()
    for format, each in wanted[::2]:  # who left must leave nothing behind
        stream.leave(stream.join(format, each, leaving), leaving)
    readers = [Reader() for _ in wanted]
    for reader, (format, each) in zip(readers, wanted, strict=True):
        reader.group = stream.join(format, each, reader)
        reader.group.keep(reader, reader.write, None)
    newest: dict[int, tuple[int, dict[str, Any] | None]] = {}
    for row_id, columns, more in written:  # the first version that is published may be any
        version = newest.get(row_id, (row_id - 1, None))[0] + more
        newest[row_id] = version, columns
        stream.publish([change(row_id, version, deleted=columns is None, **(columns or {}))])
    flush(stream)
    for reader in readers:
        assert reader.group is not None
        found = list(texts(b"".join(reader.written)))
        assert found == messages(reader.group, most_bytes)
        allowed = {name: set(values) for name, values in reader.group.wanted.terms}
        passing = {
            row_id
            for row_id, (_, columns) in newest.items()
            if columns is not None and passes(columns, allowed)
        }
        if reader.group.format is Format.EVENTS:
            # A client that came with a cursor may hold any row whose first version is not here.
            for before in ({}, {2: 1, 3: 1}):
                written_to = {row_id: 1 for row_id in before if row_id in newest}
                assert holding(found, written_to) == passing
        else:
            rows = [columns for _, columns, _ in written]
            shown = [each for each in rows if each is None or passes(each, allowed)]
            assert ["deleted" in json.loads(each) for each in found] == [
                each is None for each in shown
            ]


def passes(columns: dict[str, Any], allowed: dict[str, set[str]]) -> bool:
    return all(columns[name] in values for name, values in allowed.items())
