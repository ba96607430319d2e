"""A WebSocket client that can stop reading: websockets' sans-I/O protocol on a bare transport."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

RESET = struct.pack("ii", 1, 0)


class Listener(Protocol):
    """Callbacks of a connection."""

    def opened(self) -> None:
        """The handshake succeeded."""

    def receive(self, text: str) -> None:
        """A text frame."""


class Connection(asyncio.Protocol):
    """One connection; `lost` is set to the close code (1006 without one) when it is over."""

    def __init__(self, address: str, subprotocol: str | None, listener: Listener) -> None:
        offered = None if subprotocol is None else [Subprotocol(subprotocol)]
        self._protocol = ClientProtocol(parse_uri(address), subprotocols=offered, max_size=None)
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Hand on what is in it."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                if self._protocol.handshake_exc is None:
                    self._listener.opened()
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._listener.receive(bytes(event.data).decode())
        self._flush()
        if self._protocol.close_expected() and self._transport is not None:
            self._transport.close()

    def eof_received(self) -> None:
        """The transport closes by itself."""
        self._protocol.receive_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the code."""
        if not self.lost.done():
            self.lost.set_result(self._protocol.close_code or 1006)

    def pause(self) -> None:
        """Read nothing until `resume`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self, *, reset: bool) -> None:
        """End it without a close frame, by RST or FIN."""
        if self._transport is None:
            return
        if reset:
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()

    def _flush(self) -> None:
        assert self._transport is not None
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()


async def connect(
    host: str, port: int, make: Callable[[], Connection], seconds: float
) -> Connection:
    """A connection whose handshake is under way. Raises OSError, TimeoutError."""
    async with asyncio.timeout(seconds):
        _, connection = await asyncio.get_running_loop().create_connection(make, host, port)
    return connection
