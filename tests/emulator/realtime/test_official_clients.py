"""Both official clients, as published, follow the emulator."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from realtime import RealtimePostgresChangesListenEvent
from supabase import AsyncClient, acreate_client

from tests.emulator.realtime.conftest import DEADLINE_SECONDS, USER, Server

JAVASCRIPT = Path(__file__).parents[2] / "js"
INSTALL_SECONDS = 90
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


@pytest.fixture(scope="session")
def node() -> str:
    """Node with the client's package beside the script, installed when it is not there yet."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        pytest.skip("node and npm are not installed")
    return program


async def installed() -> None:
    """Install the locked packages, once for all test workers."""
    with (JAVASCRIPT / "package-lock.json").open() as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        done = JAVASCRIPT / "node_modules" / ".package-lock.json"
        newest = (JAVASCRIPT / "package-lock.json").stat().st_mtime
        if done.exists() and done.stat().st_mtime >= newest:
            return
        async with asyncio.timeout(INSTALL_SECONDS):
            command = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
            process = await asyncio.create_subprocess_exec(
                *command, cwd=JAVASCRIPT, stdout=PIPE, stderr=PIPE
            )
            _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()


async def entries(process: Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield json.loads(line)


async def test_supabase_js_follows_insert_update_and_delete(server: Server, node: str) -> None:
    await installed()
    process = await asyncio.create_subprocess_exec(
        node,
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
