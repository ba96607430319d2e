"""All connected clients, by whatever server they came."""

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from relay.changes.frames import HEARTBEAT_SECONDS
from relay.clients.entrance import Admitted, Entrance
from relay.clients.outlet import Outlet
from relay.clients.session import Session
from relay.clients.surroundings import Surroundings
from relay.clients.wheel import Wheel
from relay.close import CloseCode

DRAIN_SECONDS: Final = 3.0
DRAIN_PAUSE: Final = 0.005  # for each client, as long as there are few
DRAIN_STEP: Final = 0.05


class Watched(Protocol):
    """A connection."""

    def look(self) -> None:
        """Its turn has come."""


class Sockets:
    """Opens sessions and looks after them; `wheel` holds the connections to look at later."""

    def __init__(self, shared: Surroundings, entrance: Entrance) -> None:
        self._shared = shared
        self.entrance: Final = entrance
        self.wheel: Final = Wheel[Watched](HEARTBEAT_SECONDS, shared.now())

    def __len__(self) -> int:
        return sum(sum(stream.members().values()) for stream in self._shared.streams)

    def open(self, outlet: Outlet, admitted: Admitted, client: str) -> Session:
        """A session that has not begun; `client` is its address, for the log."""
        return Session(outlet, admitted, client, self._shared)

    def turn(self) -> None:
        """A part of a second has passed: pings those whose turn it is, ends who did not answer."""
        for connection in self.wheel.due(self._shared.now()):
            connection.look()

    def tick(self) -> None:
        """A second has passed: looks for clients that do not read."""
        self._shared.journal.tick()
        self._shared.resumes.tick()
        for stream in self._shared.streams:
            for group in stream.groups():
                group.log.forget_joined()
        for session in list(self._shared.blocked):
            session.check()

    async def drain(self, gives_up: Callable[[], bool]) -> None:
        """Closes all clients because the relay ends, spread over a few seconds, so that they do
        not all come back at once."""
        leaving = list(self._sessions())
        random.shuffle(leaving)
        steps = max(1, round(min(DRAIN_SECONDS, len(leaving) * DRAIN_PAUSE) / DRAIN_STEP))
        size = -(-len(leaving) // steps)
        for start in range(0, len(leaving), size or 1):
            if gives_up():
                return
            for session in leaving[start : start + size]:
                session.cut(CloseCode.RESTARTING, CloseCode.RESTARTING.meaning)
            await asyncio.sleep(DRAIN_STEP)

    def _sessions(self) -> Iterator[Session]:
        for stream in self._shared.streams:
            for group in stream.groups():
                for member in group.members:
                    if isinstance(member, Session):
                        yield member
