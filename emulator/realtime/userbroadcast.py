"""The binary frames of protocol version 2: broadcasts with an envelope of their own."""

from __future__ import annotations

from dataclasses import dataclass

PUSH, DELIVERY = 3, 4  # first byte of a client's frame, and of ours
BYTES, JSON = 0, 1
MAX_FIELD_BYTES = 255


class Oversized(ValueError):
    """A field is longer than the frame's one byte of length can say."""


class MalformedBinary(Exception):
    """The frame is none of those that clients send."""


@dataclass(frozen=True, slots=True)
class UserBroadcast:
    """An event on a topic; `body` is JSON text or bytes, `metadata` JSON text."""

    topic: str
    event: str
    body: str | bytes
    metadata: str | None = None
    ref: str | None = None
    join_ref: str | None = None


def frame(broadcast: UserBroadcast) -> bytes:
    """The frame that a subscriber gets. Raises Oversized."""
    fields = [_field(text) for text in (broadcast.topic, broadcast.event, broadcast.metadata or "")]
    body = broadcast.body
    encoding = BYTES if isinstance(body, bytes) else JSON
    header = bytes([DELIVERY, *map(len, fields), encoding])
    return header + b"".join(fields) + (body if isinstance(body, bytes) else body.encode())


def parse(content: bytes) -> UserBroadcast:
    """What a client pushed. Raises MalformedBinary."""
    if len(content) < 7 or content[0] != PUSH:
        raise MalformedBinary("not a pushed broadcast")
    at, fields = 7, []
    for length in content[1:6]:
        fields.append(content[at : at + length])
        at += length
    if at > len(content):
        raise MalformedBinary("shorter than its fields")
    rest = content[at:]
    try:
        join_ref, ref, topic, event, metadata = (part.decode() for part in fields)
        body = rest if content[6] == BYTES else rest.decode()
    except UnicodeDecodeError as exc:
        raise MalformedBinary("not UTF-8") from exc
    return UserBroadcast(topic, event, body, metadata or None, ref or None, join_ref or None)


def _field(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > MAX_FIELD_BYTES:
        raise Oversized(f"{text[:40]!r}... has {len(encoded)} bytes, {MAX_FIELD_BYTES} are allowed")
    return encoded
