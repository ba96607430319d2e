"""One subscription of the official Realtime client to one lane.

Callbacks only hand on what they get and never raise: one that does would end the client's reading
without a word.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from realtime import (
    AsyncRealtimeChannel,
    AsyncRealtimeClient,
    RealtimePostgresChangesListenEvent,
)
from realtime.types import RealtimeChannelOptions, RealtimeSubscribeStates

from relay.changes.endpoints import ENDPOINTS
from relay.upstream.inbox import Rows
from relay.upstream.lanes import Lane
from relay.upstream.rest import HEARTBEATS

TOPIC: Final = "relay:changes"
EVENT: Final = "changes"
READY_SECONDS: Final = 20.0
FIRST_BROADCAST_SECONDS: Final = 10.0
FIRST_BEAT_SECONDS: Final = 0.25  # between the first two beats, and twice as long each time
_ALL: Final = RealtimePostgresChangesListenEvent.All
_PRIVATE: Final[RealtimeChannelOptions] = {
    "config": {"broadcast": {"replication_ready": True}, "presence": None, "private": True}
}

Put = Callable[[Lane, Rows], None]


class Lost(Exception):
    """The attempt is over; the text says why. `lane`: another lane may do better."""

    def __init__(self, text: str, *, lane: bool = False) -> None:
        super().__init__(text)
        self.lane: Final = lane


class Subscription:
    """Calls `put` for the rows of each frame that arrives and `again` when rows may be missing."""

    def __init__(
        self,
        client: AsyncRealtimeClient,
        lane: Lane,
        instance: str,
        *,
        put: Put,
        again: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._lane = lane
        self._put = put
        self._again = again
        self._ready: asyncio.Future[None] = loop.create_future()
        self._replicating: asyncio.Future[None] = loop.create_future()
        self.lost: Final[asyncio.Future[str]] = loop.create_future()
        if lane is Lane.BROADCAST:
            self._channel = self._broadcast(client)
        else:
            self._channel = self._postgres_changes(client, instance)

    async def ready(self, beat: Callable[[], None]) -> None:
        """Returns when the lane delivers: broadcast by having done so, since the answer to a join
        says nothing. `beat` writes the heartbeat row, which is what it may deliver.

        Raises:
            Lost: it did not come to that.
        """
        seconds = READY_SECONDS
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._channel.subscribe(self._state)
            if self._lane is Lane.BROADCAST:
                seconds = FIRST_BROADCAST_SECONDS
            async with asyncio.timeout(seconds):
                if self._lane is Lane.BROADCAST:
                    await self._first_broadcast(beat)
                else:
                    await self._settled()
        except TimeoutError:
            raise Lost(f"{self._lane} is not ready within {seconds:.0f} s", lane=True) from None
        if self.lost.done():
            raise Lost(self.lost.result(), lane=True)

    async def _first_broadcast(self, beat: Callable[[], None]) -> None:
        # A server that starts answers joins before it replicates broadcasts, so that a single beat
        # would be lost. It says when it replicates, if it is new enough to know the question.
        pause = FIRST_BEAT_SECONDS
        while not (self._ready.done() or self.lost.done()):
            beat()
            told = set() if self._replicating.done() else {self._replicating}
            await self._settled(*told, seconds=pause)
            pause *= 2

    async def _settled(self, *others: asyncio.Future[Any], seconds: float | None = None) -> None:
        """Waits until the lane delivers, is lost, or one of the others is done."""
        either: set[asyncio.Future[Any]] = {self._ready, self.lost, *others}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    def _broadcast(self, client: AsyncRealtimeClient) -> AsyncRealtimeChannel:
        channel = client.channel(TOPIC, _PRIVATE).on_system(self._system)
        return channel.on_broadcast(EVENT, self._announced)

    def _postgres_changes(self, client: AsyncRealtimeClient, instance: str) -> AsyncRealtimeChannel:
        # One channel for all tables and the heartbeat row, so that this one proves the others.
        channel = client.channel("relay").on_system(self._system)
        for endpoint in ENDPOINTS:
            channel.on_postgres_changes(_ALL, self._row, table=endpoint.name, schema="public")
        return channel.on_postgres_changes(
            _ALL, self._row, table=HEARTBEATS, schema="public", filter=f"instance=eq.{instance}"
        )

    def _row(self, payload: Any) -> None:
        self._put(self._lane, (payload["data"],))

    def _announced(self, payload: Any) -> None:
        inner = payload.get("payload")
        changes = inner.get("changes") if isinstance(inner, dict) else None
        if isinstance(changes, list):
            self._put(self._lane, [change for change in changes if isinstance(change, dict)])
        if not self._ready.done():
            self._ready.set_result(None)

    def _system(self, payload: Any) -> None:
        if self._lane is Lane.BROADCAST:
            if not self._replicating.done():
                self._replicating.set_result(None)
        elif self._ready.done():  # it comes again when the publication changed: rows may be missing
            self._again()
        elif payload.extension == "postgres_changes":
            self._ready.set_result(None)

    def _state(self, now: RealtimeSubscribeStates, error: Exception | None) -> None:
        if now is not RealtimeSubscribeStates.SUBSCRIBED and not self.lost.done():
            self.lost.set_result(now.value if error is None else f"{now.value}: {error}")
