"""Broadcasts over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.emulator.realtime.conftest import DEADLINE_SECONDS, Server
from tests.emulator.realtime.test_broadcast import joined, payload
from tests.emulator.realtime.test_official_clients import python_client

PATH = "/realtime/v1/api/broadcast"


async def post(server: Server, path: str, key: str | None, **more: Any) -> httpx.Response:
    headers = {"apikey": key} if key else {}
    headers |= more.pop("headers", {})
    async with httpx.AsyncClient(timeout=DEADLINE_SECONDS) as client:
        return await client.post(server.url + PATH + path, headers=headers, **more)


async def test_messages_reach_their_topics(server: Server) -> None:
    client = await joined(await server.client(), "a")
    hears = await joined(await server.client(server.keys.secret), "team:open", private=True)
    messages = [
        {"topic": "team:open", "event": "p", "payload": {"n": 2}, "private": True},
        {"topic": "team:closed", "event": "p", "payload": {}, "private": True},
        {"topic": "a", "event": "e", "payload": {"n": 1}},
    ]
    key = server.keys.publishable
    bearer = {"Authorization": f"Bearer {server.user()}"}
    answer = await post(server, "", key, json={"messages": messages}, headers=bearer)
    assert (answer.status_code, answer.content) == (202, b"")
    expected = {"event": "e", "payload": {"n": 1}, "type": "broadcast"}
    assert await payload(client, "broadcast") == expected
    assert (await payload(hears, "broadcast"))["payload"] == {"n": 2}


async def test_one_event_is_posted_to_its_own_address(server: Server) -> None:
    client = await joined(await server.client(), "a/b:c")
    key = server.keys.publishable
    answer = await post(server, "/a%2Fb%3Ac/events/e", key, json={"n": 1})
    assert answer.status_code == 202
    expected = {"event": "e", "payload": {"n": 1}, "type": "broadcast"}
    assert await payload(client, "broadcast") == expected
    denied = await post(server, "/team:open/events/e?private=true", key, json={})
    assert (denied.status_code, denied.json()) == (403, {"message": "Unauthorized"})
    await server.nothing_for(client)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("", {}, 422, {"errors": {"messages": ["can't be blank"]}}),
        (
            "",
            {"messages": [{"topic": "a", "event": "e"}]},
            422,
            {"errors": {"messages": [{"payload": ["can't be blank"]}]}},
        ),
        (
            "/a/events/e",
            {"x": "x" * 3_100_000},
            422,
            {"errors": {"payload": ["Payload size exceeds tenant limit"]}},
        ),
    ],
)
async def test_what_cannot_be_sent_is_refused(
    server: Server, path: str, body: object, status: int, said: object
) -> None:
    answer = await post(server, path, server.keys.publishable, json=body)
    assert (answer.status_code, answer.json()) == (status, said)


@pytest.mark.parametrize("value", ["[" * 100_000, r'"\ud800"', "NaN", "1e400"])
async def test_what_is_json_for_python_alone_is_refused(server: Server, value: str) -> None:
    several = f'{{"messages":[{{"topic":"a","event":"e","payload":{{"x":{value}}}}}]}}'
    client = await joined(await server.client(), "a")
    key, kind = server.keys.publishable, {"Content-Type": "application/json"}
    answers = [
        await post(server, "", key, content=several, headers=kind),
        await post(server, "/a/events/e", key, content=f'{{"x":{value}}}', headers=kind),
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    await server.nothing_for(client)


async def test_a_client_that_goes_amid_its_body_is_no_failure(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\napikey: {server.keys.publishable}\r\n"
    writer.write(f"{head}Content-Length: 10\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await post(server, "", None)).status_code == 401
    await server.settled()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("key", [None, "garbage"])
async def test_nobody_posts_without_a_key(server: Server, key: str | None) -> None:
    answer = await post(server, "", key, json={"messages": []})
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})


async def test_realtime_py_posts_json_and_bytes(server: Server) -> None:
    old, new = await joined(await server.client(), "talk"), await server.client(vsn="2.0.0")
    await joined(new, "talk")
    async with python_client(server) as client:
        channel = client.channel("talk")
        await channel.http_send("e", {"n": 1})
        await channel.http_send("e", b"\x00\xff")
    assert (await payload(old, "broadcast"))["payload"] == {"n": 1}
    await server.nothing_for(old)
    async with asyncio.timeout(DEADLINE_SECONDS):
        frames = [await new.connection.recv() for _ in range(2)]
    header = bytes([4, len("realtime:talk"), 1, 0])
    assert frames == [
        header + b"\x01realtime:talke" + b'{"n":1}',
        header + b"\x00realtime:talke" + b"\x00\xff",
    ]
