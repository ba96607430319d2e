"""When rows arrive at a client of Realtime and at one of the relay, by the clock of one process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from bench.processes import Failed
from bench.upstream.wire import CHANGES_TOPIC

Ids = Callable[[Any], Iterable[int]]


@dataclass(frozen=True)
class Way:
    """Where to connect to, what to say first, how many answers to wait for, and the ids of the
    rows in a message."""

    url: str
    greeting: Sequence[str]
    answers: int
    ids: Ids


@dataclass
class Arrivals:
    """When each row arrived, by its id."""

    at: dict[int, float] = field(default_factory=dict)

    async def whole(self, rows: int, seconds: float) -> None:
        """Return when so many have arrived.

        Raises:
            Failed: They do not.
        """
        until = time.monotonic() + seconds
        while len(self.at) < rows:
            if time.monotonic() > until:
                raise Failed(f"{len(self.at)} of {rows} rows arrived")
            await asyncio.sleep(0.05)


def directly(url: str, key: str) -> Way:
    """A subscriber to the database's broadcasts."""
    config = {"private": True, "broadcast": {"self": False}, "postgres_changes": []}
    payload = {"config": config, "access_token": key}
    join = {"topic": CHANGES_TOPIC, "event": "phx_join", "payload": payload}
    address = url.replace("http", "ws", 1)
    return Way(
        f"{address}/realtime/v1/websocket?vsn=1.0.0&apikey={key}",
        [json.dumps(join | {"ref": "1", "join_ref": "1"})],
        1,
        _announced,
    )


def relayed(port: int) -> Way:
    """A client of the relay that gets bare rows."""
    return Way(f"ws://127.0.0.1:{port}/ws/hotspots", [], 0, lambda row: [row["id"]])


@asynccontextmanager
async def arriving(way: Way) -> AsyncIterator[Arrivals]:
    """A client on that way, until the block ends."""
    async with connect(way.url, proxy=None, compression=None, max_size=None) as connection:
        for text in way.greeting:
            await connection.send(text)
        for _ in range(way.answers):
            answer = json.loads(await connection.recv())
            if answer["payload"].get("status") != "ok":
                raise Failed(f"Realtime refuses: {answer}")
        arrivals = Arrivals()
        task = asyncio.create_task(_read(connection, way.ids, arrivals), name="arrivals")
        try:
            yield arrivals
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _read(connection: ClientConnection, ids: Ids, arrivals: Arrivals) -> None:
    async for message in connection:
        now = time.monotonic()
        for id in ids(json.loads(message)):
            arrivals.at[id] = now


def _announced(message: Any) -> Iterable[int]:
    if message["event"] != "broadcast":
        return []
    changes = message["payload"]["payload"]["changes"]
    return [change["record"]["id"] for change in changes if change["table"] == "hotspots"]
