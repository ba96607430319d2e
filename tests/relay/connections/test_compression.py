"""Compressed frames: made once, and understood by every client that offered to."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.running import Emulator
from relay.connections.handshake import agree
from relay.stream.change import HOTSPOTS
from relay.stream.encoding import LEAST_BYTES, deflated, framed, payload_of
from relay.stream.filters import Filter
from relay.stream.group import Format
from relay.stream.hub import Stream
from tests.relay.clients import Tables, change, frame, greeted, live_relay, relay_of
from tests.relay.raw import HEADERS, head, speaking
from tests.relay.rows import change as made
from tests.relay.stream.test_groups import Reader, flush

DEFLATE = "permessage-deflate"
AGREED = (
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
        (f"{DEFLATE}; unknown=1", None),
        ("x-webkit-deflate-frame", None),
        ("; nonsense", None),
    ],
)
def test_what_is_agreed_upon(offered: str, answer: str | None) -> None:
    assert agree(offered) == answer


async def test_it_is_off_unless_it_is_set(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay, relay.follow("alerts", events=False) as rows:
        assert rows.response is not None
        assert "Sec-WebSocket-Extensions" not in rows.response.headers


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
