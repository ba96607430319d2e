"""Both official clients, as published, follow the emulator."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from realtime import RealtimePostgresChangesListenEvent
from supabase import AsyncClient, acreate_client

from tests.emulator.realtime.conftest import DEADLINE_SECONDS, USER, Server
from tests.node import JAVASCRIPT, install, node

EVERY = RealtimePostgresChangesListenEvent.All
ALERTS = {"event": "*", "schema": "public", "table": "alerts"}


@asynccontextmanager
async def python_client(server: Server) -> AsyncIterator[AsyncClient]:
    client = await acreate_client(server.url, server.keys.publishable)
    try:
        yield client
    finally:
        await client.realtime.remove_all_channels()
        await client.realtime.close()


async def test_realtime_py_follows_insert_update_and_delete(server: Server) -> None:
    events: asyncio.Queue[Any] = asyncio.Queue(100)
    async with python_client(server) as client, asyncio.timeout(DEADLINE_SECONDS):
        await client.realtime.set_auth(server.user())
        channel = client.channel("followed")
        channel.on_postgres_changes(EVERY, events.put_nowait, table="alerts", schema="public")
        channel.on_system(events.put_nowait)
        await channel.subscribe()
        system = await events.get()
        assert (system.status, system.message) == ("ok", "Subscribed to PostgreSQL")
        await server.sql("insert into alerts (id, level) values (7, 'warn')")
        inserted = (await events.get())["data"]
        await server.sql("update alerts set level = 'info' where id = 7")
        updated = (await events.get())["data"]
        await server.sql("delete from alerts where id = 7")
        deleted = (await events.get())["data"]
    assert (inserted["type"], inserted["record"]["level"]) == ("INSERT", "warn")
    assert (updated["type"], updated["record"]["level"]) == ("UPDATE", "info")
    assert (deleted["type"], deleted["old_record"]) == ("DELETE", {"id": 7})


async def entries(process: Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield json.loads(line)


async def test_supabase_js_follows_insert_update_and_delete(server: Server) -> None:
    program = node()
    await asyncio.to_thread(install, JAVASCRIPT)
    process = await asyncio.create_subprocess_exec(
        program,
        str(JAVASCRIPT / "follow.mjs"),
        server.url,
        server.keys.publishable,
        server.user(USER),
        json.dumps(ALERTS),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    changes: list[Any] = []
    statements = iter(
        [
            "insert into alerts (id, level) values (7, 'warn')",
            "update alerts set level = 'info' where id = 7",
            "delete from alerts where id = 7",
        ]
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        async for entry in entries(process):
            if "change" in entry:
                changes.append(entry["change"])
            if len(changes) == 3:
                break
            if "change" in entry or entry.get("system", {}).get("status") == "ok":
                await server.sql(next(statements))
        assert process.stdin is not None
        process.stdin.close()
        assert process.stdout is not None
        await process.stdout.read()
        assert await process.wait() == 0
    assert [change["eventType"] for change in changes] == ["INSERT", "UPDATE", "DELETE"]
    assert [change["new"].get("level") for change in changes] == ["warn", "info", None]
    assert [change["old"] for change in changes] == [{}, {"id": 7}, {"id": 7}]
