"""A client of `relay.v1` that remembers the places from which it could resume."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.typing import Subprotocol

from relay.client import PROTOCOL, Connection, ConnectionLost, connect

SUBPROTOCOL = Subprotocol(PROTOCOL)


@dataclass(frozen=True)
class Place:
    """A cursor, and the number of the first row that came after it."""

    cursor: str
    next: int


@dataclass
class Follower:
    """What it has got so far; `next` is the number of the row that it expects."""

    next: int = 0
    places: list[Place] = field(default_factory=list)
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def place(self, count: int = 1, seconds: float = 30.0) -> Place:
        """The newest place, when there are at least `count`."""
        async with asyncio.timeout(seconds), self._moved:
            await self._moved.wait_for(lambda: len(self.places) >= count)
        return self.places[-1]

    async def reached(self, next: int, seconds: float) -> None:
        """Return when it expects that row or a later one."""
        async with asyncio.timeout(seconds), self._moved:
            await self._moved.wait_for(lambda: self.next >= next)

    async def _follow(self, connection: Connection) -> None:
        with contextlib.suppress(ConnectionLost):
            while True:
                message = await connection.receive()
                record = message.get("record")
                async with self._moved:
                    if record is not None:
                        self.next = max(self.next, record["n"] + 1)
                    elif message.get("cursor"):
                        self.places.append(Place(message["cursor"], self.next))
                    self._moved.notify_all()


@asynccontextmanager
async def following(port: int) -> AsyncIterator[Follower]:
    """A follower of the hotspots of the relay at that port, without the rows of before."""
    async with connect(f"ws://127.0.0.1:{port}", "hotspots", [("last", "0")]) as connection:
        follower = Follower()
        task = asyncio.create_task(follower._follow(connection), name="follower")
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
