"""The network between browsers and relays: it can be cut, lose what is sent, and lead elsewhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.browser.waiting import Changes


class Network:
    """A proxy in front of a relay; browsers use `url`, whichever relay is behind it.

    `received` is how many bytes clients got by the path that they asked for, `/ws/alerts` for
    instance; `open_to` is how many of their connections for a path are open, and `changes` tells
    when that is another number.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self.received: Counter[str] = Counter()
        self.most_open: Counter[str] = Counter()
        self.changes = Changes()
        self._target: tuple[str, int] | None = None
        self._connections: dict[asyncio.StreamWriter, str] = {}
        self._swallowed: set[asyncio.StreamWriter] = set()
        self._swallows = False

    def lead_to(self, url: str | None) -> None:
        """Passes new connections on to that relay; refuses them without one."""
        parts = urlsplit(url) if url is not None else None
        self._target = (parts.hostname or "", parts.port or 80) if parts is not None else None

    def cut(self) -> None:
        """Resets every connection and refuses new ones."""
        self.lead_to(None)
        for writer in self._connections:
            writer.transport.abort()

    def swallow(self) -> None:
        """Lets what is sent on all connections, new ones too, get lost without a word."""
        self._swallows = True
        self._swallowed.update(self._connections)
        self.changes.happened()

    def pass_on(self) -> None:
        """Passes on what comes on new connections; the others stay lost."""
        self._swallows = False

    def open_to(self, path: str) -> int:
        """How many connections there are whose ends are both reached."""
        return sum(
            asked == path and writer not in self._swallowed
            for writer, asked in self._connections.items()
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._connections[writer] = ""
        if self._swallows:
            self._swallowed.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            if self._target is None:
                return
            there_reader, there = await asyncio.open_connection(*self._target)
            async with asyncio.TaskGroup() as both:
                backward = both.create_task(self._backward(there_reader, writer))
                await self._forward(reader, writer, there)
                backward.cancel()
        except* OSError:
            pass
        finally:
            del self._connections[writer]
            self._swallowed.discard(writer)
            self.changes.happened()
            for each in (writer, there):
                if each is not None:
                    each.transport.abort()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(65536):
            if data.startswith(b"GET "):
                path = data.split(b" ", 2)[1].split(b"?")[0].decode()
                self._connections[writer] = path
                self.most_open[path] = max(self.most_open[path], self.open_to(path))
                self.changes.happened()
            if writer not in self._swallowed:
                there.write(data)
                await there.drain()

    async def _backward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if writer not in self._swallowed:
                self.received[self._connections[writer]] += len(data)
                writer.write(data)
                await writer.drain()
        if writer not in self._swallowed:  # no word of the relay's end gets through either
            writer.transport.abort()


@asynccontextmanager
async def network() -> AsyncIterator[Network]:
    """A network that leads nowhere yet."""
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(made.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    made = Network(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
