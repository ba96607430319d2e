"""Frames of both protocol versions."""

from __future__ import annotations

import json

import pytest

from emulator.realtime import phoenix
from emulator.realtime.phoenix import MalformedFrame, Message, Version

PUSH = Message("realtime:t", "system", {"status": "ok"}, None, "1")


def test_version_1_has_a_ref_even_when_it_is_null_and_no_join_ref() -> None:
    frame = '{"ref":null,"event":"system","payload":{"status":"ok"},"topic":"realtime:t"}'
    assert phoenix.encode("1.0.0", PUSH) == frame


def test_version_2_is_an_array() -> None:
    assert phoenix.encode("2.0.0", PUSH) == '["1",null,"realtime:t","system",{"status":"ok"}]'


@pytest.mark.parametrize(
    ("vsn", "expected"),
    [
        ("1.0.0", {"ref": None, "event": "e", "payload": {"a": 1.10}, "topic": 't"é'}),
        ("2.0.0", [None, None, 't"é', "e", {"a": 1.10}]),
    ],
)
def test_a_push_takes_its_payload_as_text(vsn: Version, expected: object) -> None:
    frame = phoenix.encode_push(vsn, 't"é', "e", '{"a": 1.10}')
    assert '{"a": 1.10}' in frame
    assert json.loads(frame) == expected


@pytest.mark.parametrize(
    ("vsn", "frame"),
    [
        ("1.0.0", '{"topic":"t","event":"e","payload":{"a":1},"ref":"2","join_ref":"1"}'),
        ("2.0.0", '["1","2","t","e",{"a":1}]'),
    ],
)
def test_what_a_client_sends_is_read(vsn: Version, frame: str) -> None:
    assert phoenix.decode(vsn, frame) == Message("t", "e", {"a": 1}, "2", "1")


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
@pytest.mark.parametrize(
    "frame", ["not json", "7", "[]", "{}", '["1","2","t"]', '{"topic":1,"event":"e"}', "[" * 99999]
)
def test_what_is_no_message_is_malformed(vsn: Version, frame: str) -> None:
    with pytest.raises(MalformedFrame):
        phoenix.decode(vsn, frame)


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e400", r'"\ud800"'])
def test_what_no_other_client_could_read_is_malformed(value: str) -> None:
    with pytest.raises(MalformedFrame):
        phoenix.decode("2.0.0", f'["1","2","t","e",{{"a":{value}}}]')


@pytest.mark.parametrize(
    ("requested", "spoken"),
    [(None, "1.0.0"), ("1.0.0", "1.0.0"), ("2.0.0", "2.0.0"), ("9.0.0", None), ("", None)],
)
def test_the_version_is_negotiated(requested: str | None, spoken: str | None) -> None:
    assert phoenix.version(requested) == spoken
