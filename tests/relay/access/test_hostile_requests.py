"""Plain HTTP from somebody who means no good: every connection ends, and nobody is held up."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from emulator.running import Emulator
from relay.connections import http
from tests.relay.clients import Running, relay_of
from tests.relay.raw import HEADERS, head

SECONDS = 20.0
AT_ONCE_BYTES = 256 * 1024
QUICK = {"HEAD_SECONDS": 0.5, "BODY_SECONDS": 0.6, "LOOKS_AT_AN_ANSWER": 2}
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUICK.items():
        monkeypatch.setattr(http, name, value)


@asynccontextmanager
async def connection(relay: Running, room: int = 65536) -> AsyncIterator[Ends]:
    """A connection that says nothing by itself."""
    host, port = relay.host.split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=raw)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ended_by_the_relay(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(SECONDS):
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass


async def drip(writer: asyncio.StreamWriter, bytes_: bytes) -> None:
    """One piece now and then, for as long as the connection takes them."""
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(bytes_)
            await writer.drain()
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("said", "dripped"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", b"x"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n",
        ),
        (b"POST /hotspots/scan HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n"),
    ],
    ids=["a head", "a body", "chunks", "the body of a command", "empty lines after an answer"],
)
async def test_what_never_ends_is_ended(emulator: Emulator, said: bytes, dripped: bytes) -> None:
    async with relay_of(emulator) as relay, connection(relay) as (reader, writer):
        writer.write(said)
        dripping = asyncio.create_task(drip(writer, dripped))
        await ended_by_the_relay(reader)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        await nothing_is_left(relay)


async def test_who_takes_no_answer_is_cut_off(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay, connection(relay, room=4096) as (_, writer):
        # The answers become more than the kernel keeps for a client.
        asking = asyncio.create_task(
            drip(writer, b"GET /web/client/client.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 10)
        )
        await relay.until(lambda _: bool(relay.connections()))
        async with asyncio.timeout(SECONDS):
            while relay.connections():  # noqa: ASYNC110 no event tells
                await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize(
    ("first", "flood", "seen", "most"),
    [
        (b"", b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "on_headers_complete", 100),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n", b"a:b\r\n", "on_header", 8000),
        (
            b"POST /hotspots/scan HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n",
            "on_body",
            2000,
        ),
    ],
    ids=["requests", "headers", "chunks"],
)
async def test_of_what_comes_at_once_is_read_what_shows_that_it_is_too_much(
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    first: bytes,
    flood: bytes,
    seen: str,
    most: int,
) -> None:
    """The others wait meanwhile."""
    count, heard = 0, getattr(http.HttpConnection, seen)

    def counted(*given: object) -> None:
        nonlocal count
        count += 1
        heard(*given)

    monkeypatch.setattr(http.HttpConnection, seen, counted)
    async with relay_of(emulator) as relay, connection(relay) as (reader, writer):
        writer.write(first + flood * (AT_ONCE_BYTES // len(flood)))
        await ended_by_the_relay(reader)
        await nothing_is_left(relay)
    assert 0 < count < most


async def test_a_handshake_with_too_long_a_head_is_refused(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay, connection(relay) as (reader, writer):
        writer.write(head("/ws/alerts", HEADERS | {"X": "x" * 40_000}))
        async with asyncio.timeout(SECONDS):
            assert await reader.readline() == b"HTTP/1.1 400 Bad Request\r\n"


async def test_quick_requests_go_on_as_before(emulator: Emulator) -> None:
    """The time is counted for each request anew."""
    async with (
        relay_of(emulator) as relay,
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        for _ in range(20):
            assert (await client.get(f"http://{relay.host}/healthz")).status_code == 200
            await asyncio.sleep(0.1)


async def nothing_is_left(relay: Running) -> None:
    async with asyncio.timeout(SECONDS):
        while relay.connections():  # noqa: ASYNC110 no event tells
            await asyncio.sleep(0.02)
