"""The three WebSocket endpoints as ASGI applications, for any server that speaks ASGI."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from relay.changes.endpoints import Endpoint
from relay.changes.frames import SUBPROTOCOL
from relay.changes.groups import Format
from relay.clients.connection import Cut, Disconnected
from relay.clients.journal import Journal
from relay.clients.parameters import parse
from relay.clients.protocol import CUT_OFF
from relay.clients.session import Session
from relay.clients.surroundings import Surroundings
from relay.close import CloseCode
from relay.errors import BadParameter
from relay.origins import Allows, is_addressed_locally, is_foreign

logger = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 1.0
# A closing handshake may take uvicorn's ten seconds; who has not answered then never will.
LINGER_SECONDS: Final = 12.0
MOST_REASON_BYTES: Final = 120
DRAIN_SECONDS: Final = 3.0
DRAIN_PAUSE: Final = 0.005  # for each client, as long as there are few
DRAIN_STEP: Final = 0.05


class Sockets:
    """All connected clients."""

    def __init__(self, shared: Surroundings, allows: Allows) -> None:
        self._shared = shared
        self._allows = allows
        self._journal = Journal()
        self._sessions: set[Session] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def tick(self) -> None:
        """A second has passed: looks for clients that do not read."""
        self._journal.tick()
        self._shared.resumes.tick()
        for session in self._sessions:
            session.check()

    async def drain(self, gives_up: Callable[[], bool]) -> None:
        """Closes all clients because the relay ends, spread over a few seconds, so that they do
        not all come back at once."""
        leaving = list(self._sessions)
        random.shuffle(leaving)
        steps = max(1, round(min(DRAIN_SECONDS, len(leaving) * DRAIN_PAUSE) / DRAIN_STEP))
        size = -(-len(leaving) // steps)
        for start in range(0, len(leaving), size or 1):
            if gives_up():
                return
            for session in leaving[start : start + size]:
                session.cut(CloseCode.RESTARTING, CloseCode.RESTARTING.meaning)
            await asyncio.sleep(DRAIN_STEP)

    def at(self, endpoint: Endpoint) -> ASGIApp:
        """The ASGI application of one endpoint."""

        return _Application(self._serve, endpoint)

    async def _serve(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if self._refused(scope):
            await send({"type": "websocket.close", "code": 1008})
            return
        offered = scope["subprotocols"]
        format = Format.EVENTS if SUBPROTOCOL in offered else Format.ROWS
        try:
            if offered and format is Format.ROWS:
                raise BadParameter(f"the only subprotocol is {SUBPROTOCOL}")
            query = scope["query_string"].decode("ascii", "replace")
            wanted = parse(endpoint, query, resumable=format is Format.EVENTS)
        except BadParameter as bad:
            # A browser whose subprotocol is not accepted sees a failure without any code.
            chosen = SUBPROTOCOL if SUBPROTOCOL in offered else next(iter(offered), None)
            await send({"type": "websocket.accept", "subprotocol": chosen})
            await _close(scope, send, CloseCode.BAD_PARAMETER, str(bad))
            return
        session = Session(_Connection(receive, send), format, wanted, self._shared)
        self._sessions.add(session)
        client = "%s:%d" % tuple(scope["client"] or ("?", 0))  # noqa: UP031
        start = self._shared.now()
        reason = "cancelled"
        try:
            subprotocol = SUBPROTOCOL if format is Format.EVENTS else None
            await send({"type": "websocket.accept", "subprotocol": subprotocol})
            self._journal.came(client, endpoint.name, format.value, str(wanted.filter))
            await session.run()
        except Disconnected as gone:
            reason = str(gone)
        except Cut as cut:
            restarting = cut.code is CloseCode.RESTARTING
            reason = "relay restarts" if restarting else f"{cut.code}: {cut.reason}"
            await _close(scope, send, cut.code, cut.reason)
        finally:
            session.close()
            self._sessions.discard(session)
            self._journal.left(
                client, endpoint.name, reason, session.messages, self._shared.now() - start
            )
            _cut_off_later(scope)

    def _refused(self, scope: Scope) -> bool:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        return is_foreign(headers, self._allows) or not is_addressed_locally(
            headers.get("host", "")
        )


@dataclass(frozen=True, slots=True)
class _Application:
    """An object, since Starlette takes a function for a handler of its own WebSocket class."""

    serve: Callable[[Endpoint, Scope, Receive, Send], Awaitable[None]]
    endpoint: Endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(self.endpoint, scope, receive, send)


class _Connection:
    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def send(self, text: str) -> None:
        """Sends a text frame."""
        try:
            await self._send({"type": "websocket.send", "text": text})
        except (OSError, RuntimeError) as error:  # the second: uvicorn is closing it
            raise Disconnected("connection lost") from error

    async def receive(self) -> str | bytes:
        """The next message."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Disconnected(_ending(message.get("code", 1005)))
        text: str | None = message.get("text")
        return text if text is not None else message["bytes"]


def _ending(code: int) -> str:
    if code == CloseCode.RESTARTING:
        return "relay restarts"
    return "connection lost" if code in (1005, 1006) else f"client closed with {code}"


async def _close(scope: Scope, send: Send, code: CloseCode, reason: str) -> None:
    text = reason.encode()[:MOST_REASON_BYTES].decode(errors="ignore")
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await send({"type": "websocket.close", "code": int(code), "reason": text})
    except TimeoutError:
        _cut_off(scope)
    except (OSError, RuntimeError):
        logger.debug("the connection was gone before it could be closed")


def _cut_off(scope: Scope) -> None:
    _way_to_cut_off(scope)()


def _cut_off_later(scope: Scope) -> None:
    asyncio.get_running_loop().call_later(LINGER_SECONDS, _way_to_cut_off(scope))


def _way_to_cut_off(scope: Scope) -> Callable[[], None]:
    # Only our own protocol class offers it; other servers close by themselves, some time.
    found: Callable[[], None] = (scope.get("extensions") or {}).get(CUT_OFF, lambda: None)
    return found
