"""The endpoints as ASGI applications, for servers other than the own one."""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from relay.close_codes import CloseCode, shortened
from relay.connections.admission import Admitted, ClosedAtOnce, Rejected, Request
from relay.connections.registry import ConnectionRegistry
from relay.connections.session import ConnectionHandler
from relay.stream.change import ENDPOINTS, Endpoint
from relay.stream.encoding import texts

HIGH_WATER_BYTES: Final = 64 * 1024
CLOSE_SECONDS: Final = 1.0


class AsgiTransport:
    """The transport of one client; what was written waits here until the server has taken it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[bytes] = deque()
        self._unsent = 0
        self._active_clock = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._over = asyncio.Event()
        self.paused = False
        self.descriptor = None
        self.session: ConnectionHandler | None = None

    def write(self, frames: bytes) -> None:
        self._waiting.append(frames)
        self._unsent += len(frames)
        self._active_clock.set()
        if self._unsent > HIGH_WATER_BYTES and not self.paused:
            self.paused = True
            if self.session is not None:
                self.session.blocked()

    def unsent(self) -> int:
        return self._unsent

    def close(self, code: int, reason: str) -> None:
        """Send what was written and the close code; the server does the rest."""
        if self.paused:
            self.abort()
        else:
            self._closing = code, reason
            self._active_clock.set()
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._over.set)

    def abort(self) -> None:
        """Send nothing any more; ASGI knows no way to end the connection harder."""
        self._over.set()

    async def run(self) -> None:
        """Send until the connection is closed or over."""
        sending = asyncio.create_task(self._run())
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({sending, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            over.cancel()
            await asyncio.gather(over, return_exceptions=True)
        if sending.done():
            await sending

    async def _run(self) -> None:
        while True:
            await self._active_clock.wait()
            self._active_clock.clear()
            while self._waiting:
                await self._send_all(self._waiting.popleft())
            if self._closing is not None:
                await self._send(_closing(*self._closing))
                return
            if self.paused:
                self.paused = False
                if self.session is not None:
                    self.session.unblocked()

    async def _send_all(self, frames: bytes) -> None:
        left = len(frames)
        for text in texts(frames):
            await self._send({"type": "websocket.send", "text": text})
            self._unsent -= len(text)
            left -= len(text)
        self._unsent -= left


class Application:
    """One endpoint. An object, since Starlette takes a function for a handler of its own class."""

    def __init__(self, sockets: ConnectionRegistry, endpoint: Endpoint) -> None:
        self._sockets = sockets
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client."""
        await receive()  # websocket.connect
        request = _request(self._endpoint, scope)
        decision = self._sockets.decide(request)
        if isinstance(decision, Rejected):
            await _refuse(decision, scope, send)
            return
        try:
            await send({"type": "websocket.accept", "subprotocol": decision.subprotocol})
            if isinstance(decision, ClosedAtOnce):
                await send(_closing(decision.code, decision.reason))
            else:
                await self._serve(decision, receive, send)
        finally:
            self._sockets.admission.release(decision)

    async def _serve(self, admitted: Admitted, receive: Receive, send: Send) -> None:
        transport = AsgiTransport(send)
        session = transport.session = self._sockets.open(transport, admitted)
        parts = asyncio.create_task(transport.run()), asyncio.create_task(_listen(receive, session))
        try:
            session.begin()
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            ended = await asyncio.gather(*parts, return_exceptions=True)
            session.connection_lost("connection lost")
        for error in ended:
            # What is sent while the server closes the connection is one of these.
            if isinstance(error, Exception) and not isinstance(error, OSError | RuntimeError):
                raise error


NO_ENDPOINT: Final = "no such endpoint; there are " + ", ".join(
    f"/ws/{endpoint.name}" for endpoint in ENDPOINTS
)


class NoEndpoint:
    """What answers a handshake for any other path. An object, for the same reason."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one client."""
        await receive()
        await _refuse(Rejected(HTTPStatus.NOT_FOUND, NO_ENDPOINT), scope, send)


async def _listen(receive: Receive, session: ConnectionHandler) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        text: str | None = message.get("text")
        session.receive(text if text is not None else message["bytes"])
    session.connection_lost(_ending(message.get("code", 1005)))


def _closing(code: int, reason: str) -> Message:
    return {"type": "websocket.close", "code": int(code), "reason": shortened(reason)}


def _ending(code: int) -> str:
    if code == CloseCode.RESTARTING:
        return "relay restarts"
    return "connection lost" if code in (1005, 1006) else f"client closed with {code}"


def _request(endpoint: Endpoint, scope: Scope) -> Request:
    headers: dict[str, str] = {}
    for name, value in ((n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    query = scope["query_string"].decode("ascii", "replace")
    host, port = scope["client"] or ("?", 0)
    return Request(endpoint, query, headers, host, port)


async def _refuse(refused: Rejected, scope: Scope, send: Send) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})  # which servers answer with 403
        return
    body = f"{refused.reason}\n".encode()
    headers = [
        (b"content-length", str(len(body)).encode()),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if refused.retry_seconds is not None:
        headers.append((b"retry-after", str(refused.retry_seconds).encode()))
    status = refused.status.value
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
