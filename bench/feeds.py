"""How rows get into the contestants that are not the relay: one connection, written to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bench import rows
from bench.contestant import Publish
from bench.pace import due

DRAIN_SECONDS = 2.0

Encode = Callable[[bytes], bytes]


def line(row: bytes) -> bytes:
    """A row on a line of its own."""
    return row + b"\n"


@asynccontextmanager
async def connected(
    port: int, encode: Encode, greeting: bytes = b"", *, answered: bool = False
) -> AsyncIterator[Publish]:
    """Publish over one TCP connection; rows are numbered from 0 on. `answered`: the server
    answers the greeting, and has to before anything is published."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(greeting)
    if answered:
        async with asyncio.timeout(DRAIN_SECONDS):
            await reader.read(65536)
    # What the server says must not fill its socket.
    drain = asyncio.create_task(_drain(reader), name="answers to the publisher")
    number = 0

    async def publish(count: int, per_second: float) -> None:
        nonlocal number
        async for ready in due(count, per_second):
            now = time.monotonic_ns()
            texts = (rows.text(number + index, now) for index in range(ready))
            writer.write(b"".join(map(encode, texts)))
            number += ready
            await writer.drain()

    try:
        yield publish
    finally:
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)
        writer.close()


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass
