"""Connections that have said nothing yet, which most are for the shortest of times.

What they say first is a plain handshake as a rule. It is answered without HTTP's parser and all
that a request needs; everything else is read from its first byte on as uvicorn reads it. They take
turns: ten thousand that come back at once must not hold up those who are there.
"""

import asyncio
from typing import Any, Final, cast

from relay.clients import handshake, reception
from relay.clients.entrance import PATHS
from relay.clients.protocol import RelayProtocol
from relay.clients.reception import Reception
from relay.clients.sockets import Sockets, Watched

SPARE_CONNECTIONS: Final = 500  # for commands and checks of health, beside those of clients


class Arrival(asyncio.Protocol):
    """One connection, until its first bytes; only with `straight` a handshake goes straight to the
    relay's own class. What uvicorn gives its classes is `given`."""

    __slots__ = (
        "_connections",
        "_given",
        "_most",
        "_said",
        "_slot",
        "_sockets",
        "_straight",
        "_transport",
        "queued",
    )

    def __init__(
        self, sockets: Sockets, most_connections: int, *, straight: bool, **given: Any
    ) -> None:
        self._sockets = sockets
        self._most = most_connections + SPARE_CONNECTIONS
        self._straight = straight
        self._given = given
        self._connections: set[object] = given["server_state"].connections
        self._said = b""
        self.queued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected; one too many is let go at once."""
        self._transport = cast(asyncio.Transport, transport)
        self._slot: set[Watched] = self._sockets.wheel.put(self, reception.HEAD_SECONDS)
        if len(self._connections) >= self._most:
            self._transport.abort()
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._connections.discard(self)
        self._sockets.wheel.forget(self, self._slot)

    def data_received(self, data: bytes) -> None:
        """The first bytes, which wait for their turn."""
        self._said += data
        self._sockets.newcomers.add(self)
        if len(self._said) > reception.MAX_HEAD_BYTES:
            self.step()

    def step(self) -> bool:
        """Its turn has come: something else serves the connection from now on."""
        said, self._said = self._said, b""
        if said and not self._transport.is_closing():
            try:
                self._begin(said)
            except BaseException:  # uvloop does so for what it calls itself; a turn is ours
                self._transport.abort()
                raise
        return False

    def look(self) -> None:
        """It has said nothing in time."""
        self._transport.abort()

    def shutdown(self) -> None:
        """The server ends."""
        self._transport.close()

    def _begin(self, said: bytes) -> None:
        self._connections.discard(self)
        short = len(said) <= reception.MAX_HEAD_BYTES
        found = handshake.plain(said) if self._straight and short else None
        endpoint = None if found is None else PATHS.get(found.path)
        if found is None or endpoint is None:
            received = Reception(self._sockets, self._slot, **self._given)
            self._sockets.wheel.hand_on(self, received, self._slot)
            self._transport.set_protocol(received)
            received.connection_made(self._transport)
            received.data_received(said)
        else:
            self._sockets.wheel.forget(self, self._slot)
            relayed = RelayProtocol(self._sockets, **self._given)
            self._transport.set_protocol(relayed)
            relayed.connection_made(self._transport)
            relayed.answer(found, endpoint)
