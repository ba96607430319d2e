"""Runs the application under uvicorn until a signal or a failure ends it."""

import asyncio
import errno
import gc
import logging
import resource
import socket
from collections.abc import Callable
from functools import partial
from typing import Literal, cast

import uvicorn

from relay import workers
from relay.accepting import Acceptor
from relay.app import create_app
from relay.changes.endpoints import ENDPOINTS
from relay.changes.frames import HEARTBEAT_SECONDS
from relay.clients.arrival import Arrival
from relay.clients.incoming import MAX_BYTES
from relay.clients.protocol import RelayProtocol
from relay.clients.sockets import Sockets
from relay.logs import quieten
from relay.reliances import CONNECTIONS, SERVER
from relay.settings import Settings
from relay.upstream.start import missing_schema

logger = logging.getLogger(__name__)

Http = type[asyncio.Protocol] | Literal["httptools"]
WebSocket = type[asyncio.Protocol] | Literal["websockets-sansio"]

GRACE_SECONDS = 3
BACKLOG = 4096


def run(settings: Settings, count: int = 1) -> int:
    """Serves with so many processes until SIGTERM, Ctrl-C or the death of a part, and returns the
    exit status."""
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
            port = listeners[0].getsockname()[1] if listeners else settings.port
            listeners.append(_listen(settings.host, port, shared=count > 1))
    except OSError as error:
        logger.critical("%s", _refusal(settings, error))
        return 1
    if count > 1:
        return workers.run(listeners)
    return run_on(settings, listeners[0])


def run_on(settings: Settings, listener: socket.socket) -> int:
    """Serves the listening socket, as `run` does."""
    quieten()
    _allow_descriptors()
    failures: list[str] = []
    with listener:
        _say_hello(settings, listener)

        def stop(failure: str) -> None:
            failures.append(failure)
            server.should_exit = True

        server = server_of(settings, stop)
        _spare_collections()
        server.run(sockets=[listener])
    for failure in failures:
        logger.critical("stopped: %s", failure)
    return 1 if failures or not server.started else 0


def server_of(
    settings: Settings, on_failure: Callable[[str], None], *, through_asgi: bool = False
) -> "Server":
    """A server that has not started; `on_failure` is called when a part of the relay died.

    With `through_asgi` it serves WebSockets as any other server would.
    """
    app = create_app(settings, on_failure=on_failure)
    certificate, private_key = settings.certificate or (None, None)
    http, ws = _classes(app.state.sockets, settings, through_asgi=through_asgi)
    return Server(
        app.state.sockets,
        uvicorn.Config(
            app,
            http=http,
            ws=ws,
            ws_per_message_deflate=False,
            ws_max_size=MAX_BYTES,
            ws_ping_interval=HEARTBEAT_SECONDS,
            ws_ping_timeout=HEARTBEAT_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=BACKLOG,
            ssl_certfile=certificate,
            ssl_keyfile=private_key,
            proxy_headers=False,  # the relay decides itself which proxy it believes
            log_config=None,
            log_level="warning",
            access_log=False,
        ),
    )


class Server(uvicorn.Server):
    """Lets the clients of WebSockets go one after the other before it ends."""

    def __init__(self, clients: Sockets, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._clients = clients

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application, then accepts."""
        await super().startup([])
        protocol = partial(
            cast(Callable[..., asyncio.Protocol], self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        doorstep = self._clients.entrance.doorstep
        acceptors = [Acceptor(each, protocol, doorstep, self.config.ssl) for each in sockets or ()]
        self.servers = cast(list[asyncio.Server], acceptors)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting, closes the clients, then everything else."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        await self._clients.drain(lambda: self.force_exit)
        await super().shutdown(sockets)


def _classes(sockets: Sockets, settings: Settings, *, through_asgi: bool) -> tuple[Http, WebSocket]:
    troubles = [found for each in CONNECTIONS if (found := each.trouble()) is not None]
    for trouble in troubles:
        logger.warning("%s", trouble)
    if troubles:
        return "httptools", "websockets-sansio"
    most = settings.access.limits.connections
    http = partial(Arrival, sockets, most, straight=not through_asgi)
    ws = "websockets-sansio" if through_asgi else partial(RelayProtocol, sockets)
    return cast(Http, http), cast(WebSocket, ws)


def _say_hello(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    secure = "s" if settings.certificate else ""
    logger.info("listening on http%s://%s", secure, address)
    for endpoint in ENDPOINTS:
        logger.info("endpoint ws%s://%s/ws/%s", secure, address, endpoint.name)
    logger.info("live lane: %s of %s", settings.live, settings.realtime_url)
    logger.info("catch-up: every %g s from %s", settings.catch_up_seconds, settings.supabase_url)
    logger.info("access control: %s", _access(settings))


def _access(settings: Settings) -> str:
    if not settings.access.required:
        return "off, everybody who reaches the port may read everything"
    accepted = "ES256 and RS256" if settings.access.jwt_secret is None else "HS256, ES256, RS256"
    return f"tokens of {settings.access.issuer}, signed with {accepted}"


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
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop the other program, or choose another --port or PORT"
    if error.errno == errno.EACCES:
        return f"{where} may not be opened by this user: choose a --port or PORT above 1023"
    return f"cannot listen on {where} ({error.strerror}): choose an address by --host or HOST"
