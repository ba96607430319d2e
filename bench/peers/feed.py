"""Where the Python peers get their rows: one connection, a row to a line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LONGEST_LINE = 1 << 20


async def serve(port: int, take: Callable[[str], Awaitable[None]]) -> asyncio.Server:
    """Listens, and awaits `take` for one line after the other."""

    async def fed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await take(line.decode().rstrip("\n"))
        writer.close()

    return await asyncio.start_server(fed, "127.0.0.1", port, limit=LONGEST_LINE)
