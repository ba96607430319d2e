"""Handshakes that are answered without HTTP's parser, and those that are left to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, cast

import pytest
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from emulator.running import Emulator
from relay.connections import handshake, websocket
from relay.connections.handshake import Handshake
from relay.connections.http import HttpConnection
from relay.connections.websocket import ProtocolDetector
from tests.relay.clients import Running, relay_of
from tests.relay.fuzz.inputs import Inputs
from tests.relay.fuzz.test_parsers import ATTEMPTS, SEED
from tests.relay.raw import HEADERS, head, speaking

SECONDS = 20.0
GOOD = head("/ws/alerts", HEADERS)
BROWSER = head(
    "/ws/hotspots?last=5&severity=warn,critical",
    HEADERS
    | {
        "Host": "127.0.0.1:8003",
        "Connection": "keep-alive, Upgrade",
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) \t Gecko/20100101",
        "Accept-Language": "en-US,en;q=0.5",
        "Origin": "http://127.0.0.1:8003",
        "Sec-WebSocket-Protocol": "relay.v1, bearer.a.b.c",
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        "Cookie": 'a="b|c"; ~',
    },
)


def with_line(line: bytes) -> bytes:
    return GOOD[:-2] + line + b"\r\n\r\n"


NOT_PLAIN = {
    "in part": GOOD[:-1],
    "something behind it": GOOD + b"\x89\x80\0\0\0\0",
    "a second request": GOOD + GOOD,
    "an empty line before it": b"\r\n" + GOOD,
    "a bare LF": GOOD.replace(b"\r\nUpgrade", b"\nUpgrade"),
    "bare LFs at the end": GOOD[:-4] + b"\n\n",
    "a bare CR": with_line(b"X: a\rb"),
    "a folded line": with_line(b"X: a\r\n b"),
    "a line without a colon": with_line(b"X"),
    "a name with a space behind it": with_line(b"X : a"),
    "a name with a bracket": with_line(b"X(): a"),
    "no name": with_line(b": a"),
    "NUL in a value": with_line(b"X: a\0b"),
    "a control character in a value": with_line(b"X: a\x01b"),
    "DEL in a value": with_line(b"X: a\x7fb"),
    "more than ASCII in a value": with_line(b"X: \xe4"),
    "a second host": with_line(b"Host: 127.0.0.1"),
    "no host": head("/ws/alerts", HEADERS | {"Host": ""}),
    "a header twice": with_line(b"Connection: Upgrade"),
    "a length": with_line(b"Content-Length: 0"),
    "a body": with_line(b"Transfer-Encoding: chunked"),
    "a space in the target": head("/ws/alerts?a b", HEADERS),
    "two spaces before the target": head(" /ws/alerts", HEADERS),
    "a fragment": head("/ws/alerts#a", HEADERS),
    "a whole address": head("http://127.0.0.1/ws/alerts", HEADERS),
    "more than ASCII in the target": head("/ws/alerts?\xe4", HEADERS),
    "another method": head("/ws/alerts", HEADERS, "POST {} HTTP/1.1"),
    "a method in small letters": head("/ws/alerts", HEADERS, "get {} HTTP/1.1"),
    "another version": head("/ws/alerts", HEADERS, "GET {} HTTP/1.0"),
    "no version": head("/ws/alerts", HEADERS, "GET {}"),
    "no headers": b"GET /ws/alerts HTTP/1.1\r\n\r\n",
    "no handshake": head("/ws/alerts", {"Host": "127.0.0.1"}),
}


class Parser:
    """uvicorn's, which gives the heads of handshakes to its class for WebSockets: this object."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._config = Config(application, ws=cast(Any, self._make), log_config=None)
        self._config.load()
        self._heads: list[bytes] = []

    def close(self) -> None:
        self._loop.close()

    def heads(self, data: bytes) -> list[bytes]:
        """Those of the handshakes in the data."""
        self._heads.clear()
        http = HttpToolsProtocol(self._config, ServerState(), {}, self._loop)
        http.connection_made(Nowhere())
        http.data_received(data)
        return self._heads

    def _make(self, **_: Any) -> "Parser":
        return self

    def connection_made(self, transport: object) -> None:
        """Nothing is done with it."""

    def data_received(self, data: bytes) -> None:
        self._heads.append(data)


class Nowhere(asyncio.Transport):
    def set_protocol(self, protocol: object) -> None:
        """Nothing follows."""


async def application(scope: object, receive: object, send: object) -> None:
    """Is never called."""


@pytest.fixture
def parser() -> Iterator[Parser]:
    parser = Parser()
    yield parser
    parser.close()


@pytest.mark.parametrize("good", [GOOD, BROWSER], ids=["short", "a browser's"])
def test_a_plain_one_needs_no_parser(good: bytes) -> None:
    found = handshake.plain(good)
    assert found == handshake.parse(good)
    assert isinstance(found, Handshake)


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_not_plainly_written_is_left_to_the_parser(data: bytes) -> None:
    assert handshake.plain(data) is None


def test_the_parser_finds_the_same(parser: Parser) -> None:
    inputs = Inputs(SEED)
    plain = 0
    for _ in range(ATTEMPTS):
        data = inputs.random.choice((GOOD, BROWSER, inputs.handshake()))
        if inputs.random.random() < 0.8:
            data = inputs.mutated(data)
        found = handshake.plain(data)
        if found is not None:
            plain += 1
            assert [handshake.parse(seen) for seen in parser.heads(data)] == [found], data
    assert ATTEMPTS / 10 < plain < ATTEMPTS / 2


ANSWERS = {
    "the length of no body": (with_line(b"Content-Length: 0"), 101),
    "a header twice": (with_line(b"X: a\r\nX: b"), 101),
    "more than ASCII in a value": (with_line(b"X: \xe4"), 101),
    "an empty line before it": (b"\r\n" + GOOD, 101),
    "a bare CR": (with_line(b"X: a\rb"), 400),
    "a line without a colon": (with_line(b"X"), 400),
    "a name with a space behind it": (with_line(b"X : a"), 400),
    "no name": (with_line(b": a"), 400),
    "NUL in a value": (with_line(b"X: a\0b"), 400),
    "a control character in a value": (with_line(b"X: a\x01b"), 400),
    "a folded line": (with_line(b"X: a\r\n b"), 400),
    "a length and a body": (with_line(b"Content-Length: 1\r\nTransfer-Encoding: chunked"), 400),
    "a space in the target": (head("/ws/alerts?a b", HEADERS), 400),
    "a page elsewhere": (with_line(b"Origin: http://evil.example"), 403),
    "an unknown endpoint": (head("/ws/unknown", HEADERS), 404),
    "no host": (head("/ws/alerts", HEADERS | {"Host": ""}), 403),
    "no handshake": (head("/ws/alerts", {"Host": "127.0.0.1"}), 426),
    "no handshake for what is no endpoint": (head("/ws/alert", {"Host": "127.0.0.1"}), 404),
}


async def test_a_plain_one_goes_straight_to_the_relays_own_class(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(websocket, "HttpConnection")
    async with relay_of(emulator) as relay, speaking(relay.host, BROWSER) as raw:
        assert raw.status == 101
        assert "relay.v1" in raw.answer


async def test_what_is_not_plainly_written_is_answered_all_the_same(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay:
        for what, (request, status) in ANSWERS.items():
            async with speaking(relay.host, request) as raw:
                assert raw.status == status, what


T = TypeVar("T")
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def silent(relay: Running) -> AsyncIterator[Ends]:
    """A connection that has said nothing."""
    reader, writer = await asyncio.open_connection(*relay.host.split(":"))
    try:
        async with asyncio.timeout(SECONDS):
            yield reader, writer
    finally:
        writer.transport.abort()


async def only(relay: Running, kind: type[T]) -> T:
    """What serves the one connection, once that is of this kind."""
    while True:
        for each in relay.connections():
            if isinstance(each, kind):
                return each
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [1, 20, len(GOOD) - 1])
async def test_a_head_may_come_in_parts_within_its_time(emulator: Emulator, size: int) -> None:
    async with relay_of(emulator) as relay, silent(relay) as (reader, writer):
        arrived = await only(relay, ProtocolDetector)
        writer.write(GOOD[:size])
        received = await only(relay, HttpConnection)
        assert received._slot is arrived._slot
        assert received in received._slot
        assert arrived not in arrived._slot
        assert relay.connections() == [received]
        writer.write(GOOD[size:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")


async def test_one_connection_too_many_is_let_go_at_once(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "SPARE_CONNECTIONS", 1)
    async with relay_of(emulator, RELAY_MAX_CONNECTIONS="1") as relay:
        async with silent(relay) as (_, writer), silent(relay):
            writer.write(GOOD[:1])
            await only(relay, HttpConnection)
            async with silent(relay) as (reader, _):
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
        while relay.connections():  # noqa: ASYNC110 no event tells
            await asyncio.sleep(0)
        async with speaking(relay.host) as raw:
            assert raw.status == 101


async def test_those_who_come_at_once_take_turns_and_may_leave_before(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay, AsyncExitStack() as stack:
        relay.sockets().newcomers._seconds = 0.0  # one in each turn of the loop
        ends = [await stack.enter_async_context(silent(relay)) for _ in range(40)]
        for number, (_, writer) in enumerate(ends):
            writer.write(GOOD)
            if number % 2:
                writer.transport.abort()
        for reader, _ in ends[::2]:
            assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
        await relay.until(lambda health: health["clients"] == 20)


async def test_a_flood_does_not_wait_for_its_turn(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay_of(emulator) as relay, silent(relay) as (reader, writer):
        monkeypatch.setattr(
            relay.sockets().newcomers, "_plan", lambda pause: None
        )  # it never comes
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)
        assert await reader.readline() == b"HTTP/1.1 400 Bad Request\r\n"


async def test_who_has_said_nothing_does_not_hold_up_the_end(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay, silent(relay) as (reader, _):
        await only(relay, ProtocolDetector)
        relay.stop()
        assert await reader.read() == b""
