"""Accepts connections and runs the application under uvicorn until a signal or a failure ends it.

The acceptor takes many connections in one turn of the event loop, since uvloop takes one per turn:
during flushes to ten thousand subscribers, reconnecting clients would wait for minutes.
"""

import asyncio
import errno
import gc
import logging
import resource
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import uvicorn

from relay import supervisor
from relay.access.limits import LimitReached, SocketLimiter
from relay.app import create_app
from relay.connections.registry import ConnectionRegistry
from relay.connections.websocket import MAX_MESSAGE_BYTES, ProtocolDetector, WebSocketConnection
from relay.dependency_checks import CONNECTIONS, SERVER
from relay.errors import SchemaMissing, Unavailable
from relay.logs import quieten
from relay.settings import Settings
from relay.stream.change import ENDPOINTS
from relay.stream.encoding import HEARTBEAT_SECONDS
from relay.upstream.rest import Rest

logger = logging.getLogger(__name__)

SCHEMA_SECONDS: Final = 5.0


async def missing_schema(settings: Settings) -> str | None:
    """Return why the project lacks the schema; None if it has it, or does not answer now."""
    rest = Rest(settings.project.url, settings.project.key, settings.project.gateway_key)
    try:
        async with asyncio.timeout(SCHEMA_SECONDS):
            await rest.changes_since(None, epoch=None, page=1)
    except SchemaMissing as exc:
        return str(exc)
    except (Unavailable, TimeoutError):
        return None
    finally:
        await rest.close()
    return None


MOST_AT_ONCE: Final = 128
MOST_OPENING: Final = 1000  # TLS handshakes under way; the others wait in the kernel
HANDSHAKE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.1
WARN_SECONDS: Final = 60.0
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class _Accepted(socket.socket):
    """A socket that calls back once when asyncio or uvloop lets go of it."""

    def __init__(self, descriptor: int, gone: Callable[[], None]) -> None:
        super().__init__(fileno=descriptor)
        self._gone: Callable[[], None] | None = gone

    def close(self) -> None:
        """Let go of it, as asyncio does."""
        super().close()
        self._tell()

    def detach(self) -> int:
        """Let go of it, as uvloop does, which closes the descriptor itself."""
        descriptor = super().detach()
        self._tell()
        return descriptor

    def _tell(self) -> None:
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()


class Acceptor:
    """Hands connections of a listening socket to protocols until it is closed."""

    def __init__(
        self,
        listener: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        socket_limiter: SocketLimiter,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._factory = factory
        self._socket_limiter = socket_limiter
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._open = True
        self._listens = False
        self._warned_at = -WARN_SECONDS
        listener.setblocking(False)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted ones have it too
        self._listen()

    def close(self) -> None:
        """Accept no more."""
        if self._open:
            self._open = False
            self._stop_listening()

    async def wait_closed(self) -> None:
        """Wait until every accepted connection has its protocol."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _listen(self) -> None:
        if self._open and not self._listens:
            self._listens = True
            self._loop.add_reader(self._listener, self._accept)

    def _stop_listening(self) -> None:
        if self._listens:
            self._listens = False
            self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        for _ in range(MOST_AT_ONCE):
            if len(self._opening) >= MOST_OPENING:
                self._stop_listening()
                return
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:  # no descriptors are left
                logger.warning("accepting connections paused error=%r", str(exc))
                self._stop_listening()
                self._loop.call_later(PAUSE_SECONDS, self._listen)
                return
            try:
                place = self._socket_limiter.come(address[0])
            except LimitReached as exc:
                self._refuse(connection, exc)
                continue
            counted = _Accepted(connection.detach(), partial(self._socket_limiter.leave, place))
            task = self._loop.create_task(self._hand_over(counted), name="accepting")
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _refuse(self, connection: socket.socket, limit: LimitReached) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        connection.close()
        if self._loop.time() - self._warned_at >= WARN_SECONDS:
            self._warned_at = self._loop.time()
            logger.warning(
                "address limit reached, more connections are not accepted: raise"
                " RELAY_MAX_PER_ADDRESS or, if that is a proxy, name it in RELAY_TRUSTED_PROXIES"
                " limit=%r",
                str(limit),
            )

    async def _hand_over(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._factory,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else HANDSHAKE_SECONDS,
            )
        except OSError as exc:  # it left, or is no good at TLS
            logger.debug("connection could not be opened error=%r", str(exc))
            connection.close()

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("connection could not be opened", exc_info=error)
        self._listen()


GRACE_SECONDS = 3
BACKLOG = 4096


def run(settings: Settings, count: int = 1) -> int:
    """Serve with `count` processes until SIGTERM, Ctrl-C or a failure; return the exit status."""
    quieten()
    if (trouble := SERVER.trouble()) is not None:
        logger.critical("%s", trouble)
        return 1
    if (missing := asyncio.run(missing_schema(settings))) is not None:
        logger.critical("%s", missing)
        return 1
    listeners: list[socket.socket] = []
    try:
        for _ in range(count):
            port = listeners[0].getsockname()[1] if listeners else settings.server.port
            listeners.append(_listen(settings.server.host, port, shared=count > 1))
    except OSError as exc:
        logger.critical("%s", _refusal(settings, exc))
        return 1
    if count > 1:
        return supervisor.run(listeners)
    return run_on(settings, listeners[0])


def run_on(settings: Settings, listener: socket.socket) -> int:
    """Serve a listening socket as `run` does."""
    quieten()
    _allow_descriptors()
    failures: list[str] = []
    with listener:
        _log_settings(settings, listener)

        def stop(failure: str) -> None:
            failures.append(failure)
            server.should_exit = True

        server = server_of(settings, stop)
        _spare_collections()
        server.run(sockets=[listener])
    for failure in failures:
        logger.critical("stopped reason=%r", failure)
    return 1 if failures or not server.started else 0


def server_of(
    settings: Settings, on_failure: Callable[[str], None], *, through_asgi: bool = False
) -> "Server":
    """Make a server.

    Args:
        settings: The settings.
        on_failure: Called when a part of the relay died.
        through_asgi: Serve WebSockets through ASGI, as any other server would.
    """
    app = create_app(settings, on_failure=on_failure)
    return Server(
        app.state.sockets,
        uvicorn.Config(
            app,
            **_protocols(app.state.sockets, settings, through_asgi=through_asgi),
            ws_per_message_deflate=False,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_ping_interval=HEARTBEAT_SECONDS,
            ws_ping_timeout=HEARTBEAT_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=BACKLOG,
            ssl_certfile=settings.server.tls_certificate or None,
            ssl_keyfile=settings.server.tls_key or None,
            proxy_headers=False,  # the relay decides itself which proxy it believes
            log_config=None,
            log_level="warning",
            access_log=False,
        ),
    )


class Server(uvicorn.Server):
    """uvicorn's server, which drains WebSocket clients before it ends."""

    def __init__(self, clients: ConnectionRegistry, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._clients = clients

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accepts."""
        await super().startup([])
        protocol = partial(
            cast(Callable[..., asyncio.Protocol], self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        socket_limiter = self._clients.admission.socket_limiter
        acceptors = [
            Acceptor(each, protocol, socket_limiter, self.config.ssl) for each in sockets or ()
        ]
        self.servers = cast(list[asyncio.Server], acceptors)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, close the clients, then everything else."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        await self._clients.drain(lambda: self.force_exit)
        await super().shutdown(sockets)


def _protocols(
    sockets: ConnectionRegistry, settings: Settings, *, through_asgi: bool
) -> dict[str, Any]:
    troubles = [found for each in CONNECTIONS if (found := each.trouble()) is not None]
    for trouble in troubles:
        logger.warning("%s", trouble)
    if troubles:
        return {"http": "httptools", "ws": "websockets-sansio"}
    most = settings.clients.connections
    http = partial(ProtocolDetector, sockets, most, straight=not through_asgi)
    return {
        "http": http,
        "ws": "websockets-sansio" if through_asgi else partial(WebSocketConnection, sockets),
    }


def _log_settings(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    secure = "s" if settings.server.tls_certificate else ""
    logger.info("listening on http%s://%s", secure, address)
    for endpoint in ENDPOINTS:
        logger.info("endpoint ws%s://%s/ws/%s", secure, address, endpoint.name)
    project, period = settings.project, settings.delivery.catch_up_seconds
    logger.info("live lane configured lane=%s url=%s", project.live, project.realtime_url)
    logger.info("catch-up configured seconds=%g url=%s", period, project.url)
    logger.info("access control configured accepts=%r", _access(settings))


def _access(settings: Settings) -> str:
    if not settings.access.required:
        return "off, everybody who reaches the port may read everything"
    accepted = "ES256 and RS256" if settings.access.jwt_secret is None else "HS256, ES256, RS256"
    return f"tokens of {settings.issuer}, signed with {accepted}"


def _allow_descriptors() -> None:
    # Each connection takes one; the usual soft limit is 1024.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _spare_collections() -> None:
    # What there is now stays to the end. To look through it for garbage takes 50 ms, in which
    # nobody is served, and thousands who connect set that off again and again. Rows come and go
    # too fast to look after each 700.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _listen(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _refusal(settings: Settings, error: OSError) -> str:
    where = f"{settings.server.host}:{settings.server.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop the other program, or choose another --port or PORT"
    if error.errno == errno.EACCES:
        return f"{where} may not be opened by this user: choose a --port or PORT above 1023"
    return f"cannot listen on {where} ({error.strerror}): choose an address by --host or HOST"
