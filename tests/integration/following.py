"""Clients that follow a table and pass on what they are told."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from realtime import RealtimePostgresChangesListenEvent
from supabase import AsyncClient

from tests.node import JAVASCRIPT

EVERY = RealtimePostgresChangesListenEvent.All
Entries = asyncio.Queue[Any]


async def follow(client: AsyncClient, rows: str | None = None, table: str = "hotspots") -> Entries:
    """Changes as realtime-py tells them, from the moment on that the server says it is ready."""
    events: Entries = asyncio.Queue(1000)
    channel = client.channel("followed")
    channel.on_postgres_changes(EVERY, events.put_nowait, table=table, schema="public", filter=rows)
    channel.on_system(events.put_nowait)
    await channel.subscribe()
    system = await events.get()
    assert (system.status, system.message) == ("ok", "Subscribed to PostgreSQL")
    return events


@asynccontextmanager
async def supabase_js(
    node: str, url: str, key: str, token: str, binding: dict[str, str]
) -> AsyncIterator[Entries]:
    """The same by supabase-js in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(node, str(JAVASCRIPT / "follow.mjs"), url, key, token, json.dumps(binding)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    entries: Entries = asyncio.Queue(1000)
    reading = asyncio.create_task(_read(process.stdout, entries))
    try:
        while (entry := await entries.get()).get("system", {}).get("status") != "ok":
            assert "error" not in entry.get("system", {}).get("status", ""), entry
        yield entries
    finally:
        process.stdin.close()
        await reading
        assert await process.wait() == 0


async def _read(output: asyncio.StreamReader, entries: Entries) -> None:
    async for line in output:
        entry = json.loads(line)
        await entries.put(entry.get("change", entry))
