"""Subscribers of the emulated Realtime that do as little as possible for each frame."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

STILL_SECONDS = 20.0  # without a frame: then the rest is lost
RECORD, NUMBER = b'"record":{"at": ', b', "id": '


@dataclass
class Subscriber(asyncio.Protocol):
    """One raw WebSocket: as little work as possible for each frame."""

    host: str
    key: str
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    expected: int = 1
    wrong: int = 0
    last_at: float = 0.0
    latencies: list[float] = field(default_factory=list)
    buffer: bytearray = field(default_factory=bytearray)
    upgraded: bool = False
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        nonce = base64.b64encode(secrets.token_bytes(16)).decode()
        request = (
            f"GET /realtime/v1/websocket?vsn=1.0.0&apikey={self.key} HTTP/1.1\r\n"
            f"Host: {self.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {nonce}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        transport.write(request.encode())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.upgraded:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert self.buffer.startswith(b"HTTP/1.1 101"), bytes(self.buffer)
            del self.buffer[: end + 4]
            self.upgraded = True
            self.join()
        self.take_frames(time.time())

    def join(self) -> None:
        binding = {"event": "*", "schema": "public", "table": "load"}
        self.send("realtime:load", "phx_join", {"config": {"postgres_changes": [binding]}})

    def send(self, topic: str, event: str, payload: object) -> None:
        """A frame masked with zeros, which is as good as any mask here."""
        frame = {"topic": topic, "event": event, "payload": payload, "ref": "1", "join_ref": "1"}
        content = json.dumps(frame).encode()
        header = b"\x81" + bytes((0x80 | 126,)) + len(content).to_bytes(2, "big") + bytes(4)
        assert self.transport is not None
        self.transport.write(header + content)

    def take_frames(self, now: float) -> None:
        buffer, at, end = self.buffer, 0, len(self.buffer)
        while at + 2 <= end:
            size, start = buffer[at + 1], at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                start += width
                size = int.from_bytes(buffer[at + 2 : start], "big")
            if start + size > end:
                break
            self.take(bytes(buffer[start : start + size]), now)
            at = start + size
        del buffer[:at]

    def take(self, frame: bytes, now: float) -> None:
        found = frame.find(RECORD)
        if found < 0:
            if b"Subscribed to PostgreSQL" in frame:
                self.joined.set()
            return
        self.last_at = now
        end = frame.index(NUMBER, found)
        start = end + len(NUMBER)
        number = int(frame[start : frame.index(b",", start)])
        self.wrong += number != self.expected
        self.expected = number + 1
        if number % 50 == 0:
            self.latencies.append(now - float(frame[found + len(RECORD) : end]))


def subscribe(url: str, key: str, count: int, results: Connection) -> None:
    """Run the subscribers: report when all joined, and the number of rows received."""
    asyncio.run(_subscribe(url, key, count, results))


async def _subscribe(url: str, key: str, count: int, results: Connection) -> None:
    loop = asyncio.get_running_loop()
    place = urlsplit(url)
    host, port = place.hostname or "", place.port or 80
    subscribers: list[Subscriber] = []
    for _ in range(count):
        _, subscriber = await loop.create_connection(
            partial(Subscriber, place.netloc, key), host, port
        )
        subscribers.append(subscriber)
    for subscriber in subscribers:
        await subscriber.joined.wait()
    results.send("joined")
    total, last_beat = None, time.monotonic()
    while True:
        await asyncio.sleep(0.1)
        if time.monotonic() - last_beat > 20:
            last_beat = time.monotonic()
            for subscriber in subscribers:
                subscriber.send("phoenix", "heartbeat", {})
        if total is None and results.poll():
            total, written_at = results.recv(), time.time()
        if total is not None:
            newest = max(written_at, *(s.last_at for s in subscribers))
            if all(s.expected > total for s in subscribers):
                break
            if time.time() - newest > STILL_SECONDS:
                break
    results.send(
        {
            "lost": sum(total + 1 - s.expected for s in subscribers),
            "wrong": sum(s.wrong for s in subscribers),
            "finished": max(s.last_at for s in subscribers),
            "latencies": sorted(x for s in subscribers for x in s.latencies),
        }
    )
