"""What reaches which clients."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.changes import frames
from relay.changes.endpoints import ALERTS, HOTSPOTS
from relay.changes.filters import Filter
from relay.changes.groups import Format, Group, LogLimits
from relay.changes.streams import Stream, Streams
from relay.changes.wire import texts
from tests.relay.rows import change


class Reader:
    """A client that notes what it is sent, and falls behind when its room is used up."""

    def __init__(self, group: Group | None = None, room: int = 1000) -> None:
        self.group = group
        self.room = room
        self.written: list[bytes] = []
        self.told: list[str] = []

    def write(self, frames: bytes) -> None:
        """Its socket."""
        self.written.append(frames)
        self.room -= 1
        if self.room == 0 and self.group is not None:
            self.group.fall_behind(self)

    def fell_behind(self) -> None:
        self.told.append("fell behind")

    def flushed(self) -> None:
        self.told.append("flushed")

    def start_anew(self) -> None:
        self.told.append("start anew")


def hotspots_with(**terms: str) -> Filter:
    return Filter.of(HOTSPOTS, {name: frozenset(text.split(",")) for name, text in terms.items()})


def sent(group: Group) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages(group)]


def messages(group: Group) -> list[str]:
    return list(texts(b"".join(group.log.since(0))))


def test_each_format_gets_its_own_frames() -> None:
    stream = Stream(HOTSPOTS)
    rows = stream.join(Format.ROWS, Filter(HOTSPOTS), Reader())
    events = stream.join(Format.EVENTS, Filter(HOTSPOTS), Reader())
    stream.publish([change(7, 1), change(7, 2, deleted=True)])
    assert messages(rows) == [frames.row(change(7, 1)), '{"id":7,"deleted":true}']
    assert [(event["type"], event["seq"]) for event in sent(events)] == [
        ("INSERT", 1),
        ("DELETE", 2),
    ]


def test_a_group_is_said_to_have_changed_once_for_many_changes() -> None:
    changed: list[Group] = []
    stream = Stream(HOTSPOTS, changed=changed.append)
    group = stream.join(Format.ROWS, Filter(HOTSPOTS), Reader())
    stream.publish([change(number) for number in range(1, 9)])
    assert sorted(changed, key=id) == sorted([group, stream.everything], key=id)


def test_who_wants_other_rows_is_left_alone() -> None:
    changed: list[Group] = []
    stream = Stream(HOTSPOTS, changed=changed.append)
    group = stream.join(Format.ROWS, hotspots_with(severity="critical"), Reader())
    stream.publish([change(7, 1, severity="info"), change(7, 2, severity="warn")])
    assert sent(group) == []
    assert group not in changed


def test_those_who_keep_up_are_written_the_same_bytes_once() -> None:
    stream = Stream(HOTSPOTS)
    readers = [Reader() for _ in range(3)]
    for reader in readers:
        group = stream.join(Format.ROWS, Filter(HOTSPOTS), reader)
        group.keeping.add(reader, reader.write)
    stream.publish([change(1), change(2), change(3)])
    assert group.flush(1000) == 3
    assert readers[0].written == [b"".join(group.log.since(0))]
    assert all(reader.written[0] is readers[0].written[0] for reader in readers)
    assert group.flushed == group.log.head


def test_what_does_not_fit_into_a_flush_comes_with_the_next_one() -> None:
    stream, reader = Stream(HOTSPOTS), Reader()
    group = stream.join(Format.ROWS, Filter(HOTSPOTS), reader)
    group.keeping.add(reader, reader.write)
    stream.publish([change(number) for number in range(100, 110)])
    size = len(group.log.since(0)[0])
    assert [group.flush(4 * size) for _ in range(3)] == [4, 4, 2]
    assert b"".join(reader.written) == b"".join(group.log.since(0))


def test_who_falls_behind_in_a_flush_has_had_all_of_it() -> None:
    stream = Stream(HOTSPOTS)
    group = stream.join(Format.ROWS, Filter(HOTSPOTS), Reader())
    slow, fast = Reader(group, room=1), Reader(group)
    for reader in (slow, fast):
        group.keeping.add(reader, reader.write)
    stream.publish([change(1)])
    group.flush(1000)
    assert (slow.told, list(group.keeping)) == (["fell behind"], [fast])
    stream.publish([change(2)])
    group.flush(1000)
    assert (len(slow.written), len(fast.written)) == (1, 2)


def test_more_at_once_than_the_log_holds_leaves_everybody_behind() -> None:
    stream = Stream(HOTSPOTS, LogLimits(max_frames=3))
    reader = Reader()
    group = stream.join(Format.ROWS, Filter(HOTSPOTS), reader)
    group.keeping.add(reader, reader.write)
    stream.publish([change(number) for number in range(1, 6)])
    assert group.flush(1000) == 0
    assert (reader.written, reader.told, list(group.keeping)) == ([], ["fell behind"], [])
    assert group.flushed == group.log.head


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


def test_a_log_without_filter_goes_on_without_readers() -> None:
    stream, reader = Stream(HOTSPOTS), Reader()
    group = stream.join(Format.ROWS, Filter(HOTSPOTS), reader)
    stream.leave(group, reader)
    stream.publish([change(7)])
    again = stream.join(Format.ROWS, Filter(HOTSPOTS), reader)
    assert again is group
    assert again.log.head == 1


def test_bare_rows_never_get_anything_else() -> None:
    stream = Stream(HOTSPOTS)
    rows = stream.join(Format.ROWS, Filter(HOTSPOTS), Reader())
    events = stream.join(Format.EVENTS, Filter(HOTSPOTS), Reader())
    stream.announce(frames.status("down"))
    assert messages(rows) == []
    assert messages(events) == ['{"type":"status","upstream":"down"}']


def test_changes_go_to_their_endpoint() -> None:
    streams = Streams()
    streams.publish([change(1), change(2, endpoint=ALERTS), change(3)])
    assert (streams[HOTSPOTS].seq, streams[ALERTS].seq) == (2, 1)


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


@given(st.lists(FILTERS, max_size=8), st.lists(st.tuples(COLUMNS, st.integers(0, 2)), max_size=8))
def test_every_group_gets_what_its_filter_alone_decides(
    wanted: list[Filter], written: list[tuple[dict[str, Any], int]]
) -> None:
    stream = Stream(HOTSPOTS)
    leaving = Reader()
    for each in wanted[::2]:  # who left must leave nothing behind
        stream.leave(stream.join(Format.EVENTS, each, leaving), leaving)
    groups = [stream.join(Format.EVENTS, each, Reader()) for each in wanted]
    stream.publish(
        change(number, max(version, 1), deleted=version == 0, **columns)
        for number, (columns, version) in enumerate(written)
    )
    for group in groups:
        allowed = {name: set(values) for name, values in group.wanted.terms}
        expected = []
        for columns, version in written:
            matches = all(columns[name] in values for name, values in allowed.items())
            if version == 0:
                expected.append("DELETE")
            elif matches:
                expected.append("INSERT" if version == 1 else "UPDATE")
            elif version > 1:
                expected.append("LEAVE")
        assert [event["type"] for event in sent(group)] == expected
