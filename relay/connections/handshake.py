"""The opening handshake of RFC 6455 and the negotiation of permessage-deflate (RFC 7692).

Only plainly correct handshakes are judged here. Whatever else (another version, a bad key, a header
given twice) is left to the server's own class, which knows how to refuse it. Compression is agreed
on terms that let clients share what is compressed.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.headers import build_extension, parse_extension
from websockets.typing import ExtensionHeader

from relay.stream.encoding import WINDOW_BITS, Compression

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES: Final = 16
_ONCE: Final = ("host", "origin", "upgrade", "sec-websocket-key", "sec-websocket-version")
_PLAIN: Final = re.compile(
    rb"GET /[\w/]*+(\?[!\"$-~]*+)? HTTP/1\.1\r\n([\w!#$%&'*+.^`|~-]++:[\t -~]*+\r\n)++\r\n"
)
_BODY: Final = frozenset(("content-length", "transfer-encoding"))


@dataclass(frozen=True, slots=True)
class Handshake:
    """A valid handshake; names of headers are in lower case."""

    path: str
    query: str
    headers: Mapping[str, str]


def plain(data: bytes) -> Handshake | None:
    """Parse a head that is complete and nothing else; None if an HTTP parser has to judge it."""
    if _PLAIN.fullmatch(data) is None:
        return None
    found = parse(data)
    if found is None or "host" not in found.headers or not _BODY.isdisjoint(found.headers):
        return None
    once = len(found.headers) == data.count(b"\r\n") - 2
    return found if once else None


def parse(head: bytes) -> Handshake | None:
    """Parse the head of a request whose lines are well-formed; None if it is no valid handshake."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        if name in headers:
            if name in _ONCE:
                return None
            value = f"{headers[name]}, {value}"
        headers[name] = value
    path, _, query = target.partition("?")
    good = method == "GET" and version == "HTTP/1.1" and _asks_for_websocket(headers)
    return Handshake(path, query, headers) if good else None


def is_get(head: bytes) -> bool:
    """Whether the request may be a handshake at all."""
    first = head[: head.index(b"\r\n")]
    return first.startswith(b"GET ") and first.endswith(b" HTTP/1.1")


def acceptance(key: str, subprotocol: str | None, extensions: str | None = None) -> bytes:
    """Return the 101 response that accepts the handshake with that key."""
    digest = hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()
    chosen = b"Sec-WebSocket-Protocol: %s\r\n" % subprotocol.encode() if subprotocol else b""
    if extensions is not None:
        chosen += b"Sec-WebSocket-Extensions: %s\r\n" % extensions.encode()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %s\r\n%s\r\n" % (base64.b64encode(digest), chosen)
    )


def refusal(status: HTTPStatus, reason: str, retry_seconds: int | None = None) -> bytes:
    """Return the response that refuses a handshake, with the reason and perhaps Retry-After."""
    retry = "" if retry_seconds is None else f"Retry-After: {retry_seconds}\r\n"
    body = f"{reason}\n".encode()
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
        f"{retry}Connection: close\r\n\r\n"
    ).encode() + body


def _asks_for_websocket(headers: Mapping[str, str]) -> bool:
    connection = [token.strip() for token in headers.get("connection", "").lower().split(",")]
    return (
        headers.get("upgrade", "").lower() == "websocket"
        and "upgrade" in connection
        and headers.get("sec-websocket-version") == "13"
        and _is_key(headers.get("sec-websocket-key", ""))
    )


def _is_key(text: str) -> bool:
    try:
        return len(binascii.a2b_base64(text, strict_mode=True)) == _KEY_BYTES
    except (ValueError, binascii.Error):
        return False


_MAX_WINDOW_BITS: Final = 15


def agree(offered: str) -> tuple[str, Compression] | None:
    """Negotiate permessage-deflate; return the extension header and how to compress, None without
    agreement.

    A client that does not offer `server_no_context_takeover` keeps the context of what it receives:
    an initial state is one stream for it. It must not refer to what it sent before, so that nothing
    is kept for it here.
    """
    terms = ServerPerMessageDeflateFactory(
        client_no_context_takeover=True,
        server_max_window_bits=WINDOW_BITS,
    )
    for name, parameters in _parsed(offered):
        if name != terms.name or not _allows(parameters):
            continue
        try:
            accepted, _ = terms.process_request_params(parameters, [])
        except NegotiationError:
            continue
        alone = ("server_no_context_takeover", None) in accepted
        header = build_extension([(terms.name, list(accepted))])
        return header, Compression.FRAMES if alone else Compression.STREAM
    return None


def inflating() -> PerMessageDeflate:
    """Return the extension for a frame parser after a successful negotiation."""
    return PerMessageDeflate(
        remote_no_context_takeover=True,
        local_no_context_takeover=True,
        remote_max_window_bits=_MAX_WINDOW_BITS,
        local_max_window_bits=WINDOW_BITS,
    )


def _parsed(offered: str) -> Sequence[ExtensionHeader]:
    try:
        return parse_extension(offered)
    except InvalidHeader:
        return []


def _allows(parameters: Sequence[tuple[str, str | None]]) -> bool:
    # The library would agree to a smaller window than what the shared frames are made with.
    bits = dict(parameters).get("server_max_window_bits")
    return bits is None or (bits.isdigit() and int(bits) >= WINDOW_BITS)
