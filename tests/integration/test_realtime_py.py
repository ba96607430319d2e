"""Everyday features of realtime-py by itself: the socket, its channels, tokens and topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent

from tests.integration.conftest import DEADLINE_SECONDS, Supabase
from tests.integration.following import EVERY


@asynccontextmanager
async def socket(
    supabase: Supabase, token: str | None = None
) -> AsyncIterator[AsyncRealtimeClient]:
    key = supabase.publishable
    realtime = AsyncRealtimeClient(f"{supabase.url}/realtime/v1", key, auto_reconnect=False)
    await realtime.connect()
    if token is not None:
        await realtime.set_auth(token)
    try:
        yield realtime
    finally:
        await realtime.remove_all_channels()
        await realtime.close()


async def token_of(client: Any) -> str:
    session = await client.auth.get_session()
    assert session is not None
    return str(session.access_token)


async def test_several_bindings_of_a_channel_hear_their_own_events(
    supabase: Supabase, service: Any, user: Any
) -> None:
    events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue(20)

    def put(kind: str, message: Any) -> None:
        events.put_nowait((kind, message))

    filtered = f"entity=eq.{supabase.entity}"
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        socket(supabase, await token_of(user)) as realtime,
    ):
        channel = realtime.channel("several")
        for kind in ("INSERT", "UPDATE"):
            channel.on_postgres_changes(
                getattr(RealtimePostgresChangesListenEvent, kind.capitalize()),
                partial(put, kind),
                table="hotspots",
                schema="public",
                filter=filtered,
            )
        channel.on_system(partial(put, "system"))
        await channel.subscribe()
        assert (await events.get())[0] == "system"
        (row,) = (await service.table("hotspots").insert(supabase.hotspot()).execute()).data
        changing = service.table("hotspots").update({"status": "ignored"}).eq("id", row["id"])
        await changing.execute()
        heard = [await events.get() for _ in range(2)]
    heard = [(kind, change["data"]) for kind, change in heard]
    assert [(kind, data["type"]) for kind, data in heard] == [
        ("INSERT", "INSERT"),
        ("UPDATE", "UPDATE"),
    ]
    assert heard[1][1]["record"]["status"] == "ignored"


async def test_a_token_that_comes_later_opens_what_was_closed(
    supabase: Supabase, service: Any, user: Any
) -> None:
    events: asyncio.Queue[Any] = asyncio.Queue(20)
    ready: asyncio.Queue[Any] = asyncio.Queue(20)
    async with asyncio.timeout(DEADLINE_SECONDS), socket(supabase) as realtime:
        channel = realtime.channel("later")
        channel.on_postgres_changes(EVERY, events.put_nowait, table="hotspots", schema="public")
        channel.on_system(ready.put_nowait)
        await channel.subscribe()
        assert (await ready.get()).status == "ok"
        await service.table("hotspots").insert(supabase.hotspot()).execute()
        await realtime.set_auth(await token_of(user))
        assert (await ready.get()).status == "ok"
        assert events.empty()
        row = supabase.hotspot(event_type="factory")
        await service.table("hotspots").insert(row).execute()
        change = await events.get()
    assert change["data"]["record"]["event_type"] == "factory"


async def test_a_topic_is_heard_by_others_and_on_demand_by_oneself(supabase: Supabase) -> None:
    heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue(20)

    def put(name: str, message: Any) -> None:
        heard.put_nowait((name, message["payload"]))

    topic = f"room {supabase.entity}"
    async with asyncio.timeout(DEADLINE_SECONDS), socket(supabase) as one, socket(supabase) as two:
        echoing = {"config": {"broadcast": {"self": True, "ack": False}}}
        own = one.channel(topic, echoing)  # type: ignore[arg-type] # presence has defaults
        other = two.channel(topic)
        for name, channel in (("own", own), ("other", other)):
            channel.on_broadcast("note", partial(put, name))
            await channel.subscribe()
            assert channel.is_joined
        await own.send_broadcast("note", {"from": "own"})
        assert {(await heard.get())[0] for _ in range(2)} == {"own", "other"}
        await other.send_broadcast("note", {"from": "other"})
        assert await heard.get() == ("own", {"from": "other"})
        await own.unsubscribe()
        await other.send_broadcast("note", {"from": "other"})
        await two.remove_channel(other)
    assert heard.empty()
