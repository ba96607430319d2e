"""A whole relay in the test's own loop, and clients of its WebSockets."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import httpx
import psycopg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from emulator.running import Emulator
from relay.connections.registry import ConnectionRegistry
from relay.server import Server, server_of
from relay.settings import Settings
from relay.stream.encoding import SUBPROTOCOL

SECONDS = 60.0
THROUGH_ASGI = ContextVar("THROUGH_ASGI", default=False)
"""Whether relays serve WebSockets as any other server would."""
Frame = dict[str, Any]


class _Server(Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Running:
    """A relay that serves; `host` is its address and port."""

    def __init__(self, host: str, server: Server) -> None:
        self.host = host
        self._server = server

    def stop(self) -> None:
        """Tells it to end, as a signal would."""
        self._server.should_exit = True

    def connections(self) -> list[object]:
        """What serves its connections."""
        return list(self._server.server_state.connections)

    def sockets(self) -> ConnectionRegistry:
        """Its clients, and who counts them."""
        return self._server._clients

    def follow(
        self, path: str, *, events: bool = True, subprotocol: str = SUBPROTOCOL, **options: Any
    ) -> connect:
        """A connection to `/ws/{path}`, in relay.v1 or as bare rows."""
        return connect(
            f"ws://{self.host}/ws/{path}",
            subprotocols=[Subprotocol(subprotocol)] if events else None,
            proxy=None,
            **options,
        )

    async def health(self) -> Frame:
        """What /readyz answers."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            found: Frame = (await client.get(f"http://{self.host}/readyz")).json()
        return found

    async def until(self, condition: Callable[[Frame], bool]) -> Frame:
        """The first answer of /readyz that is as wanted."""
        async with asyncio.timeout(SECONDS):
            while not condition(health := await self.health()):  # noqa: ASYNC110 over HTTP
                await asyncio.sleep(0.02)
        return health


@asynccontextmanager
async def relay_of(emulator: Emulator, **variables: str) -> AsyncIterator[Running]:
    """A relay that follows the emulator, on a free port unless PORT says; none of its parts may
    die."""
    env = {
        "SUPABASE_URL": emulator.url,
        "SUPABASE_SECRET_KEY": emulator.keys.secret,
        "SUPABASE_PUBLISHABLE_KEY": emulator.keys.publishable,
        "RELAY_AUTH": "off",
    }
    failures: list[str] = []
    settings = Settings.from_env(env | variables)
    server = server_of(settings, failures.append, through_asgi=THROUGH_ASGI.get())
    server.__class__ = _Server
    where = ("127.0.0.1", int(variables.get("PORT", "0")))
    with socket.create_server(where, backlog=1024) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield Running(f"127.0.0.1:{listener.getsockname()[1]}", server)
        finally:
            server.should_exit = True
            await serving
    assert failures == []


@asynccontextmanager
async def live_relay(emulator: Emulator, **variables: str) -> AsyncIterator[Running]:
    """A relay whose live lane is proven."""
    async with relay_of(emulator, **variables) as relay:
        await relay.until(lambda health: health["upstream"] == "live")
        yield relay


async def frame(client: ClientConnection) -> Frame:
    """The next message."""
    async with asyncio.timeout(SECONDS):
        found: Frame = json.loads(await client.recv())
    return found


async def change(client: ClientConnection) -> Frame:
    """The next message of relay.v1 that is about a row."""
    while (found := await frame(client))["type"] in ("status", "cursor"):
        pass
    return found


async def greeted(client: ClientConnection) -> list[Frame]:
    """Everything up to `synced`, but for the state of the relay itself."""
    found: list[Frame] = []
    while not found or found[-1]["type"] != "synced":
        found.append(await change(client))
    return found


class Tables:
    """Writes rows by SQL, as the worker would."""

    def __init__(self, emulator: Emulator) -> None:
        self._connection = psycopg.connect(emulator.dsn("postgres"), autocommit=True)
        self._count = 0

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def execute(self, statement: str, *values: Any) -> Any:
        """The first column of the first row that it returns, if any."""
        cursor = self._connection.execute(statement.encode(), values)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def hotspot(self, severity: str = "warn", status: str = "active") -> int:
        """The id of a new hotspot."""
        self._count += 1
        found: int = self.execute(
            "insert into hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
            " percent_above, severity, status)"
            " values (%s, 'supplier', 'logistics', 12.5, 10, 25, %s, %s) returning id",
            f"SUP-{self._count}",
            severity,
            status,
        )
        return found

    def alert(self, hotspot: int, level: str = "warn") -> int:
        """The id of a new alert."""
        found: int = self.execute(
            "insert into alerts (hotspot_id, level, message) values (%s, %s, 'text') returning id",
            hotspot,
            level,
        )
        return found

    def recommendation(self, hotspot: int) -> int:
        """The id of a new recommendation."""
        found: int = self.execute(
            "insert into recommendations (hotspot_id, action, co2_reduction)"
            " values (%s, 'drive slower', 2.5) returning id",
            hotspot,
        )
        return found
