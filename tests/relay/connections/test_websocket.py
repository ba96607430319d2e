"""The relay's own class for connections, beyond what any server does."""

import contextlib
import json
import socket
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.frames import Opcode

from emulator.running import Emulator
from relay.connections.websocket import WebSocketConnection
from relay.dependency_checks import CONNECTIONS
from relay.stream.encoding import SUBPROTOCOL
from tests.relay.clients import Running, Tables, greeted, live_relay, relay_of
from tests.relay.raw import HEADERS, Raw, head, speaking


def connections(relay: Running) -> list[WebSocketConnection]:
    return [each for each in relay.connections() if isinstance(each, WebSocketConnection)]


async def test_a_post_is_refused(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay:
        request = head("/ws/alerts", HEADERS, "POST {} HTTP/1.1")
        async with speaking(relay.host, request) as raw:
            assert raw.status == 400
            await raw.end()


async def test_who_answers_pings_stays_and_who_does_not_is_cut_off(emulator: Emulator) -> None:
    async with (
        relay_of(emulator) as relay,
        speaking(relay.host) as dead,
        speaking(relay.host) as alive,
    ):
        for each in connections(relay):
            each.timed_out()
        assert await dead.until(Opcode.PING) == b""
        assert await alive.until(Opcode.PING) == b""
        alive.send(Opcode.PONG)
        alive.send(Opcode.PING, b"is it heard?")
        await alive.until(Opcode.PONG)
        for each in connections(relay):
            each.timed_out()
        with pytest.raises(ConnectionResetError):
            await dead.reader.read()
        await alive.until(Opcode.PING)
        assert (await relay.health())["clients"] == 1


async def test_a_connection_that_only_listens_keeps_no_parser(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay, speaking(relay.host) as raw:
        (connection,) = connections(relay)
        raw.send(Opcode.TEXT, b"a")
        raw.send(Opcode.PING, b"is it heard?")
        await raw.until(Opcode.PONG)
        assert connection._incoming is None


async def test_a_client_that_stopped_reading_is_brought_to_the_newest_state(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        live_relay(emulator, RELAY_MAX_BEHIND_BYTES="200000") as relay,
        speaking(relay.host, subprotocol=SUBPROTOCOL, room=4096) as raw,
    ):
        while (await message(raw))["type"] != "synced":
            pass
        (connection,) = connections(relay)
        small = connection._transport.get_extra_info("socket")
        small.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        hotspot = tables.hotspot()
        for count in range(30, 151, 30):
            tables.execute(
                "insert into alerts (hotspot_id, level, message)"
                " select %s, 'warn', repeat('x', 10000) from generate_series(1, 30)",
                hotspot,
            )
            await relay.until(
                lambda health: health["endpoints"]["alerts"]["sent"] == count  # noqa: B023
            )
        assert connection.paused
        held: list[int] = []
        while (last := await message(raw))["type"] != "reset":
            held += [last["record"]["id"]] if "record" in last else []
        assert last["reason"] == "overflow"
        assert held == sorted(set(held))
        rows = []
        while (last := await message(raw))["type"] != "synced":
            rows += [last["record"]["id"]] if "record" in last else []
        assert rows == list(range(1, 151))


async def test_those_of_a_crowd_who_stop_reading_miss_nothing_and_hold_nobody_up(
    emulator: Emulator, tables: Tables
) -> None:
    hotspot = tables.hotspot()
    async with live_relay(emulator) as relay, contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(speaking(relay.host, room=4096)) for _ in range(20)
        ]
        for connection in connections(relay):
            small = connection._transport.get_extra_info("socket")
            small.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        stuck, fast = clients[::2], clients[1::2]
        ids = range(1, 61)
        for first in ids[::20]:
            tables.execute(
                "insert into alerts (hotspot_id, level, message)"
                " select %s, 'warn', repeat('x', 5000) from generate_series(1, 20)",
                hotspot,
            )
            for client in fast:
                assert [(await message(client))["id"] for _ in range(20)] == list(
                    range(first, first + 20)
                )
        assert sum(connection.paused for connection in connections(relay)) >= len(stuck)
        for client in stuck:
            assert [(await message(client))["id"] for _ in ids] == list(ids)


async def message(raw: Raw) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await raw.until(Opcode.TEXT))
    return found


async def test_another_way_of_handing_over_is_noticed_and_done_without(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def differently(self: HttpToolsProtocol) -> None:
        protocol: Any = self.ws_protocol_class
        protocol(config=self.config, server_state=self.server_state, state=self.app_state)

    with monkeypatch.context() as patched:
        patched.setattr(HttpToolsProtocol, "handle_websocket_upgrade", differently)
        assert "pip install 'uvicorn==0.54.0'" in (CONNECTIONS[0].trouble() or "")
        server = relay_of(emulator)
        relay = await server.__aenter__()
    assert "WebSockets are served through ASGI" in caplog.text
    async with relay.follow("alerts") as events:
        await greeted(events)
        assert connections(relay) == []
    await server.__aexit__(None, None, None)
