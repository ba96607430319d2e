"""Answers that a client leaves unread before its handshake on the same connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from emulator.running import Emulator
from relay.connections import session
from relay.connections.http import HttpConnection
from relay.connections.websocket import WebSocketConnection
from relay.stream.encoding import SUBPROTOCOL
from tests.relay.access.hostile import kept
from tests.relay.access.test_hostile_requests import Ends, connection, ended_by_the_relay
from tests.relay.clients import Running, Tables, live_relay, relay_of
from tests.relay.raw import HEADERS, head

SECONDS = 30.0
REQUEST = head("/web/client/client.js", {"Host": "127.0.0.1"})
HANDSHAKE = head("/ws/alerts", HEADERS | {"Sec-WebSocket-Protocol": SUBPROTOCOL})
each_server = pytest.mark.usefixtures("each_server")


async def until_it_holds_answers(relay: Running, writer: asyncio.StreamWriter) -> None:
    """Asks, and reads nothing, until the relay has answered all and holds a part of that."""
    writer.write(REQUEST)
    await until_served_by(relay, HttpConnection)
    (received,) = (each for each in relay.connections() if isinstance(each, HttpConnection))
    async with asyncio.timeout(SECONDS):
        while not received.transport.get_write_buffer_size():
            writer.write(REQUEST)
            before = received.cycle
            while received.cycle is before or not received.cycle.response_complete:  # noqa: ASYNC110
                await asyncio.sleep(0)


async def until_served_by(relay: Running, kind: type[object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not any(isinstance(each, kind) for each in relay.connections()):  # noqa: ASYNC110
            await asyncio.sleep(0)


@asynccontextmanager
async def full(relay: Running) -> AsyncIterator[Ends]:
    """A connection whose answers the relay holds because they are not read."""
    async with connection(relay, room=4096) as (reader, writer):
        await until_it_holds_answers(relay, writer)
        yield reader, writer


@each_server
async def test_a_handshake_behind_answers_that_are_not_read_ends_the_connection(
    emulator: Emulator,
) -> None:
    async with relay_of(emulator) as relay, full(relay) as (reader, writer):
        writer.write(HANDSHAKE)
        async with asyncio.timeout(SECONDS):
            while relay.connections():  # noqa: ASYNC110 no event tells
                await asyncio.sleep(0.01)
        assert kept(relay)["sessions"] == 0
        await ended_by_the_relay(reader)


@each_server
async def test_a_handshake_behind_a_request_without_an_answer_yet_ends_the_connection(
    emulator: Emulator,
) -> None:
    async with relay_of(emulator) as relay, connection(relay) as (reader, writer):
        writer.write(REQUEST * 3 + HANDSHAKE)
        async with asyncio.timeout(SECONDS):
            with contextlib.suppress(ConnectionError):
                assert b" 101 " not in await reader.read()


@each_server
async def test_who_has_read_the_answers_may_go_on_with_a_handshake(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay, connection(relay) as (reader, writer):
        for _ in range(2):
            writer.write(head("/healthz", {"Host": "127.0.0.1"}))
            async with asyncio.timeout(SECONDS):
                assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
                while b"}" not in await reader.read(1000):
                    pass
        writer.write(HANDSHAKE)
        async with asyncio.timeout(SECONDS):
            assert b" 101 " in await reader.readline()


async def test_who_does_not_read_is_ended_even_if_its_socket_was_full_before_the_handshake(
    emulator: Emulator, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule for clients that stall does not depend on who was told that the socket is full."""
    monkeypatch.setattr(session, "STALLED_SECONDS", 1.0)
    async with live_relay(emulator) as relay, full(relay) as (reader, writer):
        monkeypatch.setattr(HttpConnection, "_owes_an_answer", lambda _: False)
        writer.write(HANDSHAKE)
        await until_served_by(relay, WebSocketConnection)
        tables.alert(tables.hotspot())
        async with asyncio.timeout(SECONDS):
            while relay.connections():  # noqa: ASYNC110 no event tells
                await asyncio.sleep(0.05)
        await ended_by_the_relay(reader)
