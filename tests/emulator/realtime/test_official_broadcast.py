"""Both official clients, as published, broadcast and hear broadcasts."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from typing import Any

import pytest
from realtime import RealtimePostgresChangesListenEvent, RealtimeSubscribeStates
from realtime.types import RealtimeChannelOptions

from tests.emulator.realtime.conftest import DEADLINE_SECONDS, USER, Server
from tests.emulator.realtime.test_official_clients import entries, python_client
from tests.node import JAVASCRIPT, install, node

EVERY = RealtimePostgresChangesListenEvent.All
HOTSPOTS = {"event": "*", "schema": "public", "table": "hotspots"}
PRIVATE: RealtimeChannelOptions = {"config": {"broadcast": None, "presence": None, "private": True}}
TALKING: RealtimeChannelOptions = {
    "config": {"broadcast": {"ack": True, "self": True}, "presence": None, "private": False}
}
ROW = """
begin;
insert into hotspots (id, name) values (7, 'both');
select realtime.broadcast_changes('team:open', 'INSERT', 'INSERT', 'hotspots', 'public', h, null)
  from hotspots h;
commit;
"""


async def test_realtime_py_hears_the_row_on_both_paths_of_one_private_channel(
    server: Server,
) -> None:
    heard: dict[str, asyncio.Queue[Any]] = {}
    for path in ("broadcast", "change", "system"):
        heard[path] = asyncio.Queue(100)
    async with python_client(server) as client, asyncio.timeout(DEADLINE_SECONDS):
        await client.realtime.set_auth(server.user())
        channel = client.channel("team:open", PRIVATE)
        channel.on_broadcast("INSERT", heard["broadcast"].put_nowait)
        channel.on_postgres_changes(EVERY, heard["change"].put_nowait, table="hotspots")
        channel.on_system(heard["system"].put_nowait)
        await channel.subscribe()
        assert (await heard["system"].get()).status == "ok"
        await server.sql(ROW)
        broadcast, change = await heard["broadcast"].get(), await heard["change"].get()
    assert broadcast["payload"]["record"] == change["data"]["record"]
    assert (broadcast["payload"]["operation"], broadcast["payload"]["old_record"]) == (
        "INSERT",
        None,
    )


async def test_realtime_py_broadcasts_to_others_and_to_itself(server: Server) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue(100)
    own: asyncio.Queue[Any] = asyncio.Queue(100)
    async with (
        python_client(server) as sender,
        python_client(server) as listener,
        asyncio.timeout(DEADLINE_SECONDS),
    ):
        joined: asyncio.Queue[Any] = asyncio.Queue(10)
        there = listener.channel("talk").on_broadcast("e", heard.put_nowait)
        await there.subscribe(lambda state, _: joined.put_nowait(state))
        here = sender.channel("talk", TALKING).on_broadcast("e", own.put_nowait)
        await here.subscribe(lambda state, _: joined.put_nowait(state))
        states = [await joined.get() for _ in range(2)]
        assert states == [RealtimeSubscribeStates.SUBSCRIBED] * 2
        await here.send_broadcast("e", {"n": 1})
        messages = [await queue.get() for queue in (heard, own)]
    assert [message["payload"] for message in messages] == [{"n": 1}] * 2


async def test_realtime_py_is_told_of_a_topic_that_it_may_not_join(server: Server) -> None:
    told: asyncio.Queue[Any] = asyncio.Queue(10)
    async with python_client(server) as client, asyncio.timeout(DEADLINE_SECONDS):
        await client.realtime.set_auth(server.user())
        channel = client.channel("secret", PRIVATE)
        await channel.subscribe(lambda state, error: told.put_nowait((state, error)))
        state, error = await told.get()
    assert state == RealtimeSubscribeStates.CHANNEL_ERROR
    assert "You do not have permissions to read from this Channel topic: secret" in str(error)


@pytest.mark.parametrize(("topic", "acknowledged"), [("team:open", True), ("team:closed", False)])
async def test_supabase_js_hears_rows_and_sends_where_it_may(
    server: Server, topic: str, acknowledged: bool
) -> None:
    program = node()
    await asyncio.to_thread(install, JAVASCRIPT)
    process = await asyncio.create_subprocess_exec(
        program,
        str(JAVASCRIPT / "broadcast.mjs"),
        server.url,
        server.keys.publishable,
        server.user(USER),
        topic,
        json.dumps(HOTSPOTS),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    found: dict[str, Any] = {}
    wanted = {"own", "INSERT", "change", "sent"} if acknowledged else {"INSERT", "change"}
    async with asyncio.timeout(DEADLINE_SECONDS):
        async for entry in entries(process):
            if "system" in entry:
                await server.sql(ROW.replace("team:open", topic))
            if "broadcast" in entry:
                found[entry["broadcast"]["event"]] = entry["broadcast"]["payload"]
            found |= {key: entry[key] for key in ("change", "sent") if key in entry}
            if wanted <= found.keys():
                break
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        await process.stdout.read()
        assert await process.wait() == 0
    assert found["INSERT"]["record"]["name"] == found["change"]["new"]["name"] == "both"
    if acknowledged:
        assert (found["own"], found["sent"]) == ({"text": "grüße"}, "ok")
    else:
        assert "own" not in found
