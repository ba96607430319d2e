"""Messages that are broadcast on a topic, and the channels that listen to it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from emulator.realtime.outbox import packed
from emulator.realtime.phoenix import Version, encode_push
from emulator.realtime.rate import RateCounter
from emulator.realtime.userbroadcast import Oversized, UserBroadcast, frame

logger = logging.getLogger(__name__)

PREFIX = "realtime:"
EVENT = "broadcast"
# Elixir's external size of a payload, in which a binary has 6 bytes beside its own.
MAX_PAYLOAD_BYTES = 3_000 * 1_000 + 500 - 6

Frame = str | bytes


class Broadcast(Protocol):
    """What is broadcast."""

    def encoded(self, vsn: Version, topic: str) -> Frame | None:
        """Its frame for a channel; None when the protocol version has none for it."""

    def size(self) -> int:
        """Bytes that count against the limit."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """The JSON payload of a client's message, passed on unchanged."""

    payload: str

    def encoded(self, vsn: Version, topic: str) -> Frame | None:
        """A text frame, in both versions."""
        return encode_push(vsn, topic, EVENT, self.payload)

    def size(self) -> int:
        """Bytes of the payload."""
        return len(self.payload.encode())


@dataclass(frozen=True, slots=True)
class Enveloped:
    """An event with a payload of its own, JSON text or bytes; `id` names it when it was stored."""

    event: str
    body: Frame
    id: str | None = None

    def encoded(self, vsn: Version, topic: str) -> Frame | None:
        """A binary frame in version 2; version 1 has none for bytes."""
        meta = None if self.id is None else json.dumps({"id": self.id}, separators=(",", ":"))
        if vsn == "2.0.0":
            return frame(UserBroadcast(topic, self.event, self.body, meta))
        if isinstance(self.body, bytes):
            return None
        middle = "" if meta is None else f'"meta":{meta},'
        event = json.dumps(self.event, ensure_ascii=False)
        payload = f'{{"event":{event},{middle}"payload":{self.body},"type":"broadcast"}}'
        return encode_push(vsn, topic, EVENT, payload)

    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body if isinstance(self.body, bytes) else self.body.encode())


@dataclass(eq=False, slots=True)
class Listener:
    """A joined channel; `push` takes a packed frame and must not block."""

    topic: str
    private: bool
    vsn: Version
    push: Callable[[bytes], None] = field(repr=False)


class Listeners:
    """All listeners; public and private channels of one topic do not hear each other.

    `wanted` is set by the first one, `replicating` while what the database broadcasts reaches them.
    """

    def __init__(self, rate: RateCounter) -> None:
        self.wanted = asyncio.Event()
        self.replicating = asyncio.Event()
        self._rate = rate
        self._by_topic: dict[tuple[str, bool], dict[Listener, None]] = {}

    def add(self, listener: Listener) -> None:
        """Serve `listener` from now on."""
        self.wanted.set()
        self._by_topic.setdefault((listener.topic, listener.private), {})[listener] = None

    def remove(self, listener: Listener) -> None:
        """Serve it no more."""
        key = listener.topic, listener.private
        others = self._by_topic.get(key, {})
        others.pop(listener, None)
        if not others:
            self._by_topic.pop(key, None)

    def deliver(
        self, topic: str, private: bool, broadcast: Broadcast, but: Listener | None = None
    ) -> None:
        """Push to all on `topic` (without prefix) except `but`.

        Over the rate limit it is dropped without a word, like all others.
        """
        if self._rate.exceeded():
            return
        self._rate.add(1)
        frames: dict[Version, bytes | None] = {}
        for listener in self._by_topic.get((topic, private), ()):
            if listener is but:
                continue
            if listener.vsn not in frames:
                frames[listener.vsn] = _encoded(broadcast, listener)
            if (ready := frames[listener.vsn]) is not None:
                listener.push(ready)


def _encoded(broadcast: Broadcast, listener: Listener) -> bytes | None:
    try:
        encoded = broadcast.encoded(listener.vsn, PREFIX + listener.topic)
        return None if encoded is None else packed(encoded)
    except Oversized as exc:
        logger.warning("broadcast not sent vsn=2.0.0 reason=%r", str(exc))
        return None


def sorted_json(payload: object) -> str:
    """JSON with sorted keys, as Elixir writes maps of up to 32 entries."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
