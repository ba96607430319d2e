"""A TCP proxy that can be cut, and that counts requests."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Proxy:
    """Passes connections on to one address as long as it is `open`."""

    def __init__(self, target: str, port: int) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self.url = f"http://127.0.0.1:{port}"
        self.open = True
        self.counted = b""
        self.count = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def count_requests(self, beginning: bytes) -> None:
        """Counts in `count`, from now on, what begins like this."""
        self.counted, self.count = beginning, 0

    def cut(self) -> None:
        """Resets every connection and refuses new ones until `open` is set again."""
        self.open = False
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if not self.open:
            writer.transport.abort()
            return
        try:
            there_reader, there = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, there}
        self._writers |= both
        try:
            await asyncio.gather(
                self._pass(reader, there, counting=True), self._pass(there_reader, writer)
            )
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counting: bool = False
    ) -> None:
        try:
            while data := await reader.read(65536):
                if counting and self.counted:
                    self.count += data.count(self.counted)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxy_to(target: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the address, on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy(target, listener.getsockname()[1])
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, sock=listener)
    try:
        yield proxy
    finally:
        proxy.cut()
        server.close()
        await asyncio.gather(*connections, return_exceptions=True)
