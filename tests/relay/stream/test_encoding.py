"""The messages of both formats, to the letter."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from relay.stream import encoding
from relay.stream.change import HOTSPOTS, RECOMMENDATIONS, from_row
from relay.stream.encoding import framed, pieces, texts
from relay.stream.filters import Filter
from tests.relay.rows import change, hotspot, text


def test_a_row_is_sent_bare() -> None:
    found = change(7, 2, severity="critical")
    assert json.loads(encoding.row(found)) == {
        "id": 7,
        "entity": "SUP-1",
        "severity": "critical",
        "status": "active",
    }


def test_a_deleted_row_is_its_id_and_nothing_else() -> None:
    assert encoding.row(change(12, deleted=True)) == '{"id":12,"deleted":true}'


def test_a_first_version_is_an_insert() -> None:
    event = json.loads(encoding.event(change(7, 1), 90411))
    assert (event["type"], event["old_record"], event["version"]) == ("INSERT", None, 1)


def test_a_later_version_is_an_update_of_its_id() -> None:
    found = from_row(RECOMMENDATIONS, hotspot(7, version=3))
    event = json.loads(encoding.event(found, 90412))
    assert list(event) == [
        "type", "schema", "table", "record", "old_record", "version", "changed_at", "seq",
    ]  # fmt: skip
    assert event["type"] == "UPDATE"
    assert (event["schema"], event["table"]) == ("public", "recommendations")
    assert event["record"]["predicted_co2"] == 12.5
    assert {"version", "tx", "changed_at"}.isdisjoint(event["record"])
    assert event["old_record"] == {"id": 7}
    assert event["changed_at"] == "2026-01-05T09:14:02.118+00:00"
    assert event["seq"] == 90412


@given(
    st.integers(1, 2**62),
    st.integers(1, 9),
    st.booleans(),
    st.text(max_size=70_000) | st.just(',"old_record":{"id":1},"record":'),
)
def test_the_other_forms_are_found_in_the_event(
    row_id: int, version: int, deleted: bool, note: str
) -> None:
    found = change(row_id, version, deleted=deleted, note=note)
    event = framed(encoding.event(found, 90413))
    assert encoding.row_of(event) == framed(encoding.row(found))
    leave = encoding.leave("hotspots", row_id, version, 90413)
    assert encoding.leave_of(event) == framed(leave)


def test_a_deletion_has_no_record() -> None:
    assert encoding.event(change(7, 5, deleted=True), 90413) == (
        '{"type":"DELETE","schema":"public","table":"hotspots","record":null,'
        '"old_record":{"id":7},"version":5,"seq":90413}'
    )


def test_the_other_messages() -> None:
    assert encoding.hello("hotspots", resumed=False, reason="no_cursor") == (
        '{"type":"hello","endpoint":"hotspots","resumed":false,"reason":"no_cursor",'
        '"heartbeat_seconds":25}'
    )
    assert encoding.leave("hotspots", 7, 4, 90414) == (
        '{"type":"LEAVE","table":"hotspots","id":7,"version":4,"seq":90414}'
    )
    assert (
        encoding.synced("abc", complete=True) == '{"type":"synced","cursor":"abc","complete":true}'
    )
    assert encoding.cursor("abc") == '{"type":"cursor","cursor":"abc"}'
    assert encoding.reset("epoch") == '{"type":"reset","reason":"epoch"}'
    assert encoding.status("live") == '{"type":"status","upstream":"live"}'
    assert encoding.PONG == '{"type":"pong"}'


def test_a_filter_is_applied_to_events_as_it_is_to_rows() -> None:
    active = Filter.of(HOTSPOTS, {"status": frozenset({"active"})})
    events = [
        framed(encoding.event(each, seq))
        for seq, each in enumerate(
            [
                change(1, 1),
                change(2, 1, status="resolved"),
                change(3, 2, status="resolved"),
                change(4, 3, deleted=True),
            ]
        )
    ]
    assert list(encoding.filtered(events, active)) == [
        events[0],
        framed(encoding.leave("hotspots", 3, 2, 2)),
        events[3],
    ]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70_000])
def test_a_frame_is_what_the_library_makes_of_it(size: int) -> None:
    message = "é" * (size // 2) + "x" * (size % 2)
    assert len(message.encode()) == size
    assert framed(message) == Frame(Opcode.TEXT, message.encode()).serialize(mask=False)
    assert text(framed(message)) == message


@given(st.lists(st.text(max_size=300)))
def test_messages_come_out_as_they_went_in(messages: list[str]) -> None:
    encodable = [message.encode(errors="replace").decode() for message in messages]
    assert list(texts(b"".join(map(framed, messages)))) == encodable


@given(st.lists(st.binary(min_size=1, max_size=30)), st.integers(1, 60))
def test_pieces_are_full_and_in_order(frames: list[bytes], most_bytes: int) -> None:
    found = list(pieces(frames, most_bytes))
    assert b"".join(piece.data for piece in found) == b"".join(frames)
    assert sum(piece.frames for piece in found) == len(frames)
    assert all(len(piece.data) <= most_bytes or piece.frames == 1 for piece in found)
    for one, following in itertools.pairwise(found):
        assert len(one.data) + len(following.data) > most_bytes
