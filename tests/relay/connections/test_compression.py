"""Compressed frames: made once, and understood by every client that offered to."""

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode

from emulator.running import Emulator
from relay.connections.handshake import agree
from relay.stream.change import HOTSPOTS
from relay.stream.encoding import (
    LEAST_BYTES,
    SUBPROTOCOL,
    Compression,
    Format,
    StreamCompressor,
    apart,
    deflated,
    event,
    framed,
    payload_of,
    pieces,
)
from relay.stream.filters import Filter
from relay.stream.hub import Stream
from tests.relay.clients import Tables, change, frame, greeted, live_relay, relay_of
from tests.relay.raw import HEADERS, head, speaking
from tests.relay.rows import change as made
from tests.relay.stream.test_groups import Reader, flush

DEFLATE = "permessage-deflate"
AGREED = "permessage-deflate; client_no_context_takeover; server_max_window_bits=12"
ALONE = f"{DEFLATE}; server_no_context_takeover"
AGREED_ALONE = (
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover;"
    " server_max_window_bits=12"
)


@given(st.text(max_size=2000))
def test_a_compressed_frame_holds_the_message(message: str) -> None:
    plain = framed(message)
    found = deflated(plain)
    assert len(found) <= len(plain)
    if found[0] == 0xC1:
        inflate = zlib.decompressobj(-12)
        assert inflate.decompress(payload_of(found) + b"\0\0\xff\xff") == payload_of(plain)
    else:
        assert found is plain


def test_short_messages_stay_as_they_are() -> None:
    for size, first in ((LEAST_BYTES - 1, 0x81), (LEAST_BYTES, 0xC1)):
        assert deflated(framed("x" * size))[0] == first


def test_each_form_is_made_once_for_all_groups() -> None:
    stream = Stream(HOTSPOTS)
    wanted = Filter.of(HOTSPOTS, {"severity": frozenset({"warn"})})
    groups = [
        (stream.join(Format.EVENTS, each, reader, compressed=compressed), reader)
        for each, compressed in ((Filter(HOTSPOTS), True), (wanted, True), (wanted, False))
        for reader in [Reader()]
    ]
    for group, reader in groups:
        group.keep(reader, reader.write, None)
    stream.publish([made(7, note="x" * 500)])
    flush(stream)
    (first,), (second,), (plain,) = (reader.written for _, reader in groups)
    assert first is second
    assert deflated(plain) == first


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ("", None),
        (DEFLATE, AGREED),
        (f"{DEFLATE}; client_max_window_bits", AGREED),
        (f"{DEFLATE}; server_max_window_bits=15", AGREED),
        (f"{DEFLATE}; server_max_window_bits=11", None),
        (f"{DEFLATE}; server_max_window_bits=9, {DEFLATE}", AGREED),
        (ALONE, AGREED_ALONE),
        (f"{ALONE}; client_no_context_takeover", AGREED_ALONE),  # as clients in Go offer it
        (f"{ALONE}, {DEFLATE}", AGREED_ALONE),
        (f"{DEFLATE}, {ALONE}", AGREED),
        (f"{ALONE}; server_max_window_bits=11", None),
        (f"{DEFLATE}; unknown=1", None),
        ("x-webkit-deflate-frame", None),
        ("; nonsense", None),
    ],
)
def test_what_is_agreed_upon(offered: str, answer: str | None) -> None:
    agreed = agree(offered)
    assert agreed == (None if answer is None else (answer, agreed and agreed[1]))
    if agreed is not None:
        alone = "server_no_context_takeover" in agreed[0]
        assert agreed[1] is (Compression.FRAMES if alone else Compression.STREAM)


async def test_it_can_be_off(emulator: Emulator) -> None:
    async with (
        relay_of(emulator, RELAY_COMPRESSION="off") as relay,
        relay.follow("alerts", events=False) as rows,
    ):
        assert rows.response is not None
        assert "Sec-WebSocket-Extensions" not in rows.response.headers


def test_a_stream_of_compressed_frames_holds_the_messages_at_a_sixth_of_their_size() -> None:
    rows = [
        event(made(number, note=f"{number} % more kg per tonne-km"), 7) for number in range(500)
    ]
    compressor, inflate = StreamCompressor(), zlib.decompressobj(-12)
    plain = [*pieces(map(framed, rows), 16 * 1024)]
    compressed = [compressor.compress(piece) for piece in plain]
    assert [piece.frames for piece in compressed] == [piece.frames for piece in plain]
    found = [
        inflate.decompress(payload_of(each) + b"\0\0\xff\xff").decode()
        for piece in compressed
        for each in apart(piece.data)
    ]
    assert found == rows
    assert 6 * sum(len(piece.data) for piece in compressed) < sum(map(len, rows))


async def test_by_default_the_initial_state_alone_is_compressed(
    emulator: Emulator, tables: Tables
) -> None:
    rows = [tables.hotspot() for _ in range(50)]
    offer = {"Sec-WebSocket-Extensions": DEFLATE, "Sec-WebSocket-Protocol": SUBPROTOCOL}
    request = head("/ws/hotspots", HEADERS | offer)
    async with live_relay(emulator) as relay, speaking(relay.host, request) as client:
        assert AGREED in client.answer
        inflate = zlib.decompressobj(-12)
        found: list[dict[str, Any]] = []
        sizes: list[int] = []
        while not found or found[-1]["type"] != "synced":
            first, data = await client.any_frame()
            if first == 0xC1:
                sizes.append(len(data))
                data = inflate.decompress(data + b"\0\0\xff\xff")
            found.append(json.loads(data))
        state = [each["record"]["id"] for each in found if "record" in each]
        assert (state, len(sizes)) == (rows, len(rows))
        row = next(each for each in found if "record" in each)
        assert sum(sizes) < len(rows) * len(json.dumps(row)) / 4
        changed = tables.hotspot()
        while "record" not in (message := json.loads(await client.until(Opcode.TEXT))):
            pass
        assert message["record"]["id"] == changed


@pytest.mark.parametrize("compression", ["initial", "on"])
async def test_a_client_that_keeps_no_context_can_inflate_each_frame_by_itself(
    emulator: Emulator, tables: Tables, compression: str
) -> None:
    rows = [tables.hotspot() for _ in range(50)]
    offer = {"Sec-WebSocket-Extensions": ALONE, "Sec-WebSocket-Protocol": SUBPROTOCOL}
    request = head("/ws/hotspots", HEADERS | offer)
    async with (
        live_relay(emulator, RELAY_COMPRESSION=compression) as relay,
        speaking(relay.host, request) as client,
    ):
        assert f"Sec-WebSocket-Extensions: {AGREED_ALONE}\r\n" in client.answer

        async def following() -> tuple[int, int, dict[str, Any]]:
            """The first byte and the size of the next frame, and its message."""
            first, data = await client.any_frame()
            size = len(data)
            if first == 0xC1:
                data = zlib.decompressobj(-12).decompress(data + b"\0\0\xff\xff")
            return first, size, json.loads(data)

        found: list[tuple[int, int, dict[str, Any]]] = []
        while not found or found[-1][2]["type"] != "synced":
            found.append(await following())
        state = [each for each in found if "record" in each[2]]
        assert [message["record"]["id"] for _, _, message in state] == rows
        assert {first for first, _, _ in state} == {0xC1}
        plain = sum(len(json.dumps(message)) for _, _, message in state)
        assert sum(size for _, size, _ in state) < 0.8 * plain
        changed = tables.hotspot()
        while "record" not in (change := await following())[2]:
            pass
        assert change[2]["record"]["id"] == changed
        assert change[0] == (0xC1 if compression == "on" else 0x81)


@pytest.mark.parametrize("compression", ["initial", "on"])
async def test_a_client_that_keeps_no_context_gets_what_others_get(
    emulator: Emulator, tables: Tables, compression: str
) -> None:
    for _ in range(50):
        tables.hotspot()
    alone = ClientPerMessageDeflateFactory(
        server_no_context_takeover=True, client_no_context_takeover=True
    )
    async with live_relay(emulator, RELAY_COMPRESSION=compression) as relay:
        async with (
            relay.follow("hotspots") as usual,
            relay.follow("hotspots", extensions=[alone]) as other,
        ):
            expected, found = [await greeted(client) for client in (usual, other)]
            assert found[1:-1] == expected[1:-1]
            tables.hotspot()
            assert await change(other) == await change(usual)
            cursor = found[-1]["cursor"]
            await other.send(json.dumps({"type": "ping"}))
            while (await frame(other))["type"] != "pong":
                pass
        async with relay.follow(f"hotspots?cursor={cursor}", extensions=[alone]) as back:
            hello, *missed, _ = await greeted(back)
            assert hello["resumed"] is True
            assert len(missed) == 1


async def test_clients_of_every_sort_get_the_same_initial_state(
    emulator: Emulator, tables: Tables
) -> None:
    rows = [tables.hotspot() for _ in range(50)]
    async with live_relay(emulator) as relay:
        for compression in ("deflate", None, "deflate"):  # the second of a sort gets what is kept
            for path in ("hotspots", "hotspots?last=50"):
                async with relay.follow(path, compression=compression) as client:
                    _, *state, _ = await greeted(client)
                    assert [each["record"]["id"] for each in state] == rows


async def test_compressed_and_plain_clients_get_the_same(
    emulator: Emulator, tables: Tables
) -> None:
    before = tables.hotspot()
    async with (
        live_relay(emulator, RELAY_COMPRESSION="on") as relay,
        relay.follow("hotspots") as small,
        relay.follow("hotspots", compression=None) as plain,
        relay.follow("hotspots?severity=critical&last=0") as filtered,
    ):
        assert small.response is not None
        assert small.response.headers["Sec-WebSocket-Extensions"] == AGREED
        cursor = ""
        for client in (small, plain):
            _, row, synced = await greeted(client)
            assert row["record"]["id"] == before
            cursor = synced["cursor"]
        await greeted(filtered)
        hotspot = tables.hotspot("critical")
        first, *others = [await change(client) for client in (small, plain, filtered)]
        assert first["record"]["id"] == hotspot
        assert others == [first, first]
        async with relay.follow(f"hotspots?cursor={cursor}") as back:
            hello, *missed, _ = await greeted(back)
            assert hello["resumed"] is True
            assert hotspot in [event["record"]["id"] for event in missed]
        await small.send(json.dumps({"type": "ping"}))
        while (await frame(small))["type"] != "pong":
            pass


async def test_a_message_that_becomes_too_big_is_refused(emulator: Emulator) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bomb.compress(b"x" * 1_000_000) + bomb.flush(zlib.Z_SYNC_FLUSH)
    request = head("/ws/alerts", HEADERS | {"Sec-WebSocket-Extensions": DEFLATE})
    async with (
        relay_of(emulator, RELAY_COMPRESSION="on") as relay,
        speaking(relay.host, request) as raw,
    ):
        size = (len(data) - 4).to_bytes(2, "big")
        raw.writer.write(b"\xc1\xfe" + size + b"\0\0\0\0" + data[:-4])
        assert await raw.closed_with() == 1009
