"""A project that is written to all the time, and a client that notes what reaches it."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from emulator.database import Database
from emulator.realtime import RealtimeSettings
from emulator.running import Emulator
from emulator.settings import Settings

DEADLINE_SECONDS = 15
TICK_SECONDS = 0.01
TABLES = """
create table ticks (id bigint primary key, note text);
create table others (id bigint primary key, note text);
create table owned (id bigint primary key, owner uuid);
alter table ticks enable row level security;
alter table others enable row level security;
alter table owned enable row level security;
create policy ticks_all on ticks for select to anon, authenticated using (true);
create policy others_all on others for select to anon, authenticated using (true);
create policy owned_own on owned for select to authenticated using (auth.uid() = owner);
grant all on ticks, others, owned to anon, authenticated, service_role;
alter publication supabase_realtime add table ticks, others, owned;
"""
TICKS = {"event": "*", "schema": "public", "table": "ticks"}
OTHERS = {"event": "*", "schema": "public", "table": "others"}
OWNED = {"event": "*", "schema": "public", "table": "owned"}
SYNCHRONOUS = "-c synchronous_commit=on"  # the stream only has what is written out


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def project(database: Database) -> Database:
    """The project's database with tables for this."""
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute(TABLES)
    return database


@dataclass
class Client:
    """A raw client that notes everything it gets; `reset` is how the connection ended."""

    connection: ClientConnection
    ids: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)  # of the changes with these ids
    told: list[dict[str, Any]] = field(default_factory=list)
    closed: int | None = None
    reset: bool | None = None
    reader: asyncio.Task[None] = field(init=False)
    refs: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while True:
                self._take(json.loads(await self.connection.recv()))
        except ConnectionClosed as exc:
            self.reset = getattr(exc.__cause__, "errno", None) == errno.ECONNRESET
            self.closed = 1006 if exc.rcvd is None else exc.rcvd.code

    def _take(self, frame: dict[str, Any]) -> None:
        payload = frame["payload"]
        if frame["event"] == "postgres_changes":
            data = payload["data"]
            self.ids.append((data.get("record") or data["old_record"])["id"])
            self.types.append(data["type"])
        elif frame["event"] == "broadcast":
            self.ids.append(payload["payload"]["id"])
        else:
            self.told.append(frame)

    async def send(self, topic: str, event: str, payload: object) -> str:
        ref = str(next(self.refs))
        frame = {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": ref}
        await self.connection.send(json.dumps(frame))
        return ref

    async def start_join(self, topic: str, *bindings: object, **config: object) -> str:
        wanted = {"postgres_changes": list(bindings), **config}
        return await self.send(f"realtime:{topic}", "phx_join", {"config": wanted})

    async def join(self, topic: str, *bindings: object, **config: object) -> None:
        """Return when the bindings count; what was told until then is forgotten."""
        ref = await self.start_join(topic, *bindings, **config)
        await until(lambda: any(f["ref"] == ref for f in self.told))
        if bindings:
            await until(lambda: self.systems(topic) == ["ok"])
        self.told.clear()

    def systems(self, topic: str) -> list[str]:
        """The status of each system message to a topic so far."""
        return [
            frame["payload"]["status"]
            for frame in self.told
            if frame["event"] == "system" and frame["topic"] == f"realtime:{topic}"
        ]

    async def is_answered(self) -> bool:
        """Whether the socket is open and a heartbeat comes back."""
        ref = await self.send("phoenix", "heartbeat", {})
        await until(lambda: any(frame["ref"] == ref for frame in self.told))
        self.told.pop()
        return self.closed is None


def is_reset(url: str, request: bytes) -> bool:
    """Whether the answer to a request is a RST, and not the end of the stream."""
    place = urlsplit(url)
    address = (place.hostname or "", place.port or 0)
    with socket.create_connection(address, DEADLINE_SECONDS) as connection:
        connection.sendall(request)
        try:
            assert connection.recv(1) == b"", "an answer"
        except ConnectionResetError:
            return True
    return False


async def until(condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until something has become so, however it comes about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event for everything
            await asyncio.sleep(0.005)


@dataclass
class Ledger:
    """What a writer has committed while it ran, in order."""

    committed: list[int] = field(default_factory=list)

    def lost(self, client: Client) -> list[int]:
        """What was committed, but did not come although something later did."""
        arrived = set(client.ids)
        newest = max(arrived, default=0)
        return [id_ for id_ in self.committed if id_ < newest and id_ not in arrived]

    async def written(self, count: int) -> int:
        """Return when `count` more rows are committed, with the last of them."""
        wanted = len(self.committed) + count
        await until(lambda: len(self.committed) >= wanted)
        return self.committed[-1]

    async def healed(self, client: Client) -> None:
        """Return when the client has got a row that is committed from now on."""
        now = len(self.committed)
        await until(lambda: any(id_ in client.ids for id_ in self.committed[now:]))


@asynccontextmanager
async def writing(database: Database, statement: str) -> AsyncIterator[Ledger]:
    """Execute `statement` with numbers from 1 on all the time; goes on when PostgreSQL is back."""
    ledger = Ledger()
    task = asyncio.create_task(_write(database, statement, ledger))
    try:
        yield ledger
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _write(database: Database, statement: str, ledger: Ledger) -> None:
    numbers = itertools.count(1)
    while True:
        with suppress(psycopg.OperationalError):
            async with await psycopg.AsyncConnection.connect(
                database.dsn(), autocommit=True, options=SYNCHRONOUS
            ) as connection:
                for number in numbers:
                    await connection.execute(statement.encode(), {"n": number})
                    ledger.committed.append(number)
                    await asyncio.sleep(TICK_SECONDS)
        await asyncio.sleep(TICK_SECONDS)


TICKING = "insert into ticks (id) values (%(n)s)"


@dataclass
class Ground:
    """A served project, and clients that leave with it."""

    emulator: Emulator
    stack: AsyncExitStack

    async def client(self, key: str | None = None) -> Client:
        address = self.emulator.url.replace("http", "ws", 1) + "/realtime/v1/websocket"
        query = f"vsn=1.0.0&apikey={key or self.emulator.keys.publishable}"
        connection = await self.stack.enter_async_context(
            connect(f"{address}?{query}", proxy=None, close_timeout=0.2, ping_interval=None)
        )
        return Client(connection)

    def user(self, subject: str, seconds: int = 3600) -> str:
        return self.emulator.keys.mint("authenticated", subject=subject, seconds=seconds)

    async def count(self, table: str) -> int:
        """How many rows are committed."""
        async with await psycopg.AsyncConnection.connect(self.emulator.dsn()) as connection:
            cursor = await connection.execute(f"select count(*) from {table}".encode())  # noqa: S608
            row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def sql(self, *statements: str, user: str = "postgres") -> None:
        """Each in a transaction of its own."""
        async with await psycopg.AsyncConnection.connect(
            self.emulator.dsn(user), autocommit=True, options=SYNCHRONOUS
        ) as connection:
            for statement in statements:
                await connection.execute(statement.encode())


def scaled(**settings: Any) -> RealtimeSettings:
    """Delays of the real server's order, but short."""
    short: dict[str, Any] = {
        "poll_ms": 5,
        "join_ms": 0,
        "cold_join_ms": 0,
        "token_ms": 50,
        "connect_refusal_ms": 0,
        "join_refusal_ms": 0,
        "poll_retry_ms": 20,
        "reconnect_ms": 200,
        "longest_reconnect_ms": 400,
        "cold_broadcast_ms": None,
        "broadcast_reconnect_ms": 300,
        "unsubscribe_ms": 0,
    }
    return RealtimeSettings(**{**short, **settings})


@asynccontextmanager
async def serving(database: Database, realtime: RealtimeSettings) -> AsyncIterator[Ground]:
    """The project, served with these settings."""
    async with (
        Emulator.start(database, settings=Settings(realtime=realtime)) as emulator,
        AsyncExitStack() as stack,
    ):
        yield Ground(emulator, stack)


@pytest.fixture
async def ground(project: Database) -> AsyncIterator[Ground]:
    async with serving(project, scaled()) as ground:
        yield ground
