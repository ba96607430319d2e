"""Answers that are none of PostgREST's: a proxy's page, half an answer, another program's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.errors import KeyRefused, SchemaMissing, Unavailable
from relay.stream.change import HOTSPOTS, Change
from relay.stream.filters import Filter
from relay.stream.snapshot import Snapshot
from relay.upstream.rest import Rest

PAGE = {"epoch": "1.1", "snapshot": "1:5:", "rows": [], "more": False}
STAMPED = b'{"id":7,"tx":5,"version":2,"text":"a, ]"}'
ROW = {"t": 1, "tx": 2, "id": 1, "deleted_version": None}


@asynccontextmanager
async def answering(body: bytes, status: bytes = b"200 OK") -> AsyncIterator[str]:
    """The address of a server that answers everything with this status and body."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = (
            b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Type: application/json\r\n"
        )
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
                {"rows": "[]"},
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


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"null", b"{}", b"[1]", b'[{"id":1}]', STAMPED, b"[" + STAMPED],
)
async def test_what_is_no_list_of_rows_counts_as_no_answer(body: bytes) -> None:
    async with answering(body) as url:
        rest = Rest(url, "sb_secret_x")
        with pytest.raises(Unavailable):
            await rest.newest(Filter(HOTSPOTS), 10)
        await rest.close()


async def test_rows_are_parsed_however_they_are_set_apart() -> None:
    async with answering(b"\n [" + STAMPED + b" ,\n " + STAMPED + b"]\n") as url:
        rest = Rest(url, "sb_secret_x")
        rows, _ = await rest.newest(Filter(HOTSPOTS), 2)
        await rest.close()
    assert rows == 2 * [Change(HOTSPOTS, 7, 2, 5, {"id": 7, "text": "a, ]"})]


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (b"401 No", b'{"message":"Invalid API key"}', KeyRefused, "Invalid API key"),
        (b"404 No", b'{"code":"PGRST205","message":"no hotspots"}', SchemaMissing, "no hotspots"),
        (b"502 Bad Gateway", b"<html>", Unavailable, "hotspots: 502 Bad Gateway"),
        (b"500 No", b"[]", Unavailable, "hotspots: 500 No"),
    ],
)
async def test_errors_for_rows_are_told_apart(
    status: bytes, body: bytes, error: type[Exception], said: str
) -> None:
    async with answering(body, status) as url:
        rest = Rest(url, "sb_secret_x")
        with pytest.raises(error, match=said):
            await rest.newest(Filter(HOTSPOTS), 10)
        await rest.close()
