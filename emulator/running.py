"""Serves an emulated project over HTTP, from a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio.to_thread
import psycopg
import uvicorn
from starlette.routing import BaseRoute, Mount

from emulator import auth, rest
from emulator.app import create_app
from emulator.cluster import SUPERUSER
from emulator.database import Database
from emulator.faults import Faults, actions
from emulator.identity import Keys
from emulator.postgres import Postgres
from emulator.project import MountPoint, Project
from emulator.realtime import Realtime
from emulator.realtime.settings import RealtimeSettings
from emulator.settings import Settings
from emulator.wire import HttpConnection, WebSocketConnection


@asynccontextmanager
async def mount_realtime(project: Project) -> AsyncIterator[Sequence[BaseRoute]]:
    """Serve /realtime/v1 while it is entered."""
    database = project.database
    served = Realtime(
        database.dsn("postgres"),
        database.dsn(SUPERUSER),
        project.keys,
        project.settings.realtime,
        project.faults,
    )
    async with served:
        yield [Mount("/realtime/v1", routes=served.routes())]


# What every emulated project serves.
MOUNTS: tuple[MountPoint, ...] = (rest.mount, auth.mount, mount_realtime, actions.mount)


logger = logging.getLogger(__name__)

GRACE_SECONDS = 1
START_SECONDS = 30.0
BACKLOG = 2048


class ServingFailed(Exception):
    """The emulator could not serve, or stopped doing so; the message says why."""


@dataclass
class Emulator:
    """A served project. Use `start`, or `running` in code without an event loop."""

    project: Project
    listener: socket.socket = field(repr=False)
    ended: threading.Event = field(repr=False)
    mounts: Sequence[MountPoint] = field(default=MOUNTS, repr=False)
    _failures: list[str] = field(default_factory=list, init=False, repr=False)
    _server: uvicorn.Server | None = field(default=None, init=False, repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False, repr=False)
    _opening: asyncio.Task[None] | None = field(default=None, init=False, repr=False)
    _stopping: bool = field(default=False, init=False, repr=False)

    @property
    def url(self) -> str:
        """Address of the project, as SUPABASE_URL wants it."""
        return self.project.url

    @property
    def keys(self) -> Keys:
        """API keys, and `mint` for users' tokens."""
        return self.project.keys

    @property
    def faults(self) -> Faults:
        """What misbehaves on purpose; nothing until it is switched on here."""
        return self.project.faults

    @property
    def database(self) -> Database:
        """The project's database."""
        return self.project.database

    @property
    def postgres(self) -> Postgres:
        """The server that the database is on."""
        return self.project.database.server

    @property
    def failure(self) -> str | None:
        """Why it stopped by itself, once `ended` is set; None after a regular stop."""
        return self._failures[0] if self._failures else None

    def dsn(self, user: str = "postgres", dbname: str | None = None) -> str:
        """Connection string for `user`, to the project's database or to `dbname`."""
        return self.postgres.dsn(user, dbname or self.database.name)

    def fail(self, reason: str) -> None:
        """Stop serving; `failure` will be `reason`. For any thread."""
        self._failures.append(reason)
        self._stop()

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        database: Database,
        *,
        keys: Keys | None = None,
        settings: Settings | None = None,
    ) -> AsyncIterator[Emulator]:
        """Serve `database` on a free loopback port; `settings` default to no imitated delays."""
        stack = contextlib.ExitStack()
        running = cls.running(database, keys=keys, settings=settings)
        emulator = await anyio.to_thread.run_sync(stack.enter_context, running)
        try:
            yield emulator
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(stack.close)

    @classmethod
    @contextlib.contextmanager
    def running(
        cls,
        database: Database,
        *,
        keys: Keys | None = None,
        settings: Settings | None = None,
        listener: socket.socket | None = None,
        ended: threading.Event | None = None,
        mounts: Sequence[MountPoint] = MOUNTS,
    ) -> Iterator[Emulator]:
        """Serve `database` until the block ends. Raises ServingFailed when it cannot begin.

        `mounts` may be less than all. `ended` is set when serving is over, be it by `fail` or by
        the end of the block.
        """
        require(database)
        listener = listener or listen("127.0.0.1", 0)
        project = Project(
            database=database,
            keys=keys or Keys.generate(),
            settings=settings or Settings(realtime=RealtimeSettings.prompt()),
            url=address(listener),
        )
        emulator = cls(project, listener, ended or threading.Event(), mounts)
        ready = threading.Event()
        thread = threading.Thread(target=emulator._run, args=(ready,), name="emulator", daemon=True)
        thread.start()
        try:
            if not ready.wait(START_SECONDS):
                raise ServingFailed(f"not ready after {START_SECONDS:g} s, see the log")
            if emulator.failure:
                raise ServingFailed(emulator.failure)
            yield emulator
        finally:
            emulator._stop()
            thread.join()

    def _stop(self) -> None:
        self._stopping = True
        if self._server is not None:
            self._server.should_exit = True
        elif self._loop is not None and self._opening is not None:
            self._loop.call_soon_threadsafe(self._opening.cancel)

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except asyncio.CancelledError:
            logger.debug("stopped before it served")
        except Exception as exc:  # last resort: whoever waits has to be told
            logger.debug("serving failed", exc_info=True)
            self._failures.append("; ".join(_reasons(exc)))
        finally:
            self.listener.close()
            self.ended.set()
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._opening, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:
            routes: list[BaseRoute] = []
            for mount in self.mounts:
                routes += await stack.enter_async_context(mount(self.project))
            self._server = server = _Server(configuration(self.keys, routes, self.faults), ready)
            if self._stopping:  # before there was a server to tell
                server.should_exit = True
            serving = asyncio.create_task(server.serve([self.listener]), name="serve")
            try:
                await asyncio.shield(serving)
            finally:  # a part may have died: its context cancels us, and serving ends in order
                server.should_exit = True
                await serving


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


def configuration(keys: Keys, routes: Sequence[BaseRoute], faults: Faults) -> uvicorn.Config:
    """How uvicorn serves: no WebSocket pings or compression, since the real server has neither."""
    return uvicorn.Config(
        create_app(keys, routes, faults),
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        http=HttpConnection,
        ws=WebSocketConnection,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def require(database: Database) -> None:
    """Raise ServingFailed unless `database` can be connected to: the mounts would try for ever."""
    try:
        psycopg.connect(database.dsn("authenticator"), connect_timeout=5).close()
    except psycopg.OperationalError as exc:
        raise ServingFailed(f"no connection to the database: {str(exc).strip()}") from exc


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ServingFailed: The port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        message = f"cannot listen on {host} port {port}: {os.strerror(exc.errno or 0)}"
        remedy = "choose another port with --port or EMULATOR_PORT"
        raise ServingFailed(f"{message}; {remedy}") from exc
    # Connections inherit it; without it answers in two writes wait 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address(listener: socket.socket) -> str:
    """The URL that `listener` serves."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _reasons(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [reason for inner in error.exceptions for reason in _reasons(inner)]
    return [f"{type(error).__name__}: {error}"]
