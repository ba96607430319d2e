"""A client that says what it is told to, byte by byte, and reads frame by frame."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from websockets.frames import Close, Frame, Opcode

SECONDS = 15.0
HEADERS = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def head(path: str, headers: dict[str, str], first: str = "GET {} HTTP/1.1") -> bytes:
    """A request; headers without a value are left out."""
    lines = [first.format(path), *(f"{name}: {text}" for name, text in headers.items() if text)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass
class Raw:
    """A connection whose handshake has been answered by `status`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    answer: str = ""

    def send(self, opcode: Opcode, data: bytes = b"", **bits: bool) -> None:
        """A masked frame."""
        self.writer.write(Frame(opcode, data, **bits).serialize(mask=True))

    async def frame(self) -> tuple[Opcode, bytes]:
        """The next frame, which is neither masked nor one of several, nor compressed."""
        first, data = await self.any_frame()
        assert first & 0xF0 == 0x80
        return Opcode(first & 0x0F), data

    async def any_frame(self) -> tuple[int, bytes]:
        """The first byte of the next frame, which is not masked, and its data."""
        async with asyncio.timeout(SECONDS):
            first, size = await self.reader.readexactly(2)
            if size >= 126:
                more = await self.reader.readexactly(2 if size == 126 else 8)
                size = int.from_bytes(more, "big")
            return first, await self.reader.readexactly(size)

    async def until(self, opcode: Opcode) -> bytes:
        """The data of the next frame of that kind."""
        while True:
            found, data = await self.frame()
            if found is opcode:
                return data

    async def closed_with(self) -> int:
        """The code of the next close frame, after which the server ends the connection."""
        code = Close.parse(await self.until(Opcode.CLOSE)).code
        self.send(Opcode.CLOSE, Close(1000, "").serialize())
        await self.end()
        return int(code)

    async def end(self) -> None:
        """Waits until the server has ended the connection."""
        async with asyncio.timeout(SECONDS):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass


@asynccontextmanager
async def speaking(
    host: str, request: bytes | None = None, subprotocol: str = "", room: int = 65536
) -> AsyncIterator[Raw]:
    """A connection after its handshake; without `request` a good one for alerts.
    The kernel keeps about `room` bytes for a client that does not read."""
    address, _, port = host.rpartition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (address, int(port)))
    reader, writer = await asyncio.open_connection(sock=connection)
    raw = Raw(reader, writer)
    try:
        offered = {"Sec-WebSocket-Protocol": subprotocol}
        writer.write(request or head("/ws/alerts", HEADERS | offered))
        async with asyncio.timeout(SECONDS):
            raw.answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        raw.status = int(raw.answer.split(" ")[1])
        yield raw
    finally:
        writer.transport.abort()
