"""The stand-in for Supabase Realtime: postgres_changes and broadcast over Phoenix channels.

Presence and the replay of broadcasts are not imitated: who asks for them gets an error that says
so. Nor are the rate limit, cold starts, and tables that are published while a client is joined.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import TracebackType

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from emulator.identity import InvalidToken, Keys
from emulator.migrations import PARTITIONS
from emulator.realtime import messages, phoenix
from emulator.realtime.broadcasts import Listeners
from emulator.realtime.catalog import Connection
from emulator.realtime.changes import Change, Transactions
from emulator.realtime.channel import Channels
from emulator.realtime.delivery import Delivery
from emulator.realtime.replication import Retry, session_options, stream
from emulator.realtime.settings import RealtimeSettings, SettingsError
from emulator.realtime.socket import Session
from emulator.realtime.values import SESSION

__all__ = ["Realtime", "RealtimeSettings", "SettingsError"]

logger = logging.getLogger(__name__)

QUEUED_CHANGES = 20_000  # beyond that PostgreSQL keeps them
START_SECONDS = 30.0
POOL_CONNECTIONS = 4
UPKEEP_SECONDS = 3600.0
POOL_SECONDS = 10.0
STATEMENT_SECONDS = 15


class Realtime:
    """An async context manager: while it is entered, its routes serve changes.

    `dsn_replication` is a user who may replicate, `dsn_admin` one who may become every role. When
    a task of its own fails for good, the task that entered it is cancelled. Entering raises
    TimeoutError when changes cannot be streamed.
    """

    def __init__(
        self, dsn_replication: str, dsn_admin: str, keys: Keys, settings: RealtimeSettings
    ) -> None:
        self._dsn_replication = dsn_replication
        self._keys = keys
        self._settings = settings
        self._changes: asyncio.Queue[Change] = asyncio.Queue(QUEUED_CHANGES)
        options = {**SESSION, "statement_timeout": f"{STATEMENT_SECONDS}s"}
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn_admin,
            kwargs={"autocommit": True, "options": session_options(options)},
            min_size=1,
            max_size=POOL_CONNECTIONS,
            timeout=POOL_SECONDS,
            open=False,
            check=AsyncConnectionPool.check_connection,
        )
        self._delivery = Delivery(self._pool, self._changes, settings)
        self._listeners = Listeners()
        self._streaming, self._broadcasting = asyncio.Event(), asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Realtime:
        await self._pool.open()
        await self._tasks.__aenter__()
        self._running = [
            self._tasks.create_task(self._replicate(), name="realtime replication"),
            self._tasks.create_task(self._delivery.run(), name="realtime delivery"),
            self._tasks.create_task(self._broadcast(), name="realtime broadcast"),
            self._tasks.create_task(self._keep_partitions(), name="realtime partitions"),
        ]
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._streaming.wait()
                await self._broadcasting.wait()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._running:
            task.cancel()
        try:
            await self._tasks.__aexit__(kind, error, trace)
        finally:
            await self._pool.close()

    def routes(self) -> list[BaseRoute]:
        """What belongs under `/realtime/v1`."""
        return [
            WebSocketRoute("/websocket", self._connect),
            WebSocketRoute("/{path:path}", _unknown_path),
        ]

    async def _replicate(self) -> None:
        """Stream for ever. What is committed while there is no stream is lost without a word."""
        retry = Retry()
        while True:
            transactions = Transactions()
            self._streaming.clear()
            try:
                async for message in stream(
                    self._dsn_replication, self._settings.publication, self._streaming
                ):
                    retry.reset()
                    if (change := transactions.change(message)) is not None:
                        await self._changes.put(change)
            except psycopg.Error as error:
                logger.warning("replication interrupted: %s", str(error).strip())
            await retry.pause()

    async def _broadcast(self) -> None:
        """The same for realtime.messages, whose rows go out as soon as they are read."""
        retry = Retry()
        while True:
            rows = messages.Messages()
            self._broadcasting.clear()
            try:
                async for message in stream(
                    self._dsn_replication, messages.PUBLICATION, self._broadcasting
                ):
                    retry.reset()
                    if (row := rows.stored(message)) is not None:
                        self._listeners.deliver(row.topic, row.private, row.broadcast)
            except psycopg.Error as error:
                logger.warning("replication of broadcasts interrupted: %s", str(error).strip())
            await retry.pause()

    async def _keep_partitions(self) -> None:
        """Make and drop the days of realtime.messages for ever; a failure is tried again later."""
        while True:
            try:
                async with self._pool.connection() as connection:
                    await connection.execute(PARTITIONS.read_bytes())
            except (psycopg.Error, PoolTimeout) as error:
                logger.warning("no upkeep of realtime.messages: %s", str(error).strip())
            await asyncio.sleep(UPKEEP_SECONDS)

    async def _connect(self, websocket: WebSocket) -> None:
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
        except InvalidToken as error:
            await asyncio.sleep(self._settings.connect_refusal_ms / 1000)
            await _deny(websocket, JSONResponse({"error": str(error)}, 401))
            return
        await websocket.accept()
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
        await session.run()


async def _unknown_path(websocket: WebSocket) -> None:
    await _deny(websocket, PlainTextResponse("Not Found", 404))


async def _deny(websocket: WebSocket, response: Response) -> None:
    with contextlib.suppress(WebSocketDisconnect):  # the client did not wait for it
        await websocket.send_denial_response(response)
