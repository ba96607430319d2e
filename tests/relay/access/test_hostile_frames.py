"""What a client can do with frames to wear the relay down, one way at a time."""

import asyncio
import contextlib

import httpx
import pytest
from websockets.frames import Close, Frame, Opcode

from emulator.running import Emulator
from relay.connections import session
from relay.connections.websocket import FrameReader, WebSocketConnection
from relay.stream.encoding import SUBPROTOCOL
from tests.relay.access.admission import token_of
from tests.relay.access.hostile import kept, until_left
from tests.relay.clients import Running, Tables, live_relay, relay_of
from tests.relay.raw import HEADERS, head, speaking

EMPTY_PART = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
PING = Frame(Opcode.PING, b"x" * 125).serialize(mask=True)
MESSAGE = Frame(Opcode.TEXT, b'{"type":"ping"}').serialize(mask=True)
FLOOD_BYTES = 256 * 1024
each_server = pytest.mark.usefixtures("each_server")


async def test_a_stranger_may_not_ping_without_end(emulator: Emulator) -> None:
    async with (
        relay_of(emulator, RELAY_AUTH="required") as relay,
        speaking(relay.host) as raw,
    ):
        raw.writer.write(PING * 100)
        assert await raw.closed_with() == 4002


@pytest.mark.parametrize("said", [PING, MESSAGE], ids=["pings", "messages"])
async def test_who_is_turned_away_may_not_go_on_without_end(
    emulator: Emulator, said: bytes
) -> None:
    async with (
        relay_of(emulator) as relay,
        speaking(relay.host, head("/ws/alerts?colour=red", HEADERS)) as raw,
    ):
        assert Close.parse(await raw.until(Opcode.CLOSE)).code == 4502
        raw.writer.write(said * 100)
        async with asyncio.timeout(5):  # sooner than who only lingers
            with contextlib.suppress(ConnectionError):
                while await raw.reader.read(65536):
                    pass
        await relay.until(lambda health: health["clients"] == 0)


@pytest.mark.parametrize(
    ("first", "flood"),
    [
        (b"", PING),
        (b"", Frame(Opcode.PONG, b"").serialize(mask=True)),
        (b"", MESSAGE),
        (Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True), EMPTY_PART),
    ],
    ids=["pings", "pongs", "messages", "empty parts"],
)
async def test_of_a_flood_is_read_what_shows_that_it_is_one(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, first: bytes, flood: bytes
) -> None:
    """Whoever sends the most that comes with one read must not hold up the others meanwhile."""
    taken, take = 0, FrameReader._take

    def counted(incoming: FrameReader, frame: Frame, messages: list[str | bytes]) -> None:
        nonlocal taken
        taken += 1
        take(incoming, frame, messages)

    monkeypatch.setattr(FrameReader, "_take", counted)
    async with relay_of(emulator) as relay, speaking(relay.host) as raw:
        raw.writer.write(first + flood * (FLOOD_BYTES // len(flood)))
        await raw.end()
        await relay.until(lambda health: health["clients"] == 0)
    assert 50 < taken < 400


async def test_a_message_in_empty_parts_has_an_end(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay, speaking(relay.host) as raw:
        raw.send(Opcode.TEXT, b"", fin=False)
        raw.writer.write(EMPTY_PART * 100)
        assert await raw.closed_with() == 4002


@pytest.mark.parametrize(
    "said",
    [
        Frame(Opcode.TEXT, b"nonsense").serialize(mask=True),
        PING * 100,
        Frame(Opcode.TEXT, b"x" * 5000).serialize(mask=True),
    ],
    ids=["nonsense", "pings", "too much"],
)
@pytest.mark.parametrize("end", [b"\x88\x80\0\0\0\0", b"\x81\x01x"], ids=["close", "breach"])
async def test_a_fault_and_an_end_may_come_at_once(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, said: bytes, end: bytes
) -> None:
    async with (
        relay_of(emulator) as relay,
        speaking(relay.host, subprotocol=SUBPROTOCOL) as raw,
    ):
        raw.writer.write(said + end)
        await raw.end()
        await relay.until(lambda health: health["clients"] == 0)
        async with asyncio.timeout(30):
            while kept(relay)["limiter"]:  # noqa: ASYNC110 the connection ends after its session
                await asyncio.sleep(0.01)
    assert [each for each in caplog.records if each.exc_info] == []


async def test_who_reads_nothing_does_not_stay_by_pinging(
    emulator: Emulator, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "STALLED_SECONDS", 1.0)
    async with (
        live_relay(emulator) as relay,
        speaking(relay.host, subprotocol=SUBPROTOCOL, room=4096) as raw,
    ):
        (connection,) = (
            each for each in relay.connections() if isinstance(each, WebSocketConnection)
        )
        hotspot = tables.hotspot()
        async with asyncio.timeout(30):
            while not connection.paused:
                tables.execute(
                    "insert into alerts (hotspot_id, level, message)"
                    " select %s, 'warn', repeat('x', 10000) from generate_series(1, 100)",
                    hotspot,
                )
                await asyncio.sleep(0.1)
            while kept(relay)["sessions"]:
                with contextlib.suppress(ConnectionError):
                    raw.send(Opcode.PING, b"still here")
                await asyncio.sleep(0.3)


QUERIES = ["%00%01%02%03%04%05%06%07%08%0b%0e%0f" * 3 + "=1", "entity=%00", "x" * 300 + "=1"]


@each_server
@pytest.mark.parametrize("query", QUERIES)
async def test_bad_parameters_are_named_in_what_fits_into_a_frame(
    emulator: Emulator, query: str
) -> None:
    async with (
        relay_of(emulator) as relay,
        speaking(relay.host, head(f"/ws/hotspots?{query}", HEADERS)) as raw,
    ):
        assert await raw.closed_with() == 4502


async def test_half_a_surrogate_pair_in_a_command_is_the_callers_fault(emulator: Emulator) -> None:
    token = emulator.keys.mint("authenticated", subject="somebody")
    async with (
        relay_of(emulator) as relay,
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        reply = await client.post(
            f"http://{relay.host}/recommendations/1/approve",
            content=rb'{"\ud800": 1}',
            headers={"Authorization": f"Bearer {token}"},
        )
    assert reply.status_code == 422
    assert "only notes is known" in reply.json()["detail"]


@pytest.mark.parametrize("path", ["/ws/hotspots", "/ws/unknown"])
@pytest.mark.parametrize("name", ["Sec-WebSocket-Key", "Sec-WebSocket-Version", "Upgrade"])
async def test_what_is_no_handshake_for_its_letters_is_answered(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, path: str, name: str
) -> None:
    changed = {name: "websocket" if name == "Upgrade" else "\xdf", "Cookie": "\xdf"}
    async with relay_of(emulator) as relay:
        async with speaking(relay.host, head(path, HEADERS | changed)) as raw:
            assert raw.status == (101 if (path, name) == ("/ws/hotspots", "Upgrade") else 400)
        await until_left(relay, 0)
    assert [each for each in caplog.records if each.exc_info] == []


@each_server
async def test_a_token_that_comes_too_late_leaves_nothing_behind(emulator: Emulator) -> None:
    """Before the server has told the client that it is closed."""
    async with live_relay(emulator, RELAY_AUTH="required") as relay:
        token = token_of(emulator)
        await asyncio.gather(*(late(relay, token) for _ in range(20)))
        await until_left(relay, 0)


async def late(relay: Running, token: str) -> None:
    async with speaking(relay.host) as raw:
        raw.writer.write(
            Frame(Opcode.TEXT, b"[]").serialize(mask=True)
            + Frame(Opcode.TEXT, f'{{"type":"auth","token":"{token}"}}'.encode()).serialize(
                mask=True
            )
        )
        assert await raw.closed_with() == 4500
