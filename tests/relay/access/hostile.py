"""Clients that mean no good, and how to see that they left nothing behind."""

import asyncio
import contextlib
import gc
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.frames import Frame, Opcode

from tests.relay.clients import Running
from tests.relay.connections.test_rfc6455 import BREACHES
from tests.relay.raw import HEADERS, head

SECONDS = 60.0
PAGE_BYTES = 4096
WATCHED = (
    "relay.connections",
    "relay.resume",
    "relay.access",
    "relay.stream.io_uring",
    "websockets.protocol",
)
HEADS = [
    b"",
    b"G",
    b"GET /ws/hotspots HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",  # TLS to a port without
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /ws/hotspots HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /ws/hotspots HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET /ws/hotspots HTTP/9.9\r\n\r\n",
    b"GET  /ws/hotspots\r\n\r\n",
    b"\r\n" * 1000,
    head("/ws/hotspots", HEADERS)[:-2],
    head("/ws/hotspots", HEADERS | {"Content-Length": "5"}) + b"x",
    head("/ws/hotspots", HEADERS | {"Transfer-Encoding": "chunked"}) + b"5\r\nx",
]


class Hostile:
    """One attacker, whose choices come from a seed."""

    def __init__(self, relay: Running, token: str, seed: int) -> None:
        host, _, port = relay.host.rpartition(":")
        self._host, self._port = host, int(port)
        self._token = token
        self._random = random.Random(seed)

    def attacks(self) -> list[Coroutine[None, None, None]]:
        """One of each kind."""
        return [
            self.half_requests(),
            self.slow_request(),
            self.breaches(),
            self.rubbish(),
            self.fragments(),
            self.floods(),
            self.does_not_read(),
            self.vanishes(),
        ]

    async def half_requests(self) -> None:
        """Beginnings of all kinds, left alone or broken off."""
        for beginning in HEADS:
            async with self._connected() as (_, writer):
                writer.write(beginning)
                await asyncio.sleep(self._random.choice((0, 0, 0.05)))

    async def slow_request(self) -> None:
        """A byte now and then until the relay has had enough."""
        async with self._connected() as (reader, writer), asyncio.timeout(SECONDS):
            for byte in head("/ws/hotspots", HEADERS | {"X": "x" * 1000}):
                writer.write(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        with contextlib.suppress(ConnectionResetError):  # one too many
                            await reader.read(1000)
                        return

    async def breaches(self) -> None:
        """Every breach of the protocol, by somebody who never answers a close frame."""
        for _, sent, _ in BREACHES:
            async with self._upgraded() as (_, writer):
                writer.write(sent)
                await asyncio.sleep(0.01)

    async def rubbish(self) -> None:
        """Random bytes instead of a request, and instead of frames."""
        for _ in range(5):
            async with self._connected() as (_, writer):
                writer.write(self._random.randbytes(self._random.randrange(1, 5000)))
                await asyncio.sleep(0.01)
            async with self._upgraded() as (_, writer):
                writer.write(self._random.randbytes(self._random.randrange(1, 5000)))
                await asyncio.sleep(0.01)

    async def fragments(self) -> None:
        """A message that has no end, in parts that are empty."""
        async with self._upgraded() as (reader, writer):
            writer.write(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True))
            await self._until_ended(
                reader, writer, Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 100
            )

    async def floods(self) -> None:
        """Pings, pongs and messages without an end, and nothing is read."""
        for opcode, data in (
            (Opcode.PING, b"x" * 125),
            (Opcode.PONG, b""),
            (Opcode.TEXT, b'{"type":"ping"}'),
        ):
            async with self._upgraded() as (_, writer):
                many = Frame(opcode, data).serialize(mask=True) * 500
                with contextlib.suppress(ConnectionError):
                    for _ in range(20):
                        writer.write(many)
                        await asyncio.sleep(0.01)
                        if writer.is_closing():
                            break

    async def does_not_read(self) -> None:
        """Connects, is served, and takes nothing."""
        async with self._upgraded(room=PAGE_BYTES):
            await asyncio.sleep(2)

    async def vanishes(self) -> None:
        """Is gone in the middle of being served."""
        for query in ("", "?last=1000", "?cursor=a.b", "?entity=x&last=5", "?colour=red"):
            async with self._upgraded(query) as (reader, _):
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    await reader.readexactly(self._random.randrange(1, 300))

    async def _until_ended(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes
    ) -> None:
        async with asyncio.timeout(SECONDS):
            with contextlib.suppress(ConnectionError):
                while not reader.at_eof() and not writer.is_closing():
                    writer.write(said)
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.01):
                            await reader.read(65536)

    @asynccontextmanager
    async def _connected(
        self, room: int = 65536
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, (self._host, self._port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=PAGE_BYTES)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    @asynccontextmanager
    async def _upgraded(
        self, query: str = "", room: int = 65536
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        own = {
            "Sec-WebSocket-Protocol": self._random.choice(("relay.v1", "")),
            "Authorization": self._random.choice((f"Bearer {self._token}", "Bearer x", "")),
        }
        async with self._connected(room) as (reader, writer):
            writer.write(head(f"/ws/hotspots{query}", HEADERS | own))
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
            yield reader, writer


def kept(relay: Running) -> dict[str, int]:
    """What the relay counts and remembers of its clients, in numbers."""
    sockets = relay.sockets()
    limiter = sockets.admission.limiter
    return {
        "connections": len(relay.connections()),
        "limiter": limiter.total,
        "addresses": len(limiter._by_address),
        "users": len(limiter._by_user),
        "register": len(sockets.register.everybody()),
        "register's users": len(sockets.register._by_user),
        "deadlines": sum(each[2].action is not None for each in sockets._deadlines._heap),
        "wheel": sum(map(len, sockets.wheel._slots)),
        "blocked": len(sockets._shared.blocked),
        "sessions": len(sockets),
    }


async def until_left(relay: Running, count: int) -> None:
    """Waits until the relay remembers that many signed-in clients, each of another user and
    address, and nothing else."""
    wanted = dict.fromkeys(kept(relay), count) | {"blocked": 0}
    try:
        async with asyncio.timeout(SECONDS):
            while kept(relay) != wanted:  # noqa: ASYNC110 no event tells
                await asyncio.sleep(0.05)
    except TimeoutError:
        assert kept(relay) == wanted


def alive() -> Counter[str]:
    """How many objects there are of each of the relay's classes and of the frame parser's."""
    gc.collect()
    kinds = (type(each) for each in gc.get_objects())
    return Counter(
        f"{kind.__module__}.{kind.__name__}"
        for kind in kinds
        if str(kind.__module__).startswith(WATCHED)
    )


def resident_bytes() -> int:
    """How much memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
