"""The stand-in for Supabase Realtime: postgres_changes and broadcast over Phoenix channels.

Presence and the replay of broadcasts are not imitated: who asks for them gets an error that says
so. Changes are lost as the real server loses them; emulator/README.md lists when.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from types import TracebackType

import psycopg
from psycopg_pool import PoolTimeout
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from emulator import wire
from emulator.faults import Faults, gate
from emulator.faults.sockets import Sockets
from emulator.identity import InvalidToken, Keys
from emulator.migrations import PARTITIONS
from emulator.pool import CheckedPool
from emulator.realtime import messages, phoenix, publication
from emulator.realtime.broadcasts import Listeners
from emulator.realtime.channel import Channels
from emulator.realtime.delivery import Delivery
from emulator.realtime.feed import Feed
from emulator.realtime.pgoutput import Commit
from emulator.realtime.policies import Policies
from emulator.realtime.posted import Posted
from emulator.realtime.rate import RateCounter
from emulator.realtime.replication import session_options, stream
from emulator.realtime.settings import RealtimeSettings, SettingsError
from emulator.realtime.socket import Session
from emulator.realtime.values import SESSION

__all__ = ["Realtime", "RealtimeSettings", "SettingsError"]

logger = logging.getLogger(__name__)

JSON = "application/json; charset=utf-8"
START_SECONDS = 30.0
POOL_CONNECTIONS = 4
UPKEEP_SECONDS = 3600.0
SPREAD_ROWS = 100  # of one transaction, that large ones need no room
# After that the pool gives up, and tries anew for the next who asks: at once when all is well.
RECONNECT_SECONDS = 1.0
BROADCASTS = "realtime_broadcast"
TENANT_PATIENCE = 1.5  # times as long as others wait for a connection


class Realtime:
    """An async context manager: while it is entered, its routes serve changes.

    `dsn_replication` is a user who may replicate, `dsn_admin` one who may become every role. When
    a task of its own fails for good, the task that entered it is cancelled. Entering raises
    TimeoutError when changes cannot be streamed.
    """

    def __init__(
        self,
        dsn_replication: str,
        dsn_admin: str,
        keys: Keys,
        settings: RealtimeSettings,
        faults: Faults | None = None,
    ) -> None:
        self._dsn_replication = dsn_replication
        self._keys = keys
        self._settings = settings
        timeout_ms = max(1, round(settings.poll_seconds * 1000))
        options = {**SESSION, "statement_timeout": f"{timeout_ms}ms"}
        self._pool = CheckedPool(
            dsn_admin,
            kwargs={
                "autocommit": True,
                "application_name": "realtime_subscription_manager",
                "options": session_options(options),
            },
            min_size=1,
            max_size=POOL_CONNECTIONS,
            timeout=settings.database_ms / 1000,
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
        )
        self._faults = Faults() if faults is None else faults
        self._feed = Feed(dsn_replication, settings, self._faults)
        self._delivery = Delivery(self._pool, self._feed, settings, self._faults)
        self._listeners = Listeners(
            RateCounter(settings.rate_limit, settings.rate_tick_seconds, time.monotonic)
        )
        self._sockets = Sockets(self._faults)
        self._stack = contextlib.ExitStack()
        self._tasks = asyncio.TaskGroup()
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Realtime:
        self._stack.enter_context(self._sockets.following())
        await self._pool.open()
        await self._tasks.__aenter__()
        self._running = [
            self._tasks.create_task(
                self._feed.run(self._delivery.forget_all), name="realtime replication"
            ),
            self._tasks.create_task(
                publication.watch(self._pool, self._settings, self._delivery.renew_all),
                name="realtime publication",
            ),
            self._tasks.create_task(self._delivery.run(), name="realtime delivery"),
            self._tasks.create_task(self._broadcast(), name="realtime broadcast"),
            self._tasks.create_task(self._keep_partitions(), name="realtime partitions"),
        ]
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._feed.running.wait()
                if self._settings.cold_broadcast_ms is None:
                    await self._listeners.replicating.wait()
        except BaseException as exc:
            await self.__aexit__(type(exc), exc, exc.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        for task in self._running:
            task.cancel()
        try:
            await self._tasks.__aexit__(kind, error, trace)
        finally:
            await self._pool.close()

    def routes(self) -> list[BaseRoute]:
        """What belongs under `/realtime/v1`."""
        posted = Posted(self._keys.identify, Policies(self._pool), self._listeners)
        return [
            WebSocketRoute("/websocket", self._connect),
            Mount("/api", routes=posted.routes()),
            WebSocketRoute("/{path:path}", _unknown_path),
        ]

    async def _broadcast(self) -> None:
        """Stream realtime.messages for ever, whose rows go out as soon as they are read.

        The first stream begins some time after the first join was answered. What is committed
        while there is no stream is lost without a word.
        """
        replicating = self._listeners.replicating
        if (cold_ms := self._settings.cold_broadcast_ms) is not None:
            await self._listeners.wanted.wait()
            await asyncio.sleep(cold_ms / 1000)
        while True:
            rows, batch = messages.Messages(), list[messages.Stored]()
            try:
                async for message in stream(
                    self._dsn_replication, messages.PUBLICATION, replicating, BROADCASTS
                ):
                    if (row := rows.stored(message)) is not None:
                        batch.append(row)
                    if batch and (isinstance(message, Commit) or len(batch) == SPREAD_ROWS):
                        await self._spread(batch)
                        batch.clear()
            except psycopg.Error as exc:
                logger.warning("replication of broadcasts interrupted error=%r", str(exc).strip())
            replicating.clear()
            await asyncio.sleep(self._settings.broadcast_reconnect_ms / 1000)

    async def _spread(self, rows: Sequence[messages.Stored]) -> None:
        passages = [gate.Passage(row, row.broadcast.id) for row in rows]
        passing = gate.passing(self._faults, "broadcast", passages)
        if seconds := gate.late(self._faults, "broadcast", len(passing)):
            await asyncio.sleep(seconds)
        for row in passing:
            self._listeners.deliver(row.topic, row.private, row.broadcast)

    async def _keep_partitions(self) -> None:
        """Make and drop the days of realtime.messages for ever; a failure is tried again later."""
        while True:
            try:
                async with self._pool.connection() as connection:
                    await connection.execute(PARTITIONS.read_bytes())
            except (psycopg.Error, PoolTimeout) as exc:
                logger.warning("upkeep of realtime.messages failed error=%r", str(exc).strip())
            await asyncio.sleep(UPKEEP_SECONDS)

    async def _tenant_is_known(self) -> bool:
        """From memory for a while, then only with the database."""
        if self._feed.away_seconds() < self._settings.tenant_seconds:
            return True
        try:
            async with self._pool.connection(self._settings.database_ms * TENANT_PATIENCE / 1000):
                return True
        except (psycopg.OperationalError, PoolTimeout):
            return False

    async def _connect(self, websocket: WebSocket) -> None:
        for refusal in self._faults.active("refuse"):
            if self._faults.hit(refusal):
                await _refuse(websocket, refusal.options["status"])
                return
        query = websocket.query_params
        vsn = phoenix.version(query.get("vsn"))
        if vsn is None:
            await _deny(websocket, Response(status_code=403))
            return
        headers = websocket.headers
        key = headers.get("x-api-key") or headers.get("apikey") or query.get("apikey")
        try:
            if key is None:
                raise InvalidToken("API key is missing", "malformed")
            self._keys.identify(key)
        except InvalidToken as exc:
            await asyncio.sleep(self._settings.connect_refusal_ms / 1000)
            await _deny(websocket, JSONResponse({"error": str(exc)}, 401, media_type=JSON))
            return
        if not await self._tenant_is_known():
            await _deny(websocket, HTMLResponse("Internal Server Error", 500))
            return
        await websocket.accept()
        connection = wire.websocket(websocket.scope)
        channels = Channels(key, self._keys.identify, self._settings.max_channels)
        session = Session(
            websocket,
            vsn,
            channels,
            self._delivery,
            self._listeners,
            self._pool,
            self._settings,
            self._keys.clock,
        )
        with self._sockets.open(connection):
            await session.run()


async def _refuse(websocket: WebSocket, status: int) -> None:
    if status:
        await _deny(websocket, PlainTextResponse("", status))
        return
    wire.websocket(websocket.scope).line.cut()
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass  # the server has to notice


async def _unknown_path(websocket: WebSocket) -> None:
    await _deny(websocket, HTMLResponse("Not Found", 404))


async def _deny(websocket: WebSocket, response: Response) -> None:
    with contextlib.suppress(WebSocketDisconnect):  # the client did not wait for it
        await websocket.send_denial_response(response)
