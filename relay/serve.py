"""Runs the application under uvicorn until a signal or a failure ends it."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Literal, cast

import uvicorn

from relay.app import create_app
from relay.changes.endpoints import ENDPOINTS
from relay.changes.frames import HEARTBEAT_SECONDS
from relay.clients import surface
from relay.clients.incoming import MAX_BYTES
from relay.clients.protocol import RelayProtocol
from relay.clients.sockets import Sockets
from relay.settings import Settings

logger = logging.getLogger(__name__)

GRACE_SECONDS = 3
BACKLOG = 4096


def run(settings: Settings) -> int:
    """Serves until SIGTERM, Ctrl-C or the death of a part, and returns the exit status."""
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        logger.critical("%s", _refusal(settings, error))
        return 1
    _quieten()
    failures: list[str] = []
    with listener:
        _say_hello(settings, listener)

        def stop(failure: str) -> None:
            failures.append(failure)
            server.should_exit = True

        server = server_of(settings, stop)
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
    return Server(
        app.state.sockets,
        uvicorn.Config(
            app,
            ws="websockets-sansio" if through_asgi else _own_class(app.state.sockets),
            ws_per_message_deflate=False,
            ws_max_size=MAX_BYTES,
            ws_ping_interval=HEARTBEAT_SECONDS,
            ws_ping_timeout=HEARTBEAT_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=BACKLOG,
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting, closes the clients, then everything else."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        await self._clients.drain(lambda: self.force_exit)
        await super().shutdown(sockets)


def _own_class(sockets: Sockets) -> type[asyncio.Protocol] | Literal["websockets-sansio"]:
    trouble = surface.trouble()
    if trouble is None:
        return cast(type[asyncio.Protocol], partial(RelayProtocol, sockets))
    logger.warning("%s; WebSockets are served through ASGI, which takes more time", trouble)
    return "websockets-sansio"


def _say_hello(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    logger.info("listening on http://%s", address)
    for endpoint in ENDPOINTS:
        logger.info("endpoint ws://%s/ws/%s", address, endpoint.name)
    logger.info("live lane: %s of %s", settings.live, settings.realtime_url)
    logger.info("catch-up: every %g s from %s", settings.catch_up_seconds, settings.supabase_url)
    logger.info("access control: off, for this machine only")


def _quieten() -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # It logs each failed attempt, and what it did not understand with the row in it.
    logging.getLogger("realtime").setLevel(logging.CRITICAL)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _refusal(settings: Settings, error: OSError) -> str:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop the other program or choose another PORT"
    return f"cannot listen on {where}: {error.strerror}"
