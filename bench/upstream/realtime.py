"""The stand-in's Realtime: who listens on which lane, and what they are sent."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.rows import Record, Row
from bench.upstream import wire

Changed = tuple[str, Record, float]


@dataclass(eq=False)
class Listener:
    """One connection: whether it listens to broadcasts, and its postgres_changes by table."""

    socket: WebSocket
    announced: bool = False
    topic: str = ""
    bindings: dict[str, tuple[int, str | None]] = field(default_factory=dict)

    def frames(self, changes: Sequence[Changed], messages: Sequence[str]) -> Iterator[str]:
        """What it gets: the broadcasts as they are, or one frame for each row."""
        if self.announced:
            yield from messages
        for changed in changes if self.bindings else ():
            binding, only = self.bindings.get(changed[0], (0, None))
            if binding and only in (None, str(changed[1].get("instance"))):
                yield wire.change(self.topic, binding, changed)


class Realtime:
    """All connections; a frame is sent to one after the other."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._sending = asyncio.Lock()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until it ends."""
        await socket.accept()
        listener = Listener(socket)
        self._listeners.add(listener)
        try:
            while True:
                for frame in answer(listener, json.loads(await socket.receive_text())):
                    await socket.send_text(frame)
        except WebSocketDisconnect:
            pass
        finally:
            self._listeners.discard(listener)

    async def rows(self, rows: Sequence[Row], per_message: int) -> None:
        """Send the rows of one transaction, a fixed number per broadcast."""
        changes = list(wire.rows_changed(rows))
        parts = [changes[at : at + per_message] for at in range(0, len(changes), per_message)]
        await self._send(changes, [wire.announcement(part) for part in parts])

    async def beat(self, instance: str, beat: int, now: float) -> None:
        """Send a heartbeat row."""
        changed = wire.beaten(instance, beat, now)
        await self._send([changed], [wire.announcement([changed])])

    @property
    def lanes(self) -> dict[str, int]:
        """How many listen on each lane."""
        return {
            "broadcast": sum(each.announced for each in self._listeners),
            "postgres_changes": sum(bool(each.bindings) for each in self._listeners),
        }

    async def _send(self, changes: Sequence[Changed], messages: Sequence[str]) -> None:
        async with self._sending:  # what was committed first is sent first
            for listener in list(self._listeners):
                try:
                    for frame in listener.frames(changes, messages):
                        await listener.socket.send_text(frame)
                except (WebSocketDisconnect, RuntimeError):
                    self._listeners.discard(listener)


def answer(listener: Listener, asked: Mapping[str, Any]) -> list[str]:
    """The frames that a client's message is answered with."""
    if asked["event"] == "phx_join":
        return _join(listener, asked)
    if asked["event"] == "phx_leave":
        listener.announced, listener.bindings = False, {}
    elif asked["event"] == "access_token":
        return []
    return [wire.reply(asked, {})]


def _join(listener: Listener, asked: Mapping[str, Any]) -> list[str]:
    topic, config = asked["topic"], asked["payload"]["config"]
    wanted: list[dict[str, Any]] = config.get("postgres_changes") or []
    listener.announced = topic == wire.CHANGES_TOPIC and bool(config.get("private"))
    listener.topic = topic
    bound = [{"id": _number(each), **each} for each in wanted]
    listener.bindings = {
        each["table"]: (each["id"], (each.get("filter") or "=eq.").split("=eq.")[1] or None)
        for each in bound
    }
    answers = [wire.reply(asked, {"postgres_changes": bound})]
    return [*answers, wire.subscribed(topic)] if bound else answers


def _number(binding: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(binding, sort_keys=True).encode()) or 1
