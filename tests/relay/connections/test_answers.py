"""Answers that are none of PostgREST's: a proxy's page, half an answer, another program's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.errors import Unavailable
from relay.stream.snapshot import Snapshot
from relay.upstream.rest import Rest

PAGE = {"epoch": "1.1", "snapshot": "1:5:", "rows": [], "more": False}
ROW = {"t": 1, "tx": 2, "id": 1, "deleted_version": None}


@asynccontextmanager
async def answering(body: bytes) -> AsyncIterator[str]:
    """The address of a server that answers everything with status 200 and this body."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        *(
            json.dumps(PAGE | changed).encode()
            for changed in (
                {"epoch": None, "snapshot": None},
                {"snapshot": "5:1:"},
                {"rows": None},
                {"rows": [1]},
                {"rows": [ROW | {"t": 9}]},
                {"rows": [ROW | {"record": [1]}]},
                {"rows": [ROW | {"record": {"id": 1, "tx": 2, "version": "x"}}]},
            )
        ),
    ],
)
async def test_it_counts_as_no_answer(body: bytes) -> None:
    async with answering(body) as url:
        rest = Rest(url, "sb_secret_x")
        with pytest.raises(Unavailable):
            await rest.changes_since(Snapshot.parse("1:5:"), epoch=None)
        await rest.close()
