"""Checks of what the relay relies on inside other packages beyond their documented behaviour.

Each entry was read in the version that it names, and is tried at start: against uvicorn with a
transport that goes nowhere, against the event loop with a connection to itself. Where one does not
hold, the relay goes on without what rests on it if it can, and says which version to install.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, cast

import uvicorn
from realtime import AsyncRealtimeClient
from realtime._async import client as realtime_client
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame
from websockets.protocol import Protocol, Side

PATIENCE_SECONDS: Final = 30.0  # of a machine that does other things as well
_HEAD: Final = b"GET /a?b HTTP/1.1\r\nhost: c\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
_TEXT: Final = b"\x81\x82\0\0\0\0ok"  # a masked frame
_MOST_WRITTEN: Final = 64 * 1024 * 1024


@dataclass(frozen=True)
class DependencyCheck:
    """A behaviour of a dependency that the relay relies on.

    Attributes:
        on: What is relied on.
        known: The version that it was verified with.
        without: What the relay does where it does not hold.
        check: Returns what is not as expected; None if all is."""

    package: str
    known: str
    on: str
    without: str
    check: Callable[[], str | None]

    def trouble(self) -> str | None:
        """Run the check; return a message with the remedy where it fails, else None."""
        try:
            found = self.check()
        except Exception as exc:  # noqa: BLE001 whatever another version raises
            found = f"{type(exc).__name__}: {exc}"
        if found is None:
            return None
        return (
            f"{self.package} {_installed(self.package)} is not as {self.known} was ({self.on}:"
            f" {found}): {self.without}; install the version of requirements.lock, or"
            f" `pip install '{self.package}=={self.known}'`"
        )


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


class _Listening(asyncio.Protocol):
    """Records the callbacks of a transport, and the arguments that it was made with."""

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.steps: list[object] = []
        self.paused = False
        self.heard = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.steps.append(transport)

    def data_received(self, data: bytes) -> None:
        self.steps.append(data)
        self.heard.set()

    def pause_writing(self) -> None:
        self.paused = True

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


class _Nowhere(asyncio.Transport):
    """A transport without a socket that records its protocol."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.protocol: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


def _hand_over() -> str | None:
    """relay/connections/websocket.py"""
    config = uvicorn.Config(_application, ws=cast(Any, _Listening), lifespan="off", log_config=None)
    config.load()
    state, transport, loop = ServerState(), _Nowhere(), asyncio.new_event_loop()
    try:
        http = cast(Any, config.http_protocol_class)(
            config=config, server_state=state, app_state={}, _loop=loop
        )
        http.connection_made(transport)
        lacking = _lacking(http, "parser", "pipeline", "transport")
        http.data_received(_HEAD)
    finally:
        loop.close()
    upgraded = transport.protocol
    if lacking or not isinstance(upgraded, _Listening):
        return lacking or "the upgraded connection is not given to the class"
    given = {"config": config, "server_state": state, "app_state": {}}
    if upgraded.given != given or upgraded.steps != [transport, _HEAD]:
        return "the class is given something else"
    return None if state.connections == set() else "the connection stays in its list"


async def _application(scope: object, receive: object, send: object) -> None:
    """Is never called."""


def _http_steps() -> str | None:
    """relay/connections/http.py"""
    steps = ("message_begin", "headers_complete", "body", "message_complete", "response_complete")
    others = ("handle_websocket_upgrade", "send_400_response")
    return _lacking(HttpToolsProtocol, *(f"on_{step}" for step in steps), *others)


def _server() -> str | None:
    """relay/server.py"""
    server = uvicorn.Server(uvicorn.Config(_application, lifespan="off", log_config=None))
    return _lacking(server, "startup", "shutdown", "server_state", "force_exit", "should_exit")


def _parser() -> str | None:
    """relay/connections/websocket.py"""
    seen: list[Frame] = []

    class Noting(Protocol):
        def recv_frame(self, frame: Frame) -> None:
            seen.append(frame)
            super().recv_frame(frame)

    protocol = Noting(Side.SERVER, max_size=16)
    protocol.receive_data(_TEXT)
    if len(seen) != 1 or protocol.events_received() != seen:
        return "frames do not pass recv_frame"
    return _lacking(protocol, "cur_size", "parser_exc", "close_rcvd", "close_sent") or _lacking(
        protocol.reader, "buffer"
    )


def _realtime() -> str | None:
    """relay/upstream/realtime_client.py"""
    found = _installed("realtime")
    if found != REALTIME:
        return f"defects of {REALTIME} alone are known"
    client = AsyncRealtimeClient("ws://127.0.0.1:9/realtime/v1", "key", auto_reconnect=False)
    return (
        _lacking(realtime_client, "connect", "ServerMessageAdapter")
        or _lacking(client, "_listen_task", "_heartbeat_task", "_ws_connection", "get_channels")
        or _lacking(client.channel("relay"), "_background_tasks", "rejoin_timer", "join_push")
        or _lacking(ClientConnection, "__aiter__")
    )


class _Told(socket.socket):
    """A socket that records when the loop lets go of it; see relay/server.py."""

    gone = False

    def close(self) -> None:
        self.gone = True
        super().close()

    def detach(self) -> int:
        self.gone = True
        return super().detach()


async def _transports() -> str | None:
    """relay/connections/websocket.py, relay/server.py"""
    loop = asyncio.get_running_loop()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        accepted, _ = listener.accept()
        ours = _Told(fileno=accepted.detach())
        ours.setblocking(False)
        first, second = _Listening(), _Listening()
        transport, _ = await loop.connect_accepted_socket(lambda: first, ours)
        try:
            transport.set_write_buffer_limits(high=1, low=0)
            transport.set_protocol(second)
            client.sendall(b"x")
            await second.heard.wait()
            written = 0
            while not transport.get_write_buffer_size():
                if written > _MOST_WRITTEN:
                    return "a socket that is full is not told"
                transport.write(bytes(1024 * 1024))
                written += 1024 * 1024
                await asyncio.sleep(0)
            if not second.paused:
                return "a protocol is not paused at the first byte that is left"
        finally:
            transport.abort()
        await second.lost.wait()
        await asyncio.sleep(0)
        return None if ours.gone else "it keeps the socket of a connection that is gone"


def _loop() -> str | None:
    """`_transports` on the loop that uvicorn takes; in a thread, as this one may have a loop."""
    factory = uvicorn.Config(_application).get_loop_factory() or asyncio.new_event_loop

    def run() -> str | None:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(_transports(), PATIENCE_SECONDS))

    with ThreadPoolExecutor(1, "trying the event loop") as threads:
        return threads.submit(run).result()


def _lacking(thing: object, *names: str) -> str | None:
    missing = [name for name in names if not hasattr(thing, name)]
    return f"there is no {', '.join(missing)}" if missing else None


THROUGH_ASGI: Final = "WebSockets are served through ASGI, which takes more time"
REALTIME: Final = "2.34.1"

CONNECTIONS: Final = (
    DependencyCheck(
        "uvicorn", "0.54.0", "it hands over upgraded connections", THROUGH_ASGI, _hand_over
    ),
    DependencyCheck("uvicorn", "0.54.0", "the steps of an HTTP request", THROUGH_ASGI, _http_steps),
    DependencyCheck("websockets", "15.0.1", "the parser of frames", THROUGH_ASGI, _parser),
    DependencyCheck("uvloop", "0.23.0", "transports of the event loop", THROUGH_ASGI, _loop),
)
"""Checks for the relay's own connection classes."""

SERVER: Final = DependencyCheck(
    "uvicorn", "0.54.0", "the life of its server", "the relay cannot serve", _server
)

CLIENT: Final = DependencyCheck(
    "realtime", REALTIME, "parts of the official client", "it is used as it is", _realtime
)
