"""Broadcasts from the database and from clients, as raw clients see them."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from emulator.database import Database
from emulator.realtime import RealtimeSettings
from tests.emulator.realtime.conftest import (
    DEADLINE_SECONDS,
    OTHER_USER,
    Client,
    Server,
    serving,
)

BCAST = {"event": "*", "schema": "public", "table": "bcast"}
ASKING = {"config": {"broadcast": {"ack": False, "self": False, "replication_ready": True}}}
SEND = "select realtime.send(jsonb_build_object('text', %s::text), 'e', 't', false)"
NOT_READABLE = "You do not have permissions to read from this Channel topic"


def config(
    *bindings: object, private: bool = False, ack: bool = False, to_self: bool = False, **more: Any
) -> dict[str, Any]:
    broadcast = {"ack": ack, "self": to_self}
    return {"broadcast": broadcast, "private": private, "postgres_changes": list(bindings), **more}


async def joined(client: Client, topic: str, *bindings: object, **options: Any) -> Client:
    """Join, and read what there is to be read of it."""
    reply = await asked(client, topic, *bindings, **options)
    assert reply["status"] == "ok", reply
    if bindings:
        assert (await payload(client, "system"))["status"] == "ok"
    return client


async def asked(
    client: Client, topic: str, *bindings: object, token: str | None = None, **options: Any
) -> Any:
    ref = str(next(client.refs))
    join: dict[str, Any] = {"config": config(*bindings, **options)}
    if token is not None:
        join["access_token"] = token
    await client.send(f"realtime:{topic}", "phx_join", join, ref=ref, join_ref=ref)
    return await payload(client, "phx_reply")


async def payload(client: Client, event: str) -> Any:
    frame = await client.receive()
    found, body = (
        (frame[3], frame[4]) if isinstance(frame, list) else (frame["event"], frame["payload"])
    )
    assert found == event, frame
    return body


async def send(client: Client, topic: str, event: str, body: object, ref: str = "9") -> None:
    message = {"type": "broadcast", "event": event, "payload": body}
    await client.send(f"realtime:{topic}", "broadcast", message, ref=ref, join_ref="1")


async def test_a_row_reaches_the_private_topic_and_nobody_on_the_public_one(server: Server) -> None:
    private = await joined(await server.client(server.keys.secret), "team:a", private=True)
    public = await joined(await server.client(server.keys.secret), "team:a")
    await server.sql("select realtime.send('{\"n\": 1}', 'tick', 'team:a')")
    received = await payload(private, "broadcast")
    assert (received["event"], received["payload"]["n"]) == ("tick", 1)
    assert received["meta"]["id"] == received["payload"]["id"]
    await server.nothing_for(public)


async def test_a_public_row_reaches_the_public_topic_and_nobody_on_the_private_one(
    server: Server,
) -> None:
    private = await joined(await server.client(server.keys.secret), "team:a", private=True)
    public = await joined(await server.client(), "team:a")
    await server.sql("select realtime.send('{\"id\": \"mine\"}', 'tick', 'team:a', false)")
    received = await payload(public, "broadcast")
    assert received["payload"] == {"id": "mine"}
    await server.nothing_for(private)


async def test_a_policy_lets_some_topics_be_joined(server: Server) -> None:
    client, token = await server.client(), server.user()
    await joined(client, "team:b", private=True, token=token)
    refused = await asked(client, "rows:b", private=True, token=token)
    assert refused["response"] == {"reason": f"Unauthorized: {NOT_READABLE}: rows:b"}
    stranger = await asked(client, "team:c", private=True)
    assert stranger["response"] == {"reason": f"Unauthorized: {NOT_READABLE}: team:c"}
    await server.sql(
        "select realtime.send('{}', 'b', 'team:b'), realtime.send('{}', 'c', 'rows:b')"
    )
    assert (await payload(client, "broadcast"))["event"] == "b"
    await server.nothing_for(client)


async def test_a_refused_join_of_a_joined_topic_ends_the_former_channel(server: Server) -> None:
    client = await joined(await server.client(), "team:d", private=True, token=server.user())
    refused = await asked(client, "team:d", private=True)
    assert refused["status"] == "error"
    closing = await client.receive()
    assert (closing["event"], closing["ref"]) == ("phx_close", "1")
    await server.sql("select realtime.send('{}', 'x', 'team:d')")
    await server.nothing_for(client)


async def test_a_token_without_permission_ends_a_private_channel(server: Server) -> None:
    client = await joined(await server.client(), "team:e", private=True, token=server.user())
    token = {"access_token": server.keys.mint("anon")}
    await client.send("realtime:team:e", "access_token", token, ref="2", join_ref="1")
    system = await payload(client, "system")
    assert system == {
        "message": f"{NOT_READABLE}: team:e",
        "status": "error",
        "extension": "system",
        "channel": "team:e",
    }
    await payload(client, "phx_close")


async def test_a_token_with_permission_keeps_a_private_channel(server: Server) -> None:
    client = await joined(await server.client(), "team:f", private=True, token=server.user())
    token = {"access_token": server.user(OTHER_USER)}
    await client.send("realtime:team:f", "access_token", token, ref="2", join_ref="1")
    await client.send("phoenix", "heartbeat", {}, ref="3")
    assert (await payload(client, "phx_reply"))["status"] == "ok"
    await server.sql("select realtime.send('{}', 'x', 'team:f')")
    assert (await payload(client, "broadcast"))["event"] == "x"
    await server.nothing_for(client)


async def test_rows_come_in_order_and_rolled_back_ones_never(server: Server) -> None:
    client = await joined(await server.client(server.keys.secret), "rows:bcast", private=True)
    await server.sql("begin; insert into bcast (n) values (-1); rollback")
    await server.sql("insert into bcast (n) select generate_series(1, 2000)")
    for number in range(2001, 2051):
        await server.sql(f"insert into bcast (n) values ({number})")  # noqa: S608
    found = [(await payload(client, "broadcast"))["payload"]["record"]["n"] for _ in range(2050)]
    assert found == [*range(1, 2051)]
    await server.nothing_for(client)


async def test_a_broadcast_comes_before_the_change_of_the_same_row(server: Server) -> None:
    client = await server.client(server.keys.secret)
    await joined(client, "rows:bcast", BCAST, private=True)
    await server.sql("insert into bcast (name) values ('both')")
    first, second = await client.receive(), await client.receive()
    assert {first["event"], second["event"]} == {"broadcast", "postgres_changes"}


async def test_a_row_over_three_megabytes_is_dropped_without_a_word(server: Server) -> None:
    client = await joined(await server.client(server.keys.secret), "rows:bcast", private=True)
    for size, name in ((2_900_000, "fits"), (3_100_000, "too large"), (1, "after")):
        await server.sql(f"insert into bcast (name, body) values ('{name}', repeat('x', {size}))")  # noqa: S608
    records = [(await payload(client, "broadcast"))["payload"]["record"] for _ in range(2)]
    assert [record["name"] for record in records] == ["fits", "after"]
    await server.nothing_for(client)


async def test_several_channels_and_sockets_hear_their_topics(server: Server) -> None:
    client, other = await server.client(), await server.client(vsn="2.0.0")
    await joined(client, "a")
    await joined(client, "b")
    await joined(other, "b")
    await server.sql("select realtime.send('{}', 'for b', 'b', false)")
    await server.sql("select realtime.send('{}', 'for a', 'a', false)")
    frames = [await client.receive() for _ in range(2)]
    assert [frame["topic"] for frame in frames] == ["realtime:b", "realtime:a"]
    async with asyncio.timeout(DEADLINE_SECONDS):
        binary = await other.connection.recv()
    assert isinstance(binary, bytes)
    topic, event = b"realtime:b", b"for b"
    assert binary[:5] == bytes([4, len(topic), len(event), binary[3], 1])
    rest = binary[5:]
    assert rest.startswith(topic + event + b'{"id":"')
    assert json.loads(rest[len(topic + event) + binary[3] :]).keys() == {"id"}


async def test_bytes_reach_only_clients_of_version_2(server: Server) -> None:
    old, new = await joined(await server.client(), "raw"), await server.client(vsn="2.0.0")
    await joined(new, "raw")
    content = b"\x00\x01\xff"
    await server.sql(f"select realtime.send_binary('\\x{content.hex()}', 'e', 'raw', false)")
    async with asyncio.timeout(DEADLINE_SECONDS):
        frame = await new.connection.recv()
    assert isinstance(frame, bytes)
    assert (frame[4], frame[-3:]) == (0, content)
    await server.nothing_for(old)


async def test_a_client_hears_itself_only_when_it_asked_to(server: Server) -> None:
    silent = await joined(await server.client(), "talk")
    loud = await joined(await server.client(), "talk", to_self=True, ack=True)
    await send(loud, "talk", "e", {"b": 1, "a": 2})
    expected = {"event": "e", "payload": {"a": 2, "b": 1}, "type": "broadcast"}
    assert await payload(loud, "broadcast") == expected
    assert await payload(loud, "phx_reply") == {"status": "ok", "response": {}}
    assert await payload(silent, "broadcast") == expected
    await send(silent, "talk", "f", {})
    assert (await payload(loud, "broadcast"))["event"] == "f"
    await server.nothing_for(silent)


@pytest.mark.parametrize("content", ['{"x":1}', base64.b64encode(b"no JSON").decode()])
async def test_versions_understand_each_other(server: Server, content: str) -> None:
    old = await joined(await server.client(), "talk")
    new = await joined(await server.client(vsn="2.0.0"), "talk", to_self=True)
    texts = [text.encode() for text in ("1", "7", "realtime:talk", "e", "")]
    is_json = content.startswith("{")
    header = bytes([3, *map(len, texts), int(is_json)])
    await new.connection.send(header + b"".join(texts) + content.encode())
    async with asyncio.timeout(DEADLINE_SECONDS):
        echoed = await new.connection.recv()
    assert echoed == bytes([4, 13, 1, 0, int(is_json)]) + b"realtime:talke" + content.encode()
    if is_json:
        expected = {"event": "e", "payload": {"x": 1}, "type": "broadcast"}
        assert await payload(old, "broadcast") == expected
    await server.nothing_for(old)
    await send(old, "talk", "f", {"y": 2})
    assert (await new.receive())[2:] == [
        "realtime:talk",
        "broadcast",
        {"event": "f", "payload": {"y": 2}, "type": "broadcast"},
    ]


async def test_sending_to_a_private_topic_needs_a_policy(server: Server) -> None:
    options: dict[str, Any] = {"private": True, "ack": True, "token": server.user()}
    sender = await joined(await server.client(), "team:open", **options)
    await joined(sender, "team:closed", **options)
    hears = await joined(await server.client(server.keys.secret), "team:open", private=True)
    await joined(hears, "team:closed", private=True)
    for topic in ("team:closed", "team:open", "team:closed", "team:open"):
        await send(sender, topic, "e", {})
    for _ in range(2):
        assert (await hears.receive())["topic"] == "realtime:team:open"
        assert (await sender.receive())["topic"] == "realtime:team:open"  # the answer
    await server.nothing_for(hears)
    await server.nothing_for(sender)


async def test_too_large_a_broadcast_is_answered_with_an_error(server: Server) -> None:
    other = await joined(await server.client(), "talk")
    client = await joined(await server.client(), "talk", ack=True)
    await send(client, "talk", "e", {"x": "x" * 3_100_000})
    reply = await payload(client, "phx_reply")
    assert reply == {"status": "error", "response": "payload_size_exceeded"}
    await server.nothing_for(other)


async def test_after_leaving_no_broadcast_arrives(server: Server) -> None:
    client = await joined(await server.client(), "talk")
    await client.send("realtime:talk", "phx_leave", {}, ref="2", join_ref="1")
    await payload(client, "phx_reply")
    await payload(client, "phx_close")
    await server.sql("select realtime.send('{}', 'e', 'talk', false)")
    await server.nothing_for(client)


async def test_who_asks_for_presence_hears_that_nobody_is_present(server: Server) -> None:
    presence = {"key": "k", "enabled": True}
    client = await joined(await server.client(), "room", presence=presence)
    assert await payload(client, "presence_state") == {}
    private = await server.client()
    await joined(private, "team:room", private=True, token=server.user(), presence=presence)
    await server.nothing_for(private)  # the policy is about broadcasts alone


async def test_who_asks_whether_broadcasts_are_ready_is_told(server: Server) -> None:
    client = await server.client()
    await client.send("realtime:t", "phx_join", ASKING, ref="1")
    assert (await payload(client, "phx_reply"))["status"] == "ok"
    system = await payload(client, "system")
    assert (system["status"], system["message"]) == ("ok", "Replication connection established")


async def test_the_first_join_is_answered_before_broadcasts_are_replicated(
    recorded: Database,
) -> None:
    cold = replace(RealtimeSettings.prompt(), cold_broadcast_ms=300)
    async with serving(recorded, cold) as server:
        client = await server.client()
        await client.send("realtime:t", "phx_join", ASKING, ref="1")
        assert (await payload(client, "phx_reply"))["status"] == "ok"
        await server.sql(SEND, "too early")
        assert (await payload(client, "system"))["message"] == "Replication connection established"
        await server.sql(SEND, "in time")
        assert (await payload(client, "broadcast"))["payload"]["text"] == "in time"
        await server.nothing_for(client)


async def test_a_channel_that_waits_in_vain_for_replication_is_shut(recorded: Database) -> None:
    settings = replace(
        RealtimeSettings.prompt(), cold_broadcast_ms=60_000, replication_ready_seconds=0.1
    )
    async with serving(recorded, settings) as server:
        client = await server.client()
        await client.send("realtime:t", "phx_join", ASKING, ref="1")
        assert (await payload(client, "phx_reply"))["status"] == "ok"
        system = await payload(client, "system")
        assert system["status"] == "error"
        assert system["message"] == "Replication connection was not established in time"
        assert await payload(client, "phx_close") == {}
