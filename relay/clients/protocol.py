"""The relay's own class for WebSocket connections: no task, no queue, no ASGI call each.

A plain handshake for an endpoint comes with its transport as soon as it has arrived. What had to be
parsed as HTTP uvicorn hands over, the head of the request and the transport: what is no endpoint,
or no plain handshake, goes on to uvicorn's own class and from there to the application.
"""

import asyncio
import fcntl
import random
import socket
import struct
import sys
import termios
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from relay.changes.endpoints import Endpoint
from relay.changes.frames import HEARTBEAT_SECONDS
from relay.clients import handshake
from relay.clients.client import Client
from relay.clients.compression import agree
from relay.clients.entrance import PATHS, Admitted, Refused, Request
from relay.clients.handshake import Handshake
from relay.clients.incoming import Incoming
from relay.clients.sockets import Sockets, Watched
from relay.close import CloseCode, shortened

# Who has not answered a close frame by then never will.
LINGER_SECONDS: Final = 12.0
MOST_FRAMES_AT_THE_END: Final = 64
# What is looked at before somebody asks whether it was too much; one read may bring 40,000 frames.
PIECE_BYTES: Final = 512
PING: Final = b"\x89\x00"
_NO_HANDSHAKE: Final = Refused(HTTPStatus.BAD_REQUEST, "this is no handshake of WebSocket")
_PONG_HEAD: Final = b"\x8a\x80"
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class RelayProtocol(asyncio.Protocol):
    """One connection, from the handshake to its end; the outlet of its session."""

    __slots__ = (
        "_closing",
        "_compressed",
        "_config",
        "_heard",
        "_incoming",
        "_place",
        "_session",
        "_slot",
        "_sockets",
        "_state",
        "_transport",
        "app_state",
        "write",
    )

    def __init__(
        self,
        sockets: Sockets,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        self._sockets = sockets
        self._config = config
        self._state = server_state
        self.app_state = app_state
        self._session: Client | None = None
        self._place: str | None = None
        self._incoming: Incoming | None = None
        self._slot: set[Watched] | None = None
        self._heard = True
        self._closing = False
        self._compressed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is handed over; its handshake follows at once."""
        self._transport = cast(asyncio.Transport, transport)
        self.write: Callable[[bytes], None] = self._transport.write
        # A full socket is told at the first byte that it does not take. With TLS the limit is
        # itself over the limit.
        high = 0 if transport.get_extra_info("sslcontext") is None else 1
        self._transport.set_write_buffer_limits(high=high, low=0)
        self._state.connections.add(self)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """The head of the request first, then what the client sends."""
        if self._session is not None or self._closing:
            self._hear(data)
            return
        found = handshake.parse(data)
        endpoint = None if found is None else PATHS.get(found.path)
        # Without an answer, and for ever, uvicorn's class would leave who sends anything else.
        if not handshake.is_get(data) or (endpoint is None and not data.isascii()):
            asyncio.get_running_loop().call_soon(self._refuse, _NO_HANDSHAKE)
        elif found is None or endpoint is None:
            # Only then has uvicorn made this the protocol of the transport.
            asyncio.get_running_loop().call_soon(self._hand_over, data)
        else:
            self.answer(found, endpoint)

    def answer(self, found: Handshake, endpoint: Endpoint) -> None:
        """Accepts or refuses a handshake for that endpoint."""
        host, port = (self._transport.get_extra_info("peername") or ("?", 0))[:2]
        decision = self._sockets.decide(Request(endpoint, found.query, found.headers, host, port))
        if isinstance(decision, Refused):
            self._refuse(decision)
            return
        self._place = decision.place
        key = found.headers["sec-websocket-key"]
        extensions = None
        if isinstance(decision, Admitted) and self._sockets.compression:
            extensions = agree(found.headers.get("sec-websocket-extensions", ""))
            self._compressed = extensions is not None
            decision = replace(decision, compressed=self._compressed)
        self.write(handshake.acceptance(key, decision.subprotocol, extensions))
        if isinstance(decision, Admitted):
            self._look_again_in(random.uniform(0, HEARTBEAT_SECONDS))  # noqa: S311 spreads the pings
            self._session = self._sockets.open(self, decision)
            self._session.begin()
        else:
            self.close(decision.code, decision.reason)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._state.connections.discard(self)
        self._sockets.wheel.forget(self, self._slot)
        if self._place is not None:
            self._sockets.entrance.door.leave(self._place)
        if self._session is not None:
            self._session.gone("connection lost")
            self._session = None  # which refers to this object

    @property
    def paused(self) -> bool:
        """Whether the transport holds bytes that the socket does not take. Read from the transport:
        the protocol that the connection had before may have been told of them instead."""
        return self._transport.get_write_buffer_size() > 0

    def pause_writing(self) -> None:
        """The socket is full."""
        if self._session is not None:
            self._session.blocked()

    def resume_writing(self) -> None:
        """Everything has been sent."""
        if self._session is not None:
            self._session.unblocked()

    def shutdown(self) -> None:
        """The server ends and does not wait for answers."""
        if self._session is not None:
            self._session.cut(CloseCode.RESTARTING, CloseCode.RESTARTING.meaning)
        self._transport.close()

    @property
    def descriptor(self) -> int | None:
        """That of the socket, but for TLS."""
        raw = self._transport.get_extra_info("socket")
        if raw is None or self._transport.get_extra_info("sslcontext") is not None:
            return None
        number: int = raw.fileno()
        return number

    def unsent(self) -> int:
        """How many bytes the client has not taken, those in the kernel included."""
        size = self._transport.get_write_buffer_size()
        raw = self._transport.get_extra_info("socket")
        if raw is not None and sys.platform == "linux":
            size += struct.unpack("i", fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
        return size

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake; a client that takes nothing is cut off instead."""
        if self.paused:
            self.cut_off()
        elif not self._closing:
            self._closing = True
            self._incoming = self._incoming or Incoming(compressed=self._compressed)
            self.write(self._incoming.close(code, shortened(reason)))
            self._look_again_in(LINGER_SECONDS)

    def cut_off(self) -> None:
        """Ends the connection with a reset, so that the kernel keeps nothing for it."""
        self._closing = True
        raw = self._transport.get_extra_info("socket")
        if raw is not None and not self._transport.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def look(self) -> None:
        """Pings the client, which has time until the next look to say something."""
        if self._closing or not self._heard:
            if not self._closing and self._session is not None:
                self._session.gone("no answer to a ping")
            self.cut_off()
            return
        if not self.paused:  # otherwise it is looked after by its session
            self._heard = False
            self.write(PING)
        self._look_again_in(HEARTBEAT_SECONDS)

    def _look_again_in(self, seconds: float) -> None:
        self._slot = self._sockets.wheel.put(self, seconds, self._slot)

    def _hand_over(self, head: bytes) -> None:
        self._state.connections.discard(self)
        if self._transport.is_closing():
            return
        self._transport.set_write_buffer_limits()
        other = WebSocketsSansIOProtocol(
            config=self._config, server_state=self._state, app_state=self.app_state
        )
        self._transport.set_protocol(other)
        other.connection_made(self._transport)
        other.data_received(head)

    def _refuse(self, refused: Refused) -> None:
        self._closing = True
        self.write(handshake.refusal(refused.status, refused.reason, refused.retry_seconds))
        self._transport.close()

    def _hear(self, data: bytes) -> None:
        self._heard = True
        if self._incoming is None and len(data) == 6 and data.startswith(_PONG_HEAD):
            return  # the usual answer to a ping
        for at in range(0, len(data), PIECE_BYTES):
            if self._transport.is_closing():
                return
            self._hear_piece(data[at : at + PIECE_BYTES])

    def _hear_piece(self, data: bytes) -> None:
        incoming = self._incoming = self._incoming or Incoming(compressed=self._compressed)
        messages = incoming.receive(data)
        if incoming.answer:
            self.write(incoming.answer)
            incoming.answer = b""
        session = self._session
        if session is not None and incoming.controls and not self._closing:
            session.heard(incoming.controls)
            incoming.controls = 0
        elif self._closing:
            incoming.controls += len(messages)  # they are not said to anybody who counts them
            if incoming.controls > MOST_FRAMES_AT_THE_END:
                self.cut_off()
                return
        for message in messages:
            if session is not None and not self._closing:
                session.said(message)
        if incoming.ended is not None:
            self._end(incoming.ended)
        elif incoming.between_messages:
            self._incoming = None

    def _end(self, reason: str) -> None:
        if self._session is not None:
            self._session.gone(reason)
        self._closing = True
        self._transport.close()
        self._look_again_in(LINGER_SECONDS)
