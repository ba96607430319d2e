"""Answers of Supabase, or of something before it, that never come to an end.

Each byte begins the time of httpx for a read anew: one byte now and then holds a request for ever.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.access import jwks
from relay.access.jwks import Jwks
from relay.api import user_client
from relay.api.user_client import UserClient
from relay.errors import Refused, Unavailable
from relay.upstream import rest
from relay.upstream.rest import Rest

SECONDS = 20.0


@asynccontextmanager
async def dripping() -> AsyncIterator[str]:
    """The address of a server that sends a space now and then."""
    over = asyncio.Event()
    answering: list[asyncio.Task[None]] = []

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
            while not over.is_set():
                writer.write(b"1\r\n \r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.append(asyncio.create_task(drip(reader, writer)))

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        over.set()
        await asyncio.gather(*answering)
        server.close()
        await server.wait_closed()


async def test_a_read_of_rows_fails_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "WHOLE_SECONDS", 0.3)
    async with dripping() as url, asyncio.timeout(SECONDS):
        upstream = Rest(url, "key")
        with pytest.raises(Unavailable, match="changes_since: no whole answer within"):
            await upstream.changes_since(None, epoch=None)
        await upstream.close()


async def test_a_fetch_of_keys_fails_and_the_known_ones_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jwks, "WHOLE_SECONDS", 0.3)
    async with dripping() as url, asyncio.timeout(SECONDS):
        keys = Jwks(url, time.monotonic)
        assert not await keys.look_for(b"key", "place")
        await keys.close()


async def test_a_callers_request_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_client, "WHOLE_SECONDS", 0.3)
    async with dripping() as url, asyncio.timeout(SECONDS), UserClient(url, "key") as client:
        with pytest.raises(Refused, match="cannot be reached") as refused:
            await client.call("token", "waiting", {})
        assert refused.value.status == 503
