"""What RFC 6455 wants of a server, over raw sockets; the relay's own class does what the library
does behind ASGI."""

import asyncio
import json

import pytest
from websockets.frames import Close, Frame, Opcode

from emulator.running import Emulator
from relay.stream.encoding import SUBPROTOCOL
from tests.relay.clients import relay_of
from tests.relay.raw import HEADERS, SECONDS, Raw, head, speaking

each_server = pytest.mark.usefixtures("each_server")


@each_server
async def test_a_handshake_is_answered_as_the_rfc_wants(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay, speaking(relay.host) as raw:
        assert raw.status == 101
        answer = dict(line.lower().split(": ", 1) for line in raw.answer.split("\r\n")[1:] if line)
        assert answer["upgrade"] == "websocket"
        assert answer["connection"] == "upgrade"
        assert answer["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".lower()
        assert "sec-websocket-protocol" not in answer
        assert "sec-websocket-extensions" not in answer


@each_server
@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Sec-WebSocket-Key": ""}, 400),
        ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400),
        ({"Sec-WebSocket-Key": "not base64!"}, 400),
        ({"Sec-WebSocket-Version": ""}, 400),
        ({"Sec-WebSocket-Version": "8"}, 400),
        ({"Sec-WebSocket-Extensions": "permessage-deflate"}, 101),
        ({"Connection": "keep-alive, Upgrade"}, 101),
        ({"Upgrade": "WebSocket"}, 101),
        ({"Sec-WebSocket-Protocol": "other, relay.v1"}, 101),
    ],
)
async def test_handshakes(emulator: Emulator, changed: dict[str, str], status: int) -> None:
    async with (
        relay_of(emulator) as relay,
        speaking(relay.host, head("/ws/alerts", HEADERS | changed)) as raw,
    ):
        assert raw.status == status


@each_server
async def test_other_requests_are_no_handshakes(emulator: Emulator) -> None:
    plain = {"Host": "127.0.0.1"}
    upper = {name.upper(): text for name, text in HEADERS.items()}
    double = (
        head("/ws/alerts", HEADERS)[:-2] + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with relay_of(emulator) as relay:
        for request, status in (
            (head("/ws/alerts", plain), 426),
            (head("/ws/unknown", HEADERS), 404),
            (head("/", HEADERS), 404),
            (head("/web/client.js", HEADERS), 404),
            (double, 400),
            (head("/ws/alerts", upper), 101),
            (head("/ws/alerts?last=1001", HEADERS), 101),
        ):
            async with speaking(relay.host, request) as raw:
                assert raw.status == status, request


BIG_PART = b"\x02\xfe\x30\x00\0\0\0\0" + b"x" * 0x3000
BREACHES = [
    ("not masked", b"\x81\x01x", 1002),
    ("a reserved bit", b"\xc1\x80\0\0\0\0", 1002),
    ("an unknown opcode", b"\x83\x80\0\0\0\0", 1002),
    ("an unknown control frame", b"\x8b\x80\0\0\0\0", 1002),
    ("a ping in fragments", b"\x09\x80\0\0\0\0", 1002),
    ("a long ping", b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126, 1002),
    ("a continuation of nothing", b"\x80\x80\0\0\0\0", 1002),
    ("a new message within another", b"\x01\x81\0\0\0\0x\x81\x81\0\0\0\0x", 1002),
    ("a close of one byte", b"\x88\x81\0\0\0\0x", 1002),
    ("a close code that must not be sent", b"\x88\x82\0\0\0\0\x03\xed", 1002),
    ("text that is not UTF-8", b"\x81\x82\0\0\0\0\xc3\x28", 1007),
    ("text that ends within a character", b"\x01\x81\0\0\0\0\xc3\x80\x80\0\0\0\0", 1007),
    ("a reason that is not UTF-8", b"\x88\x84\0\0\0\0\x03\xe8\xc3\x28", 1007),
    ("too big", b"\x82\xfe\x40\x01\0\0\0\0", 1009),
    ("far too big", b"\x82\xff\x7f" + b"\xff" * 7 + b"\0\0\0\0", 1009),
    ("too big in fragments", BIG_PART + b"\x80" + BIG_PART[1:], 1009),
    ("over the limit of messages", b"\x82\xfe\x10\x01\0\0\0\0" + b"x" * 4097, 4501),
]


@each_server
async def test_breaches_are_answered_by_their_code(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay:
        for breach, sent, code in BREACHES:
            async with speaking(relay.host) as raw:
                raw.writer.write(sent)
                assert await raw.closed_with() == code, breach
        await relay.until(lambda health: health["clients"] == 0)


@each_server
async def test_messages_come_in_fragments_with_pings_between(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay, speaking(relay.host, subprotocol=SUBPROTOCOL) as raw:
        raw.send(Opcode.TEXT, b'{"type":', fin=False)
        raw.send(Opcode.PING, b"between")
        raw.send(Opcode.CONT, b'"pi', fin=False)
        raw.send(Opcode.PONG, b"of nothing")
        raw.send(Opcode.CONT, b'ng"}', fin=True)
        assert await raw.until(Opcode.PONG) == b"between"
        await pong(raw)


async def pong(raw: Raw) -> None:
    while json.loads(await raw.until(Opcode.TEXT)) != {"type": "pong"}:
        pass


@each_server
async def test_bytes_may_come_one_by_one_or_many_frames_at_once(emulator: Emulator) -> None:
    message = b'{"type":"ping"}'
    masked = b"\x81\x8f\x01\x02\x03\x04" + bytes(
        each ^ (1 + number % 4) for number, each in enumerate(message)
    )
    async with relay_of(emulator) as relay, speaking(relay.host, subprotocol=SUBPROTOCOL) as raw:
        for number in range(len(masked)):
            raw.writer.write(masked[number : number + 1])
            await raw.writer.drain()
        await pong(raw)
        raw.writer.write(masked * 3 + b"\x89\x81\0\0\0\0a" + masked)
        answers = 0
        while answers < 5:  # in any order: control frames may overtake
            opcode, data = await raw.frame()
            assert opcode is Opcode.TEXT or (opcode, data) == (Opcode.PONG, b"a")
            answers += opcode is Opcode.PONG or json.loads(data) == {"type": "pong"}


@each_server
@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        (b"", b""),
        (Close(1000, "bye").serialize(), Close(1000, "bye").serialize()),
        (Close(4999, "").serialize(), Close(4999, "").serialize()),
    ],
)
async def test_a_close_frame_is_echoed(emulator: Emulator, sent: bytes, echoed: bytes) -> None:
    async with relay_of(emulator) as relay, speaking(relay.host) as raw:
        raw.send(Opcode.TEXT, b"whatever")
        raw.send(Opcode.CLOSE, sent)
        raw.send(Opcode.TEXT, b"too late")
        assert await raw.until(Opcode.CLOSE) == echoed
        await raw.end()
        await relay.until(lambda health: health["clients"] == 0)


@each_server
@pytest.mark.parametrize("last", ["close", "breach"])
async def test_nothing_follows_a_close_frame_whatever_came_in_one_piece_with_its_cause(
    emulator: Emulator, last: str
) -> None:
    """Section 5.5.1. Chromium makes an error of a frame that comes after the close frame."""
    async with relay_of(emulator) as relay, speaking(relay.host, subprotocol=SUBPROTOCOL) as raw:
        raw.send(Opcode.TEXT, b'{"type":"ping"}')
        await pong(raw)
        ping = Frame(Opcode.TEXT, b'{"type":"ping"}').serialize(mask=True)
        ends = Frame(Opcode.CLOSE, Close(1000, "").serialize()).serialize(mask=True)
        raw.writer.write(ping + (ends if last == "close" else b"\x83\x80\0\0\0\0"))
        await raw.until(Opcode.CLOSE)
        async with asyncio.timeout(SECONDS):
            assert await raw.reader.read() == b""


@each_server
async def test_a_client_that_is_closed_may_still_speak_before_it_answers(
    emulator: Emulator,
) -> None:
    async with relay_of(emulator) as relay, speaking(relay.host, subprotocol=SUBPROTOCOL) as raw:
        raw.send(Opcode.TEXT, b"nonsense")
        assert Close.parse(await raw.until(Opcode.CLOSE)).code == 4501
        raw.send(Opcode.TEXT, b"more nonsense")
        raw.send(Opcode.CLOSE, Close(4501, "").serialize())
        await raw.end()


@each_server
async def test_a_connection_that_breaks_off_is_forgotten(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay:
        for part in (b"", b"\x81", b"\x81\x85\0\0", b"\x01\x81\0\0\0\0x"):
            async with speaking(relay.host) as raw:
                await relay.until(lambda health: health["clients"] == 1)
                raw.writer.write(part)
                raw.writer.close()
            await relay.until(lambda health: health["clients"] == 0)


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("between", [b"", b"\x89\x80\0\0\0\0"], ids=["at once", "and a ping"])
async def test_a_close_inside_a_fragmented_message_is_echoed(
    emulator: Emulator, opcode: Opcode, between: bytes
) -> None:
    """Section 5.4. Through ASGI the library answers it as a breach."""
    async with relay_of(emulator) as relay, speaking(relay.host) as raw:
        raw.send(opcode, b"begun", fin=False)
        raw.writer.write(between)
        raw.send(Opcode.CLOSE, Close(1000, "bye").serialize())
        assert await raw.until(Opcode.CLOSE) == Close(1000, "bye").serialize()
        await raw.end()
        await relay.until(lambda health: health["clients"] == 0)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"\xff", b""),
        (b"good \xc3", b"\x28"),
        (b"\xed\xa0\x80", b""),  # half of a surrogate pair
        (b"\xf4\x90", b""),  # beyond the last character
    ],
)
async def test_text_that_is_not_utf_8_is_told_before_the_message_is_complete(
    emulator: Emulator, first: bytes, then: bytes
) -> None:
    """Section 8.1, also where the message would become too long."""
    async with relay_of(emulator) as relay, speaking(relay.host) as raw:
        raw.send(Opcode.TEXT, first, fin=False)
        if then:
            raw.send(Opcode.CONT, then, fin=False)
        assert Close.parse(await raw.until(Opcode.CLOSE)).code == 1007
        await raw.end()


async def test_what_follows_text_that_is_not_utf_8_does_not_change_the_answer(
    emulator: Emulator,
) -> None:
    async with relay_of(emulator) as relay, speaking(relay.host) as raw:
        raw.send(Opcode.TEXT, b"\xff", fin=False)
        for _ in range(3):
            raw.send(Opcode.CONT, b"x" * 8000, fin=False)
        assert Close.parse(await raw.until(Opcode.CLOSE)).code == 1007


async def test_a_character_may_be_split_between_fragments(emulator: Emulator) -> None:
    text = json.dumps({"type": "ping", "for": "\u20ac\U0001f600"}, ensure_ascii=False).encode()
    async with relay_of(emulator) as relay, speaking(relay.host, subprotocol=SUBPROTOCOL) as raw:
        raw.send(Opcode.TEXT, b"", fin=False)
        for number, byte in enumerate(text):
            raw.send(Opcode.CONT, bytes([byte]), fin=number == len(text) - 1)
        await pong(raw)
