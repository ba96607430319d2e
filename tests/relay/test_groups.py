"""What reaches which clients."""

import json
from typing import Any

from relay.changes import frames
from relay.changes.endpoints import ALERTS, HOTSPOTS
from relay.changes.filters import Filter
from relay.changes.groups import Format, Group, Stream, Streams
from tests.relay.rows import change


class Reader:
    """A client that counts how often it is woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def hotspots_with(**terms: str) -> Filter:
    return Filter.of(HOTSPOTS, {name: frozenset(text.split(",")) for name, text in terms.items()})


def sent(group: Group) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in group.log.since(0)]


def test_each_format_gets_its_own_frames() -> None:
    stream = Stream(HOTSPOTS)
    rows = stream.join(Format.ROWS, Filter(HOTSPOTS), Reader())
    events = stream.join(Format.EVENTS, Filter(HOTSPOTS), Reader())
    stream.publish([change(7, 1), change(7, 2, deleted=True)])
    assert rows.log.since(0) == [frames.row(change(7, 1)), '{"id":7,"deleted":true}']
    assert [(event["type"], event["seq"]) for event in sent(events)] == [
        ("INSERT", 1),
        ("DELETE", 2),
    ]


def test_a_reader_is_woken_once_for_many_changes() -> None:
    stream, reader = Stream(HOTSPOTS), Reader()
    stream.join(Format.ROWS, Filter(HOTSPOTS), reader)
    stream.publish([change(number) for number in range(1, 9)])
    assert reader.woken == 1


def test_who_wants_other_rows_is_left_alone() -> None:
    stream, reader = Stream(HOTSPOTS), Reader()
    group = stream.join(Format.ROWS, hotspots_with(severity="critical"), reader)
    stream.publish([change(7, 1, severity="info"), change(7, 2, severity="warn")])
    assert (sent(group), reader.woken) == ([], 0)


def test_a_row_that_may_have_matched_leaves() -> None:
    stream = Stream(HOTSPOTS)
    group = stream.join(Format.EVENTS, hotspots_with(status="active"), Reader())
    stream.publish([change(7, 1), change(7, 2, status="resolved"), change(8, 1, status="ignored")])
    assert [event["type"] for event in sent(group)] == ["INSERT", "LEAVE"]
    assert sent(group)[1] == {"type": "LEAVE", "table": "hotspots", "id": 7, "version": 2, "seq": 2}


def test_a_row_that_can_never_have_matched_does_not_leave() -> None:
    stream = Stream(HOTSPOTS)
    group = stream.join(Format.EVENTS, hotspots_with(entity="SUP-1", status="active"), Reader())
    stream.publish([change(7, 2, entity="SUP-2", status="resolved")])
    assert sent(group) == []


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
    assert rows.log.since(0) == []
    assert events.log.since(0) == ['{"type":"status","upstream":"down"}']


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
