"""Keeps a subscription to the three tables and to the relay's own heartbeat row alive.

Lifecycle: a fresh official client per attempt, with its own reconnecting switched off; one
channel with all four bindings, so that the heartbeat row proves the others; ready with the
server's `system` message. An attempt ends when the client or the channel reports an end, the
client stops listening, or a heartbeat row does not come back. Attempts go on for ever, with
full jitter up to 30 s. Callbacks only put on a bounded queue: one that raises would end the
client's reading without a word. The loops end only when they are cancelled.
"""

import asyncio
import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent
from realtime.types import RealtimeSubscribeStates

from relay.changes.endpoints import BY_NAME, ENDPOINTS
from relay.changes.intake import Intake, Source
from relay.changes.records import Change, Incomplete, from_live
from relay.clients.places import Identity
from relay.upstream.catch_up import CatchUp
from relay.upstream.healing import Healing
from relay.upstream.heartbeat import Heartbeat
from relay.upstream.realtime_patches import dispose, listening
from relay.upstream.rest import HEARTBEATS
from relay.upstream.sources import Upstream

logger = logging.getLogger(__name__)

QUEUE_ROWS: Final = 10_000
BATCH_ROWS: Final = 500
READY_SECONDS: Final = 20.0
RETURN_SECONDS: Final = 15.0
LONGEST_PAUSE_SECONDS: Final = 30.0
# What the real server and its gateway say about a key or token that they do not accept.
REFUSAL: Final = re.compile(r"HTTP 40[13]\b|JWT|[Tt]oken|Unauthorized|API key")
_ALL: Final = RealtimePostgresChangesListenEvent.All


class _Lost(Exception):
    """The attempt is over; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where Realtime is, and who this relay is: one row of the heartbeats belongs to it."""

    url: str
    key: str
    identity: Identity


class LiveLane:
    """Puts the rows that Realtime delivers into the intake."""

    def __init__(
        self,
        address: Address,
        *,
        intake: Intake,
        upstream: Upstream,
        healing: Healing,
        heartbeat: Heartbeat,
        catch_up: CatchUp,
        now: Callable[[], float],
    ) -> None:
        self._address = address
        self._intake = intake
        self._upstream = upstream
        self._healing = healing
        self._heartbeat = heartbeat
        self._catch_up = catch_up
        self._now = now
        self._queue = asyncio.Queue[Mapping[str, Any]](maxsize=QUEUE_ROWS)
        self._failures = 0
        self._last_reason = ""
        self._rebuilding: str | None = None
        self.reread = 0

    def rebuild(self, reason: str) -> None:
        """Begins with a fresh client, within a second."""
        self._rebuilding = reason

    async def run(self) -> NoReturn:
        """Connects again and again until cancelled."""
        while True:
            self._upstream.live.attempts += 1
            self._rebuilding = None
            try:
                await self._attempt()
            except _Lost as lost:
                self._note(str(lost))
            # The official client raises whatever happens to it, and nothing may end this loop.
            except Exception as error:  # noqa: BLE001
                self._note(f"{type(error).__name__}: {error}")
            self._catch_up.request()
            await asyncio.sleep(pause(self._failures, random.random()))  # noqa: S311 jitter
            self._failures += 1

    async def pump(self) -> NoReturn:
        """Takes rows off the queue until cancelled, as many at once as there are."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH_ROWS and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            self._take(batch)
            await asyncio.sleep(0)

    async def _attempt(self) -> NoReturn:
        client = AsyncRealtimeClient(self._address.url, self._address.key, auto_reconnect=False)
        try:
            lost = await self._subscribe(client)
            self._upstream.live.subscribed(self._now())
            logger.info("live lane subscribed")
            self._heartbeat.request()
            self._catch_up.request()
            await self._watch(lost, listening(client))
        finally:
            await dispose(client)

    async def _subscribe(self, client: AsyncRealtimeClient) -> asyncio.Future[str]:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        lost: asyncio.Future[str] = loop.create_future()

        def system(payload: Any) -> None:
            if ready.done():  # it comes again when the publication changed: rows may be missing
                self._catch_up.request()
            elif payload.extension == "postgres_changes":
                ready.set_result(None)

        def state(now: RealtimeSubscribeStates, error: Exception | None) -> None:
            if now is not RealtimeSubscribeStates.SUBSCRIBED and not lost.done():
                lost.set_result(now.value if error is None else f"{now.value}: {error}")

        channel = client.channel("relay").on_system(system)
        for endpoint in ENDPOINTS:
            channel.on_postgres_changes(_ALL, self._put, table=endpoint.name, schema="public")
        channel.on_postgres_changes(
            _ALL,
            self._put,
            table=HEARTBEATS,
            schema="public",
            filter=f"instance=eq.{self._address.identity.instance}",
        )
        try:
            async with asyncio.timeout(READY_SECONDS):
                await channel.subscribe(state)
                await _first(ready, lost)
        except TimeoutError:
            raise _Lost(f"not subscribed within {READY_SECONDS:.0f} s") from None
        if lost.done():
            raise _Lost(lost.result())
        return lost

    async def _watch(self, lost: asyncio.Future[str], listening: asyncio.Task[None]) -> NoReturn:
        while True:
            await _first(lost, listening, seconds=1.0)
            if lost.done():
                raise _Lost(lost.result())
            if self._rebuilding is not None:
                raise _Lost(self._rebuilding)
            if listening.done():
                raise _Lost("the Realtime client stopped listening")
            if self._heartbeat.overdue_seconds() > RETURN_SECONDS:
                raise _Lost(f"the heartbeat row did not come back within {RETURN_SECONDS:.0f} s")

    def _put(self, payload: Any) -> None:
        try:
            self._queue.put_nowait(payload["data"])
        except asyncio.QueueFull:
            self._catch_up.request()  # it brings what has no room here

    def _take(self, messages: list[Mapping[str, Any]]) -> None:
        changes: list[Change] = []
        for message in messages:
            if message["table"] == HEARTBEATS:
                continue
            try:
                change = from_live(message)
            except Incomplete as incomplete:
                logger.debug("reading again: %s", incomplete)
                self.reread += 1
                self._healing.glimpsed(*glimpse(message))
                self._catch_up.request()
            else:
                self._healing.lived(change.endpoint.number, change.id, change.version)
                changes.append(change)
        self._prove()
        self._intake.take(changes, Source.LIVE)

    def _prove(self) -> None:
        now = self._now()
        if not self._upstream.live.proven(now) and self._upstream.live.subscribed_at is not None:
            logger.info("live lane proven")
        self._upstream.live.proved(now)
        self._heartbeat.came_back()
        self._failures = 0
        self._last_reason = ""

    def _note(self, reason: str) -> None:
        self._upstream.live.lost(reason, refused=REFUSAL.search(reason) is not None)
        self._healing.forget()
        if reason != self._last_reason:  # for hours it may be the same
            logger.warning("live lane lost, trying on: %s", reason)
        self._last_reason = reason


def glimpse(message: Mapping[str, Any]) -> tuple[int, int, int | None]:
    """Table number, id and version of a row that did not arrive whole; 0 and None if unknown."""
    endpoint = BY_NAME.get(message.get("table", ""))
    record = message.get("record") or {}
    row_id = record.get("id", (message.get("old_record") or {}).get("id"))
    version = record.get("version")
    return (
        0 if endpoint is None else endpoint.number,
        row_id if isinstance(row_id, int) else 0,
        version if isinstance(version, int) else None,
    )


async def _first(*futures: asyncio.Future[Any], seconds: float | None = None) -> None:
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


def pause(failures: int, chance: float) -> float:
    """Seconds to wait after the attempt that followed `failures` failed ones."""
    return chance * min(LONGEST_PAUSE_SECONDS, 0.5 * 2.0 ** min(failures, 10))
