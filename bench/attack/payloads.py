"""What hostile clients say: beginnings of requests, and frames that break the protocol. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from websockets.frames import Frame, Opcode

HEADERS: Final[Mapping[str, str]] = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
NO_MASK: Final = b"\0\0\0\0"
MOST_BYTES: Final = 16 * 1024  # in a frame
FLOOD_BYTES: Final = 64 * 1024
HALF: Final = b"\x02\xfe\x3f\xff" + NO_MASK + b"x" * (MOST_BYTES - 1)


def request(path: str, headers: Mapping[str, str]) -> bytes:
    """A handshake with these headers beside the usual ones; those without a value are left out."""
    lines = [f"{name}: {text}" for name, text in {**HEADERS, **headers}.items() if text]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def _many(piece: bytes) -> bytes:
    return piece * (FLOOD_BYTES // len(piece))


GOOD: Final = request("/ws/hotspots", {})
BEGINNINGS: Final = (
    b"",
    b"G",
    b"GET /ws/hotspots HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",  # TLS, which there is none of
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /ws/hotspots HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /ws/hotspots HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET /ws/hotspots HTTP/9.9\r\n\r\n",
    b"\r\n" * 1000,
    GOOD[:-2],
    GOOD.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nx"),
    GOOD.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 40_000),
)
LONG: Final = request("/ws/hotspots", {"X": "x" * 1000})  # sent byte by byte
BREACHES: Final = (
    b"\x81\x01x",  # not masked
    b"\xc1\x80" + NO_MASK,  # a reserved bit
    b"\x83\x80" + NO_MASK,  # an opcode that is none
    b"\x8b\x80" + NO_MASK,  # a control frame that is none
    b"\x09\x80" + NO_MASK,  # a ping in fragments
    b"\x89\xfe\x00\x7e" + NO_MASK + b"x" * 126,  # a long ping
    b"\x80\x80" + NO_MASK,  # nothing to continue
    b"\x01\x81" + NO_MASK + b"x\x81\x81" + NO_MASK + b"x",  # a message within another one
    b"\x88\x81" + NO_MASK + b"x",  # half a close code
    b"\x88\x82" + NO_MASK + b"\x03\xed",  # a close code that must not be sent
    b"\x81\x82" + NO_MASK + b"\xc3\x28",  # no UTF-8
    b"\x01\x81" + NO_MASK + b"\xc3\x80\x80" + NO_MASK,  # UTF-8 that ends within a character
    b"\x88\x84" + NO_MASK + b"\x03\xe8\xc3\x28",  # a reason that is no UTF-8
    b"\x82\xfe\x40\x01" + NO_MASK,  # too big
    b"\x82\xff\x7f" + b"\xff" * 7 + NO_MASK,  # far too big
    HALF + b"\x80" + HALF[1:],  # too big in fragments
    b"\x82\xfe\x10\x01" + NO_MASK + b"x" * 4097,  # a message over the limit
)
EMPTY: Final = Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True)
EMPTY_PARTS: Final = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 100
FLOODS: Final = tuple(
    _many(Frame(opcode, data).serialize(mask=True))
    for opcode, data in (
        (Opcode.PING, b"x" * 125),
        (Opcode.PONG, b""),
        (Opcode.TEXT, b'{"type":"ping"}'),
    )
)
REQUEST_FLOODS: Final = (
    _many(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    b"GET /healthz HTTP/1.1\r\n" + _many(b"a:b\r\n"),
    b"POST /hotspots/scan HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + _many(b"1\r\nx\r\n"),
)
QUERIES: Final = ("", "?last=1000", "?cursor=a.b", "?entity=x&last=5", "?colour=red", "?last=-1")
