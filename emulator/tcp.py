"""A TCP connection that can be held still or cut, as a network does it to both ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

LINGER_RESET = struct.pack("ii", 1, 0)


class Line(asyncio.Transport):
    """Goes between a protocol and its transport.

    While it is held nothing is read or written and nothing is told to the peer, not even the end.
    """

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._transport = transport
        self._protocol = protocol
        self._held = False
        self._reading = True
        self._closing = False
        self._waiting: list[bytes] = []

    def hold(self) -> None:
        """Let nothing through, in either direction."""
        if not self._held and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()
            self._protocol.pause_writing()

    def release(self) -> None:
        """Go on where it was held."""
        if not self._held:
            return
        self._held = False
        self._transport.write(b"".join(self._waiting))
        self._waiting.clear()
        self._protocol.resume_writing()
        if self._closing:
            self._transport.close()
        elif self._reading:
            self._transport.resume_reading()

    def cut(self) -> None:
        """Reset the connection (RST): the peer gets an error, and what was on the way is gone."""
        connection = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the peer has gone already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self._held = False
        self._waiting.clear()
        self._transport.abort()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As a transport does; while held the data waits."""
        if self._held:
            self._waiting.append(bytes(data))
        else:
            self._transport.write(data)

    def pause_reading(self) -> None:
        """As a transport does."""
        self._reading = False
        if not self._held:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """As a transport does; while held it counts from the release on."""
        self._reading = True
        if not self._held and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """As a transport does; while held the peer does not hear of it."""
        self._closing = True
        if not self._held:
            self._transport.close()

    def abort(self) -> None:
        """As a transport does."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """As a transport does."""
        return self._closing or self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As a transport does."""
        return self._transport.get_extra_info(name, default)
