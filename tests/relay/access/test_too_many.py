"""Limits on real sockets: who is over one is told so, and the others notice nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from emulator.running import Emulator
from relay.connections import http
from tests.relay.access.admission import bring, token_of, tried
from tests.relay.clients import Running, Tables, change, frame, greeted, live_relay

SECONDS = 30.0


@asynccontextmanager
async def limited(emulator: Emulator, **variables: str) -> AsyncIterator[Running]:
    """A relay behind a proxy on this machine, with limits."""
    behind = {"RELAY_TRUSTED_PROXIES": "127.0.0.1"}
    async with live_relay(emulator, **behind | variables) as relay, asyncio.timeout(SECONDS):
        yield relay


def from_address(relay: Running, address: str, **options: str) -> connect:
    """A connection that the proxy forwards for that address."""
    return relay.follow("hotspots", additional_headers={"X-Forwarded-For": address, **options})


async def refusal(attempt: connect) -> tuple[int, str | None]:
    """The status of the refused upgrade, and its Retry-After."""
    with pytest.raises(InvalidStatus) as refused:
        await attempt
    response = refused.value.response
    return response.status_code, response.headers.get("Retry-After")


async def test_an_address_holds_so_many_connections(emulator: Emulator, tables: Tables) -> None:
    async with limited(emulator, RELAY_MAX_PER_ADDRESS="2") as relay:
        one, two = from_address(relay, "203.0.113.1"), from_address(relay, "203.0.113.1")
        async with one, two as stays:
            assert await refusal(from_address(relay, "203.0.113.1")) == (429, "30")
            async with from_address(relay, "203.0.113.2") as other:
                await greeted(other)
                await greeted(stays)
                row = tables.hotspot()
                assert (await change(stays))["record"]["id"] == row
                assert (await change(other))["record"]["id"] == row
        await relay.until(lambda health: health["clients"] == 0)
        async with from_address(relay, "203.0.113.1") as again:
            assert (await frame(again))["type"] == "hello"


async def test_an_address_comes_so_often(emulator: Emulator) -> None:
    async with limited(emulator, RELAY_CONNECTS_PER_SECOND="0.4") as relay:
        for _ in range(2):
            async with from_address(relay, "203.0.113.1"):
                pass
        assert await refusal(from_address(relay, "203.0.113.1")) == (429, "5")


async def test_the_relay_holds_so_many_connections(emulator: Emulator) -> None:
    async with (
        limited(emulator, RELAY_MAX_CONNECTIONS="1") as relay,
        from_address(relay, "203.0.113.1"),
    ):
        assert await refusal(from_address(relay, "203.0.113.2")) == (503, "10")


async def test_what_a_client_says_of_its_address_itself_does_not_count(emulator: Emulator) -> None:
    async with limited(emulator, RELAY_MAX_PER_ADDRESS="1") as relay:
        async with from_address(relay, "6.6.6.6, 203.0.113.1"):
            status, _ = await refusal(from_address(relay, "7.7.7.7, 203.0.113.1"))
        assert status == 429


@pytest.mark.parametrize("header", ["Forwarded", "X-Real-IP", "True-Client-IP"])
async def test_nobody_gets_more_by_headers_that_the_proxy_passes_on(
    emulator: Emulator, header: str
) -> None:
    async with limited(emulator, RELAY_MAX_PER_ADDRESS="1") as relay:
        said = "for=127.0.0.1" if header == "Forwarded" else "127.0.0.1"
        async with from_address(relay, "203.0.113.1"):
            status, _ = await refusal(from_address(relay, "203.0.113.1", **{header: said}))
        assert status == 429


async def test_the_header_with_the_address_can_be_another_one(emulator: Emulator) -> None:
    variables = {"RELAY_MAX_PER_ADDRESS": "1", "RELAY_CLIENT_ADDRESS_HEADER": "Fly-Client-IP"}
    async with limited(emulator, **variables) as relay:
        ours = {"Fly-Client-IP": "203.0.113.1"}
        async with from_address(relay, "203.0.113.7", **ours):
            status, _ = await refusal(from_address(relay, "203.0.113.8", **ours))
        assert status == 429


async def test_a_user_holds_so_many_connections(emulator: Emulator) -> None:
    variables = {"RELAY_AUTH": "required", "RELAY_MAX_PER_USER": "1"}
    async with limited(emulator, **variables) as relay:
        async with bring(relay.host, "hotspots", "header", token_of(emulator)) as client:
            await greeted(client)
            for source in ("header", "first message"):
                assert (await tried(relay.host, "alerts", source, token_of(emulator)))[1] == 1013
            other = token_of(emulator, sub="somebody-else")
            assert (await tried(relay.host, "alerts", "header", other))[1] == 0
        await relay.until(lambda health: health["clients"] == 0)
        assert (await tried(relay.host, "alerts", "header", token_of(emulator)))[1] == 0


@pytest.mark.parametrize("flood", ["messages", "pings", "pongs"])
async def test_who_says_too_much_is_closed(emulator: Emulator, flood: str) -> None:
    async with (
        limited(emulator, RELAY_MESSAGES_PER_SECOND="1") as relay,
        relay.follow("hotspots") as client,
        relay.follow("hotspots") as other,
    ):
        await greeted(client)
        with contextlib.suppress(ConnectionClosed):
            for _ in range(10_000):
                await say(client, flood)
                await asyncio.sleep(0)
        assert client.close_code == 4002
        await greeted(other)
        await other.send('{"type":"ping"}')
        assert (await change(other))["type"] == "pong"


async def say(client: ClientConnection, kind: str) -> None:
    if kind == "messages":
        await client.send('{"type":"ping"}')
    elif kind == "pings":
        await client.ping()
    else:
        await client.pong()


async def test_unfinished_requests_are_ended_in_time(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.5)
    async with limited(emulator) as relay, AsyncExitStack() as opened:
        beginnings = (b"", b"G", b"GET /ws/hotspots HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        readers = []
        for said in beginnings * 20:
            reader, writer = await asyncio.open_connection(*relay.host.split(":"))
            opened.callback(writer.close)
            writer.write(said)
            readers.append(reader)
        for reader in readers:
            with pytest.raises((ConnectionResetError, EOFError)):
                await reader.readexactly(1)


async def test_a_head_that_does_not_end_is_refused(emulator: Emulator) -> None:
    async with limited(emulator) as relay:
        reader, writer = await asyncio.open_connection(*relay.host.split(":"))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        writer.write(b"x" * 40_000)
        with contextlib.suppress(ConnectionResetError):  # which may overtake the answer
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_a_query_that_is_too_long_is_refused(emulator: Emulator) -> None:
    async with limited(emulator) as relay:
        status, _ = await refusal(relay.follow(f"hotspots?entity={'x' * 17_000}"))
        assert status == 414
