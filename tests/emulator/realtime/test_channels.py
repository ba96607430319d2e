"""Joins, leaves, tokens and the life of a socket, as a raw client sees them."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from emulator.database import Database
from emulator.realtime import RealtimeSettings
from tests.emulator.realtime.conftest import DEADLINE_SECONDS, Server, serving

HOTSPOTS = {"event": "*", "schema": "public", "table": "hotspots"}


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_a_heartbeat_without_ref_is_answered_without_ref(server: Server, vsn: str) -> None:
    client = await server.client(vsn=vsn)
    await client.send("phoenix", "heartbeat", {}, ref=None)
    payload = {"status": "ok", "response": {}}
    expected = {
        "1.0.0": {"ref": None, "event": "phx_reply", "payload": payload, "topic": "phoenix"},
        "2.0.0": [None, None, "phoenix", "phx_reply", payload],
    }
    assert await client.receive() == expected[vsn]


async def test_the_api_key_may_be_in_a_header(server: Server) -> None:
    address = server.url.replace("http", "ws", 1) + "/realtime/v1/websocket"
    headers = {"apikey": server.keys.publishable}
    async with connect(address, additional_headers=headers) as connection:
        await connection.send(
            json.dumps({"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": "1"})
        )
        assert json.loads(await connection.recv())["ref"] == "1"


async def test_joining_a_topic_again_closes_the_former_channel_after_the_reply(
    server: Server,
) -> None:
    client = await server.client()
    await client.join("t", HOTSPOTS)
    await client.start_join("t", HOTSPOTS)
    frames = [await client.receive() for _ in range(3)]
    assert [(frame["event"], frame["ref"]) for frame in frames] == [
        ("phx_reply", "2"),
        ("phx_close", "1"),
        ("system", None),
    ]
    await server.sql("insert into hotspots (name) values ('once')")
    assert (await client.change())["record"]["name"] == "once"
    await server.nothing_for(client)


async def test_after_leaving_nothing_arrives(server: Server) -> None:
    client = await server.client()
    await client.join("t", HOTSPOTS)
    await client.send("realtime:t", "phx_leave", {}, ref="2", join_ref="1")
    assert [(await client.receive())["event"] for _ in range(2)] == ["phx_reply", "phx_close"]
    await server.sql("insert into hotspots (name) values ('x')")
    await server.nothing_for(client)


async def test_topics_of_one_socket_get_their_own_frames(server: Server) -> None:
    client = await server.client(vsn="2.0.0")
    await client.join("a", HOTSPOTS)
    await client.join("b", HOTSPOTS)
    await server.sql("insert into hotspots (name) values ('x')")
    topics = {(await client.receive())[2] for _ in range(2)}
    assert topics == {"realtime:a", "realtime:b"}


async def test_frames_that_mean_nothing_are_ignored(server: Server) -> None:
    client = await server.client()
    await client.join("t")
    await client.connection.send("not json")
    await client.connection.send(b"\x00\x01")
    await client.send("realtime:t", "foo", {"a": 1}, ref="3", join_ref="1")
    await client.send("realtime:t", "heartbeat", {}, ref="6")
    await server.nothing_for(client)


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("other:topic", "unmatched topic"),
        ("realtime:", "TopicNameRequired: You must provide a topic name"),
    ],
)
async def test_a_topic_that_is_none_is_refused(server: Server, topic: str, reason: str) -> None:
    client = await server.client()
    await client.send(topic, "phx_join", {}, ref="4")
    reply = await client.receive()
    assert (reply["ref"], reply["payload"]) == (
        "4",
        {"status": "error", "response": {"reason": reason}},
    )


@pytest.mark.parametrize("rows", ["name=eq.a\0", "name=like.a\0", "name=match.a\0", "na\0me=eq.a"])
async def test_a_nul_in_a_filter_is_refused_in_the_database_s_words(
    server: Server, rows: str
) -> None:
    client = await server.client()
    await client.start_join("t", {**HOTSPOTS, "filter": rows})
    await client.receive()
    system = (await client.receive())["payload"]
    assert system["status"] == "error"
    assert "ERROR 22021 (character_not_in_repertoire) invalid byte" in system["message"]


async def test_a_socket_holds_a_hundred_channels(server: Server) -> None:
    client = await server.client()
    for number in range(100):
        await client.join(f"m{number}")
    await client.start_join("m100")
    reply = await client.receive()
    reason = "ChannelRateLimitReached: Too many channels"
    assert reply["payload"] == {"status": "error", "response": {"reason": reason}}


async def test_a_channel_ends_with_its_token_and_the_socket_stays(server: Server) -> None:
    client = await server.client()
    await client.join("t", HOTSPOTS, access_token=server.user(seconds=2))
    frames = [await client.receive() for _ in range(2)]
    assert [(frame["event"], frame["ref"]) for frame in frames] == [
        ("system", None),
        ("phx_close", "1"),
    ]
    assert frames[0]["payload"] == {
        "message": "Token has expired 0 seconds ago",
        "status": "error",
        "extension": "system",
        "channel": "t",
    }
    await client.join("t", HOTSPOTS)


async def test_a_refused_join_holds_back_everything_else_on_the_socket(recorded: Database) -> None:
    async with serving(recorded, RealtimeSettings(poll_ms=0, join_refusal_ms=400)) as server:
        client = await server.client()
        await client.join("good", HOTSPOTS)
        await client.start_join("bad", access_token="garbage")
        await client.send("phoenix", "heartbeat", {}, ref="3")
        started = asyncio.get_running_loop().time()
        assert (await client.receive())["payload"]["status"] == "error"
        assert asyncio.get_running_loop().time() - started > 0.35
        assert (await client.receive())["ref"] == "3"


async def test_a_silent_socket_is_closed_in_order(recorded: Database) -> None:
    async with serving(recorded, RealtimeSettings(idle_seconds=0.2)) as server:
        client = await server.client()
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "")


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"private": True, "broadcast": {"replay": {"since": 1}}}, "replay"),
    ],
)
async def test_what_is_not_imitated_is_said_in_the_reply(
    server: Server, config: dict[str, object], named: str
) -> None:
    client = await server.client()
    await client.send("realtime:t", "phx_join", {"config": config}, ref="1", join_ref="1")
    reply = await client.receive()
    assert reply["payload"]["status"] == "error"
    assert named in reply["payload"]["response"]["reason"]


async def test_presence_cannot_be_tracked(server: Server) -> None:
    client = await server.client()
    await client.join("t")
    await client.send("realtime:t", "presence", {"event": "track", "payload": {}}, ref="9")
    reply = await client.receive()
    assert (reply["ref"], reply["payload"]["status"]) == ("9", "error")
    assert "presence is not imitated" in reply["payload"]["response"]["reason"]


async def test_a_client_that_reads_nothing_is_dropped_and_others_are_served(
    recorded: Database,
) -> None:
    settings = RealtimeSettings(poll_ms=0, join_ms=0, max_queued_frames=5)
    async with serving(recorded, settings) as server:
        slow, fast = await server.client(), await server.client()
        for client in (slow, fast):
            await client.join("t", HOTSPOTS)
        slow.connection.transport.pause_reading()
        for number in range(40):
            await server.sql(f"insert into hotspots values ({number}, repeat('x', 400000))")  # noqa: S608
            assert (await fast.change())["record"]["id"] == number
        slow.connection.transport.resume_reading()
        async with asyncio.timeout(DEADLINE_SECONDS):
            # In order (1011) when it reads again soon enough, or not.
            with pytest.raises(ConnectionClosedError):
                [frame async for frame in slow.connection]
