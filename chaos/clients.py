"""Clients that reconnect as a browser does, around what their applications hold."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import NoReturn, Protocol
from urllib.parse import quote

from chaos.application import Application, BareRows, Taken
from chaos.arrivals import Arrivals
from chaos.connection import Connection, connect
from chaos.frames import Message
from chaos.incidents import Incidents
from chaos.relays import Relay
from chaos.subscriptions import Subscription

SUBPROTOCOL = "relay.v1"
FIRST_PAUSE_SECONDS = 0.5
CONNECT_SECONDS = 10.0
GREETING_SECONDS = 15.0
AFTER_STALL_SECONDS = 2.0  # to read what has come meanwhile
OLD_CURSORS = 8
REFILL = "last=1000"
NEVER = float("inf")


class Format(Protocol):
    """What differs between relay.v1 and bare rows."""

    subprotocol: str | None
    ends: bool  # it tells when a row leaves the filter

    def query(self) -> str:
        """The parameters to come with."""

    def promised_from(self, ready_at: float) -> float:
        """From when on it gets everything, if it has been ready since `ready_at`."""

    def opened(self) -> bool:
        """The connection is there; whether that is enough to get everything from now on."""

    def receive(self, text: str) -> tuple[Taken | None, bool | None]:
        """A frame: what was taken, and whether it makes the client ready, or unready."""

    def go_back(self, chance: random.Random) -> None:
        """Take an older place than need be."""

    def forget_place(self) -> None:
        """Come without one."""


class Events:
    """relay.v1, with a cursor."""

    subprotocol: str | None = SUBPROTOCOL
    ends = True

    def __init__(self, wanted: Subscription, incidents: Incidents, name: str) -> None:
        self.application = Application(
            wanted, lambda kind, what: incidents.note(kind, _who(name, kind, what))
        )
        self._cursors = deque[str](maxlen=OLD_CURSORS)

    def query(self) -> str:
        """The cursor, if there is one."""
        cursor = self.application.connected()
        return "" if cursor is None else f"cursor={quote(cursor)}"

    def promised_from(self, ready_at: float) -> float:
        """All the time: a reset tells of another history."""
        return ready_at

    def opened(self) -> bool:
        """What was missed comes first."""
        return False

    def receive(self, text: str) -> tuple[Taken | None, bool | None]:
        """Ready from `synced` to the next reset."""
        found = self.application.take(text)
        if not isinstance(found, Message):
            return found, None
        if found.type in ("synced", "cursor") and self.application.cursor is not None:
            self._cursors.append(self.application.cursor)
        if found.type in ("hello", "reset") and self.application.cursor is None:
            self._cursors.clear()
        return None, self.application.synced

    def go_back(self, chance: random.Random) -> None:
        """Take one of the last cursors."""
        if self._cursors:
            self.application.cursor = chance.choice(self._cursors)

    def forget_place(self) -> None:
        """As a page that was opened anew."""
        self.application.cursor = None
        self._cursors.clear()


class Rows:
    """Bare rows, refilled at each connection."""

    subprotocol: str | None = None
    ends = False

    def __init__(self, wanted: Subscription, incidents: Incidents, name: str) -> None:
        self.application = BareRows(
            wanted, lambda kind, what: incidents.note(kind, _who(name, kind, what))
        )
        self.opened_at = NEVER
        self.history_at = 0.0  # when the last change of the database's history had been noticed

    def query(self) -> str:
        """The newest rows."""
        self.application.connected()
        return REFILL

    def promised_from(self, ready_at: float) -> float:
        """Nobody tells it of another history."""
        return max(ready_at, self.history_at)

    def opened(self) -> bool:
        """Everything comes from now on."""
        self.opened_at = time.monotonic()
        return True

    def receive(self, text: str) -> tuple[Taken | None, bool | None]:
        """Whatever comes changes nothing about that."""
        return self.application.take(text), None

    def go_back(self, chance: random.Random) -> None:
        """It has no place."""

    def forget_place(self) -> None:
        """It has no place."""


class Client:
    """One client: a connection to one of the relays, again and again until it is cancelled."""

    def __init__(
        self,
        name: str,
        wanted: Subscription,
        format: Events | Rows,
        relays: Sequence[Relay],
        home: int,
        arrivals: Arrivals,
        incidents: Incidents,
        longest_pause: float,
    ) -> None:
        self.name = name
        self.wanted = wanted
        self.format = format
        self.home = home
        self.ready_at = NEVER
        self._relays = relays
        self._arrivals = arrivals
        self._incidents = incidents
        self._longest_pause = longest_pause
        self._attempt = 0
        self._connection: Connection | None = None
        self._greeting: asyncio.TimerHandle | None = None
        self._stalled = False
        self._may_connect = asyncio.Event()
        self._may_connect.set()

    @property
    def ready(self) -> bool:
        """Whether it has had everything that it missed."""
        return self.ready_at <= time.monotonic()

    async def run(self) -> NoReturn:
        """Connect until cancelled."""
        while True:
            await self._may_connect.wait()
            await self._once()
            # Full jitter, so that those who lost the same relay do not come back together.
            longest = min(self._longest_pause, FIRST_PAUSE_SECONDS * 2**self._attempt)
            self._attempt += 1
            await asyncio.sleep(random.random() * longest)

    def disconnect(self, *, reset: bool) -> None:
        """Lose the connection."""
        if self._connection is not None:
            self._connection.abort(reset=reset)

    def begin_anew(self) -> None:
        """Lose the connection, and come back as a new client."""
        self.disconnect(reset=True)
        self.format.forget_place()

    async def stall(self, seconds: float) -> None:
        """Read nothing for a while."""
        connection = self._connection
        if connection is None or self._stalled:
            return
        was_ready, self._stalled, self.ready_at = self.ready, True, NEVER
        connection.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._stalled = False
            if connection is self._connection and was_ready:
                self.ready_at = time.monotonic() + AFTER_STALL_SECONDS
            connection.resume()

    async def move(self, seconds: float, chance: random.Random) -> None:
        """Stay away for a while, and come back to another relay with an old place."""
        self._may_connect.clear()
        try:
            self.disconnect(reset=False)
            await asyncio.sleep(seconds)
            self.format.go_back(chance)
            self.home = (self.home + 1) % len(self._relays)
        finally:
            self._may_connect.set()

    def opened(self) -> None:
        """The handshake succeeded."""
        if self.format.opened():
            self._attempt = 0
            self.ready_at = time.monotonic()
        else:
            loop = asyncio.get_running_loop()
            self._greeting = loop.call_later(GREETING_SECONDS, self._unanswered)

    def receive(self, text: str) -> None:
        """A frame."""
        if self._greeting is not None:
            self._greeting.cancel()
            self._greeting = None
        taken, ready = self.format.receive(text)
        now = time.monotonic()
        if ready is False:
            self.ready_at = NEVER
        elif ready and self.ready_at == NEVER and not self._stalled:
            self._attempt = 0
            self.ready_at = now
        if taken is not None:
            since = self.format.promised_from(self.ready_at)
            self._arrivals.took(self.name, self.wanted, taken, since, now, ends=self.format.ends)

    async def _once(self) -> None:
        relay = self._relays[self.home]
        query = "&".join(filter(None, (self.wanted.query, self.format.query())))
        address = f"ws://{relay.host}/ws/{self.wanted.table}?{query}"
        try:
            connection = await connect(
                "127.0.0.1",
                relay.port,
                lambda: Connection(address, self.format.subprotocol, self),
                CONNECT_SECONDS,
            )
        except (OSError, TimeoutError):
            return
        self._connection = connection
        try:
            code = await connection.lost
            self._incidents.note("closed", str(code))
        finally:
            self._connection = None
            self.ready_at = NEVER
            if self._greeting is not None:
                self._greeting.cancel()
                self._greeting = None
            connection.abort(reset=False)

    def _unanswered(self) -> None:
        self._incidents.note("unanswered", f"{self.name}: no greeting")
        self.disconnect(reset=False)


def _who(name: str, kind: str, what: str) -> str:
    return what if kind in ("resume", "reset") else f"{name}: {what}"
