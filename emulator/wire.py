"""The connections of uvicorn, with what the emulator does to them below HTTP and WebSocket."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from starlette.types import Scope
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from emulator.tcp import Line

CONNECTION = "emulator.connection"
GONE = 1006


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A client's WebSocket. Compression must be off, since frames are written as they are."""

    line: Line

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, CONNECTION: self}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put a line between."""
        self.line = Line(cast(asyncio.Transport, transport), self)
        super().connection_made(self.line)

    async def run_asgi(self) -> None:
        """Run the application for the handshake and what follows on it."""
        app = self.app

        async def until_over(*arguments: Any) -> None:
            await app(*arguments)
            refused = self.initial_response is not None
            if not self.handshake_complete and (refused or self.transport.is_closing()):
                # uvicorn logs an error where an application returns without a handshake, also when
                # it has refused by an HTTP answer or the client has left.
                raise ClientDisconnected

        self.app = until_over
        await super().run_asgi()

    async def write(self, frames: bytes) -> None:
        """Write encoded frames once there is room.

        Raises:
            WebSocketDisconnect: It is over.
        """
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.transport.is_closing():
            raise WebSocketDisconnect(GONE)
        self.transport.write(frames)

    def end(self, code: int) -> None:
        """Close with `code` without waiting for the client."""
        if not self.close_sent and not self.transport.is_closing():
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
            self.conn.send_close(code)
            self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()


class HttpConnection(HttpToolsProtocol):
    """A connection of HTTP requests."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, CONNECTION: self}

    def cut(self) -> None:
        """Reset the connection."""
        Line(self.transport, self).cut()


def websocket(scope: Scope) -> WebSocketConnection:
    """The connection of a WebSocket's `scope`."""
    return cast(WebSocketConnection, scope["state"][CONNECTION])


def http(scope: Scope) -> HttpConnection:
    """The connection of a request's `scope`."""
    return cast(HttpConnection, scope["state"][CONNECTION])
