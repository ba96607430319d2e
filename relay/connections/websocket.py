"""The relay's own WebSocket connections: no task, no queue and no ASGI call per client.

`ProtocolDetector` holds a connection until its first bytes. A plain handshake for an endpoint is
answered without the HTTP parser; everything else is read from its first byte on as uvicorn reads
it. Connections take turns, so that ten thousand reconnecting clients do not hold up those who are
connected. What had to be parsed as HTTP uvicorn hands over, the head and the transport; what is no
endpoint, or no plain handshake, goes on to uvicorn's own class and from there to the application.
"""

import asyncio
import codecs
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
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from relay.close_codes import CloseCode, shortened
from relay.connections import handshake, http
from relay.connections.admission import PATHS, Admitted, Rejected, Request
from relay.connections.handshake import Handshake, agree, inflating
from relay.connections.http import HttpConnection
from relay.connections.registry import ConnectionRegistry, Timed
from relay.connections.session import ConnectionHandler
from relay.stream.change import Endpoint
from relay.stream.encoding import HEARTBEAT_SECONDS

# Messages beyond this never reach the relay's own limit of 4 KiB, which answers with 4501.
MAX_MESSAGE_BYTES: Final = 16 * 1024
_utf_8: Final = codecs.getincrementaldecoder("utf-8")


class _Frames(Protocol):
    """The library's parser, corrected where it deviates from RFC 6455."""

    _text: codecs.IncrementalDecoder | None = None

    def recv_frame(self, frame: Frame) -> None:
        """Validate a frame before the library takes it."""
        if frame.opcode is Opcode.CLOSE:
            self.cur_size = None  # 5.4: one may come between the fragments of a message
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY) and self.cur_size is None:
            self._text = _utf_8() if frame.opcode is Opcode.TEXT else None
        if frame.opcode in (Opcode.TEXT, Opcode.CONT) and self._text is not None:
            # 8.1: as soon as it is found, and not when the message is complete or too long.
            self._text.decode(frame.data, frame.fin)
        super().recv_frame(frame)


class FrameReader:
    """Parser of the frames of one client.

    Attributes:
        answer: Bytes to send in answer, such as pongs.
        controls: Frames that are no whole message, since the caller reset the number.
        ended: How the connection ended, once the client or a violation of the protocol ended it.
    """

    __slots__ = ("_parts", "_protocol", "_text", "answer", "controls", "ended")

    def __init__(self, *, compressed: bool) -> None:
        self._protocol = _Frames(Side.SERVER, max_size=MAX_MESSAGE_BYTES)
        if compressed:
            self._protocol.extensions = [inflating()]
        self._parts: list[bytes] = []
        self._text = False
        self.answer = b""
        self.controls = 0  # pings, pongs and parts of messages since somebody took count
        self.ended: str | None = None

    @property
    def between_messages(self) -> bool:
        """Whether nothing of the next message was received."""
        protocol = self._protocol
        return (
            protocol.state is State.OPEN
            and not self._parts
            and protocol.cur_size is None
            and not protocol.reader.buffer
        )

    def receive(self, data: bytes) -> list[str | bytes]:
        """Parse received bytes; return the messages that are complete."""
        self._protocol.receive_data(data)
        messages: list[str | bytes] = []
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and self.ended is None:
                self._take(event, messages)
        self._collect()
        if self._protocol.parser_exc is not None and self.ended is None:
            self.ended = f"{_code(self._protocol.close_sent)}: {self._protocol.parser_exc}"
        return messages

    def close(self, code: int, reason: str) -> bytes:
        """Return pending answers and the close frame, which the client may have sent first."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
        self._collect()
        answer, self.answer = self.answer, b""
        return answer

    def _take(self, frame: Frame, messages: list[str | bytes]) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.ended = f"client closed with {_code(self._protocol.close_rcvd)}"
        elif frame.opcode in (Opcode.PING, Opcode.PONG):
            self.controls += 1
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._text = frame.opcode is Opcode.TEXT
            if frame.data:
                self._parts.append(bytes(frame.data))
            if not frame.fin:
                self.controls += 1
                return
            whole = b"".join(self._parts)
            self._parts.clear()
            messages.append(whole.decode() if self._text else whole)

    def _collect(self) -> None:
        self.answer += b"".join(self._protocol.data_to_send())


def _code(close: Close | None) -> int:
    return 1006 if close is None else int(close.code)


# Who has not answered a close frame by then never will.
LINGER_SECONDS: Final = 12.0
MOST_FRAMES_AT_THE_END: Final = 64
# What is looked at before somebody asks whether it was too much; one read may bring 40,000 frames.
PIECE_BYTES: Final = 512
PING: Final = b"\x89\x00"
_NO_HANDSHAKE: Final = Rejected(HTTPStatus.BAD_REQUEST, "this is no handshake of WebSocket")
_PONG_HEAD: Final = b"\x8a\x80"
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class WebSocketConnection(asyncio.Protocol):
    """One WebSocket connection, from the handshake to its end; the transport of its session."""

    __slots__ = (
        "_alive",
        "_closing",
        "_compressed",
        "_config",
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
        sockets: ConnectionRegistry,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        self._sockets = sockets
        self._config = config
        self._state = server_state
        self.app_state = app_state
        self._session: ConnectionHandler | None = None
        self._place: str | None = None
        self._incoming: FrameReader | None = None
        self._slot: set[Timed] | None = None
        self._alive = True
        self._closing = False
        self._compressed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection; its handshake follows at once."""
        self._transport = cast(asyncio.Transport, transport)
        self.write: Callable[[bytes], None] = self._transport.write
        # A full socket is told at the first byte that it does not take. With TLS the limit is
        # itself over the limit.
        high = 0 if transport.get_extra_info("sslcontext") is None else 1
        self._transport.set_write_buffer_limits(high=high, low=0)
        self._state.connections.add(self)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Handle the head of the request first, then frames."""
        if self._session is not None or self._closing:
            self._receive(data)
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
        """Accept or refuse a handshake for that endpoint."""
        host, port = (self._transport.get_extra_info("peername") or ("?", 0))[:2]
        decision = self._sockets.decide(Request(endpoint, found.query, found.headers, host, port))
        if isinstance(decision, Rejected):
            self._refuse(decision)
            return
        self._place = decision.place
        key = found.headers["sec-websocket-key"]
        extensions = None
        if isinstance(decision, Admitted) and self._sockets.compression:
            agreed = agree(found.headers.get("sec-websocket-extensions", ""))
            if agreed is not None:
                extensions, compression = agreed
                self._compressed = True
                decision = replace(decision, compression=compression)
        self.write(handshake.acceptance(key, decision.subprotocol, extensions))
        if isinstance(decision, Admitted):
            self._set_timeout(random.uniform(0, HEARTBEAT_SECONDS))  # noqa: S311 spreads the pings
            self._session = self._sockets.open(self, decision)
            self._session.begin()
        else:
            self.close(decision.code, decision.reason)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything: the connection ended."""
        self._state.connections.discard(self)
        self._sockets.wheel.forget(self, self._slot)
        if self._place is not None:
            self._sockets.admission.limiter.leave(self._place)
        if self._session is not None:
            self._session.connection_lost("connection lost")
            self._session = None  # which refers to this object

    @property
    def paused(self) -> bool:
        """Whether the transport holds bytes that the socket does not take.

        Read from the transport: its former protocol may have been notified instead.
        """
        return self._transport.get_write_buffer_size() > 0

    def pause_writing(self) -> None:
        if self._session is not None:
            self._session.blocked()

    def resume_writing(self) -> None:
        if self._session is not None:
            self._session.unblocked()

    def shutdown(self) -> None:
        """The server ends and does not wait for answers."""
        if self._session is not None:
            self._session.close(CloseCode.RESTARTING, CloseCode.RESTARTING.meaning)
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
        """Begin the closing handshake; a client that takes nothing is cut off instead."""
        if self.paused:
            self.abort()
        elif not self._closing:
            self._closing = True
            self._incoming = self._incoming or FrameReader(compressed=self._compressed)
            self.write(self._incoming.close(code, shortened(reason)))
            self._set_timeout(LINGER_SECONDS)

    def abort(self) -> None:
        """End the connection with a reset, so that the kernel keeps nothing for it."""
        self._closing = True
        raw = self._transport.get_extra_info("socket")
        if raw is not None and not self._transport.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def timed_out(self) -> None:
        """Ping the client, or end the connection if the last ping was not answered."""
        if self._closing or not self._alive:
            if not self._closing and self._session is not None:
                self._session.connection_lost("no answer to a ping")
            self.abort()
            return
        if not self.paused:  # otherwise it is looked after by its session
            self._alive = False
            self.write(PING)
        self._set_timeout(HEARTBEAT_SECONDS)

    def _set_timeout(self, seconds: float) -> None:
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

    def _refuse(self, refused: Rejected) -> None:
        self._closing = True
        self.write(handshake.refusal(refused.status, refused.reason, refused.retry_seconds))
        self._transport.close()

    def _receive(self, data: bytes) -> None:
        self._alive = True
        if self._incoming is None and len(data) == 6 and data.startswith(_PONG_HEAD):
            return  # the usual answer to a ping
        for at in range(0, len(data), PIECE_BYTES):
            if self._transport.is_closing():
                return
            self._receive_piece(data[at : at + PIECE_BYTES])

    def _receive_piece(self, data: bytes) -> None:
        incoming = self._incoming = self._incoming or FrameReader(compressed=self._compressed)
        messages = incoming.receive(data)
        if incoming.answer:
            self.write(incoming.answer)
            incoming.answer = b""
        session = self._session
        if session is not None and incoming.controls and not self._closing:
            session.count_frames(incoming.controls)
            incoming.controls = 0
        elif self._closing:
            incoming.controls += len(messages)  # no session counts them any more
            if incoming.controls > MOST_FRAMES_AT_THE_END:
                self.abort()
                return
        for message in messages:
            # What it answers must not follow the close frame that was just written.
            if session is not None and not self._closing and incoming.ended is None:
                session.receive(message)
        if incoming.ended is not None:
            self._end(incoming.ended)
        elif incoming.between_messages:
            self._incoming = None

    def _end(self, reason: str) -> None:
        if self._session is not None:
            self._session.connection_lost(reason)
        self._closing = True
        self._transport.close()
        self._set_timeout(LINGER_SECONDS)


SPARE_CONNECTIONS: Final = 500  # for commands and checks of health, beside those of clients


class ProtocolDetector(asyncio.Protocol):
    """One connection until its first bytes, which decide between WebSocket and HTTP.

    Args:
        sockets: The registry.
        most_connections: Beyond these and some spare ones, connections are aborted.
        straight: Whether plain handshakes bypass uvicorn.
        given: What uvicorn passes to its protocol classes.
    """

    __slots__ = (
        "_connections",
        "_given",
        "_most",
        "_received",
        "_slot",
        "_sockets",
        "_straight",
        "_transport",
        "queued",
    )

    def __init__(
        self, sockets: ConnectionRegistry, most_connections: int, *, straight: bool, **given: Any
    ) -> None:
        self._sockets = sockets
        self._most = most_connections + SPARE_CONNECTIONS
        self._straight = straight
        self._given = given
        self._connections: set[object] = given["server_state"].connections
        self._received = b""
        self.queued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection; abort one too many."""
        self._transport = cast(asyncio.Transport, transport)
        self._slot: set[Timed] = self._sockets.wheel.put(self, http.HEAD_SECONDS)
        if len(self._connections) >= self._most:
            self._transport.abort()
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._sockets.wheel.forget(self, self._slot)

    def data_received(self, data: bytes) -> None:
        """Buffer the first bytes until the scheduler gives a turn."""
        self._received += data
        self._sockets.newcomers.add(self)
        if len(self._received) > http.MAX_HEAD_BYTES:
            self.step()

    def step(self) -> bool:
        """Choose the protocol by the first bytes and hand the connection over."""
        data, self._received = self._received, b""
        if data and not self._transport.is_closing():
            try:
                self._begin(data)
            except BaseException:  # uvloop does so for what it calls itself; a turn is ours
                self._transport.abort()
                raise
        return False

    def timed_out(self) -> None:
        """Abort: nothing was received in time."""
        self._transport.abort()

    def shutdown(self) -> None:
        self._transport.close()

    def _begin(self, data: bytes) -> None:
        self._connections.discard(self)
        short = len(data) <= http.MAX_HEAD_BYTES
        found = handshake.plain(data) if self._straight and short else None
        endpoint = None if found is None else PATHS.get(found.path)
        if found is None or endpoint is None:
            http_connection = HttpConnection(self._sockets, self._slot, **self._given)
            self._sockets.wheel.hand_on(self, http_connection, self._slot)
            self._transport.set_protocol(http_connection)
            http_connection.connection_made(self._transport)
            http_connection.data_received(data)
        else:
            self._sockets.wheel.forget(self, self._slot)
            relayed = WebSocketConnection(self._sockets, **self._given)
            self._transport.set_protocol(relayed)
            relayed.connection_made(self._transport)
            relayed.answer(found, endpoint)
