"""Codec of the Phoenix channel protocol, versions 1.0.0 (objects) and 2.0.0 (arrays)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from emulator.realtime import userbroadcast
from emulator.realtime.userbroadcast import UserBroadcast

Version = Literal["1.0.0", "2.0.0"]
DEFAULT_VERSION: Version = "1.0.0"


@dataclass(frozen=True, slots=True)
class Message:
    """One frame; a push has `ref` None, a reply has the `ref` of what it answers.

    `user` is what a client pushed in a binary frame, beside an empty `payload`.
    """

    topic: str
    event: str
    payload: Mapping[str, Any]
    ref: Any = None
    join_ref: Any = None
    user: UserBroadcast | None = None


class MalformedFrame(Exception):
    """The frame is not a message of its protocol version."""


def parse_json(content: str | bytes) -> Any:
    """Parse JSON as other readers do: Python's also knows NaN and halves of surrogate pairs.

    Raises:
        ValueError: It is not JSON, or could not be passed on as JSON.
    """
    try:
        value = json.loads(content)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    return value


def version(requested: str | None) -> Version | None:
    """The protocol spoken for the query parameter `vsn`; None when it is not supported."""
    if requested is None or requested.startswith("1.0."):
        return DEFAULT_VERSION
    return "2.0.0" if requested.startswith("2.0.") else None


def decode(vsn: Version, frame: str | bytes) -> Message:
    """The message in `frame`.

    Raises:
        MalformedFrame: There is none.
    """
    if vsn == "2.0.0" and isinstance(frame, bytes):
        return _decode_binary(frame)
    try:
        content = parse_json(frame)
    except ValueError as exc:
        raise MalformedFrame("not JSON") from exc
    match content:
        case {"topic": str(topic), "event": str(event), **rest} if vsn == "1.0.0":
            join_ref, ref, payload = rest.get("join_ref"), rest.get("ref"), rest.get("payload")
        case [join_ref, ref, str(topic), str(event), payload] if vsn == "2.0.0":
            pass
        case _:
            raise MalformedFrame(f"not a message of protocol version {vsn}")
    return Message(topic, event, payload if isinstance(payload, dict) else {}, ref, join_ref)


def _decode_binary(frame: bytes) -> Message:
    try:
        user = userbroadcast.parse(frame)
    except userbroadcast.MalformedBinary as exc:
        raise MalformedFrame(str(exc)) from exc
    return Message(user.topic, "broadcast", {}, user.ref, user.join_ref, user)


def encode(vsn: Version, message: Message) -> str:
    """The frame for `message`; in version 1.0.0 the key `ref` is there even when it is null."""
    if vsn == "2.0.0":
        return _json([message.join_ref, message.ref, message.topic, message.event, message.payload])
    return _json(
        {
            "ref": message.ref,
            "event": message.event,
            "payload": message.payload,
            "topic": message.topic,
        }
    )


def encode_push(vsn: Version, topic: str, event: str, payload: str) -> str:
    """The frame for a push whose `payload` is JSON text already."""
    if vsn == "2.0.0":
        return f"[null,null,{_json(topic)},{_json(event)},{payload}]"
    return f'{{"ref":null,"event":{_json(event)},"payload":{payload},"topic":{_json(topic)}}}'


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
