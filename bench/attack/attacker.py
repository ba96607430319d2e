"""Who attacks: opens connections from many addresses, as a stranger or as a signed-in user."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.attack.payloads import request

HOST = "127.0.0.1"
ADDRESSES = 200  # the ports of one alone would not last for a minute
PATIENCE_SECONDS = 15.0  # longer than the relay waits for who says nothing
NEW_CURSORS = 0.1  # how many of those that are used
USUAL_ROOM, SMALL_ROOM = 65536, 4096


class Attacker:
    """Attacks that port; its choices come from a seed.

    `tokens` are those of users who mean no good; `unable` counts connections that failed.
    """

    def __init__(self, port: int, tokens: Sequence[str], seed: int) -> None:
        self._port = port
        self._tokens = tokens
        self.random = random.Random(seed)  # noqa: S311 the same attack each time
        self.unable = 0
        self.cursors: list[str] = []

    @asynccontextmanager
    async def connected(self, room: int = USUAL_ROOM) -> AsyncIterator[socket.socket]:
        """A connection that is left at once at the end of the block."""
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
            connection.bind((f"127.0.1.{self.random.randrange(1, ADDRESSES)}", 0))
            try:
                await asyncio.get_running_loop().sock_connect(connection, (HOST, self._port))
            except OSError:
                self.unable += 1
                raise
            yield connection

    @asynccontextmanager
    async def upgraded(
        self,
        query: str = "",
        room: int = USUAL_ROOM,
        *,
        signed_in: bool | None = None,
        subprotocol: str | None = None,
    ) -> AsyncIterator[socket.socket]:
        """A connection whose handshake was answered, with a good token or not."""
        if signed_in is None:
            signed_in = self.random.random() < 0.5
        token = self.random.choice(self._tokens) if signed_in else self.random.choice(("", "x"))
        own = {
            "Sec-WebSocket-Protocol": subprotocol or self.random.choice(("relay.v1", "")),
            "Authorization": f"Bearer {token}" if token else "",
        }
        async with self.connected(room) as connection:
            await send(connection, request(f"/ws/hotspots{query}", own))
            await receive(connection)
            yield connection

    async def cursor(self) -> str:
        """One that the relay handed out: a new one now and then, otherwise one of before."""
        if not self.cursors or self.random.random() < NEW_CURSORS:
            own = {
                "Sec-WebSocket-Protocol": "relay.v1",
                "Authorization": f"Bearer {self.random.choice(self._tokens)}",
            }
            async with self.connected() as connection:
                await send(connection, request("/ws/hotspots?last=0", own))
                found = b""
                while (more := await receive(connection)) and b'"cursor":"' not in found:
                    found += more
            cursor = found.partition(b'"cursor":"')[2].partition(b'"')[0].decode()
            if cursor and cursor not in self.cursors:
                self.cursors.append(cursor)
        return self.random.choice(self.cursors) if self.cursors else ""


async def send(connection: socket.socket, data: bytes) -> None:
    """Send all of it."""
    await asyncio.get_running_loop().sock_sendall(connection, data)


async def receive(connection: socket.socket, seconds: float = PATIENCE_SECONDS) -> bytes:
    """Receive; empty at the end of the stream or after a timeout."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().sock_recv(connection, USUAL_ROOM)
    return b""
