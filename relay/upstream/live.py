"""Keeps a subscription to one of Realtime's lanes alive and feeds the broker from it.

Lifecycle: a fresh official client per attempt, with its own reconnecting switched off, on the lane
that is wanted then. An attempt ends when the client or the channel reports an end, the client
stops listening, a heartbeat row does not come back, the lane lost changes, or the better lane may
be tried again. Attempts go on for ever, with full jitter up to 30 s. What arrives is put into a
bounded inbox; while that is full the client reads no further (backpressure). The loops end only
when they are cancelled. Callbacks of the client only pass on what they get and never raise: one
that does would silently end the client's reading.
"""

import asyncio
import logging
import random
import re
from asyncio import FIRST_COMPLETED
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from realtime import (
    AsyncRealtimeChannel,
    AsyncRealtimeClient,
    RealtimePostgresChangesListenEvent,
)
from realtime.types import RealtimeChannelOptions, RealtimeSubscribeStates

from relay.errors import Unavailable
from relay.logs import FailureLog
from relay.stream.broker import Broker, Source
from relay.stream.change import BY_NAME, ENDPOINTS, Change, Incomplete, from_announced, from_live
from relay.upstream.catch_up import CatchUp
from relay.upstream.heartbeat import Heartbeat, Identity
from relay.upstream.loss import LossDetector
from relay.upstream.realtime_client import dispose, listening, pace
from relay.upstream.rest import HEARTBEATS, Broadcasting, Rest
from relay.upstream.state import Lane, LaneSelector, UpstreamStatus

logger = logging.getLogger(__name__)

Rows = Sequence[Mapping[str, Any]]


class Inbox:
    """Bounded queue of frames, `most_rows` rows at most; `room` is set below half of it."""

    def __init__(self, most_rows: int) -> None:
        self._most_rows: Final = most_rows
        self._frames = deque[tuple[Lane, Rows]]()
        self._rows = 0
        self._filled = asyncio.Event()
        self.room: Final = asyncio.Event()
        self.room.set()

    def put(self, lane: Lane, rows: Rows) -> bool:
        """Enqueue the rows of a frame; false when there is no room."""
        if self._rows + len(rows) > self._most_rows and self._rows:
            return False
        self._frames.append((lane, rows))
        self._count(len(rows))
        self._filled.set()
        return True

    async def take(self, wanted: int) -> list[tuple[Lane, Rows]]:
        """Wait for a frame and dequeue frames until `wanted` rows are reached."""
        await self._filled.wait()
        taken, count = [self._frames.popleft()], 0
        while (count := count + len(taken[-1][1])) < wanted and self._frames:
            taken.append(self._frames.popleft())
        self._count(-count)
        if not self._frames:
            self._filled.clear()
        return taken

    def _count(self, rows: int) -> None:
        self._rows += rows
        if 2 * self._rows < self._most_rows:
            self.room.set()
        else:
            self.room.clear()


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


class LaneLost(Exception):
    """The attempt ended for the reason in the text; with `lane`, another lane may do better."""

    def __init__(self, text: str, *, lane: bool = False) -> None:
        super().__init__(text)
        self.lane: Final = lane


class Subscription:
    """A subscription to one lane.

    Args:
        client: The official client of this attempt.
        lane: Broadcast or postgres_changes.
        instance: This process, whose heartbeat row proves the lane.
        put: Called with the rows of each frame.
        again: Called when rows may be missing.
    """

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
            self._channel = client.channel(TOPIC, _PRIVATE).on_system(self._system)
            self._channel.on_broadcast(EVENT, self._announced)
        else:
            self._channel = self._postgres_changes(client, instance)

    async def ready(self, beat: Callable[[], None]) -> None:
        """Return when the lane delivers.

        The answer to a join of broadcast proves nothing: `beat` writes heartbeat rows until one
        arrives.

        Raises:
            LaneLost: It does not deliver in time.
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
            raise LaneLost(f"{self._lane} is not ready within {seconds:.0f} s", lane=True) from None
        if self.lost.done():
            raise LaneLost(self.lost.result(), lane=True)

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
        """Wait until the lane delivers, is lost, or one of the others is done."""
        either: set[asyncio.Future[Any]] = {self._ready, self.lost, *others}
        await asyncio.wait(either, timeout=seconds, return_when=FIRST_COMPLETED)

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


INBOX_ROWS: Final = 10_000
BATCH_ROWS: Final = 500
RETURN_SECONDS: Final = 15.0
# How long a policy that opens the topic to forgers may go unnoticed.
POLICY_SECONDS: Final = 60.0
LONGEST_PAUSE_SECONDS: Final = 30.0
LASTED_SECONDS: Final = 10.0  # a connection that ends sooner counts as one more failure
# What the real server and its gateway say about a key or token that they do not accept.
REFUSAL: Final = re.compile(r"HTTP 40[13]\b|JWT|[Tt]oken|Unauthorized(?!: You do)|API key")


@dataclass(frozen=True, slots=True)
class Address:
    """Address and credentials of Realtime.

    Attributes:
        url: Address of Realtime.
        gateway_key: Opens the connection.
        key: Authorises the joins.
        identity: This process, which owns one row of the heartbeats.
    """

    url: str
    gateway_key: str = field(repr=False)
    key: str = field(repr=False)
    identity: Identity


class LiveLane:
    """Feeds the broker with the rows that Realtime delivers."""

    def __init__(
        self,
        address: Address,
        lanes: LaneSelector,
        *,
        rest: Rest,
        broker: Broker,
        upstream: UpstreamStatus,
        loss_detector: LossDetector,
        heartbeat: Heartbeat,
        catch_up: CatchUp,
        now: Callable[[], float],
    ) -> None:
        self._address = address
        self._lanes = lanes
        self._rest = rest
        self._found = Broadcasting(None, ())
        self._broker = broker
        self._upstream = upstream
        self._loss_detector = loss_detector
        self._heartbeat = heartbeat
        self._catch_up = catch_up
        self._now = now
        self._inbox = Inbox(INBOX_ROWS)
        self._failures = 0
        self._reasons = FailureLog(now)
        self._rebuilding: LaneLost | None = None
        self.reread = 0

    def rebuild(self, reason: str, *, lane: bool) -> None:
        """Replace the client within a second, with `lane` on another lane if there is one."""
        self._rebuilding = LaneLost(reason, lane=lane)

    async def run(self) -> NoReturn:
        """Connect, and reconnect, until cancelled."""
        while True:
            self._upstream.live.attempts += 1
            self._rebuilding = None
            try:
                await self._attempt(await self._choose())
            except LaneLost as exc:
                if exc.lane:
                    self._lanes.unproven(self._upstream.live.lane, self._now())
                self._note(str(exc))
            # The official client raises whatever happens to it, and nothing may end this loop.
            except Exception as exc:  # noqa: BLE001
                self._note(f"{type(exc).__name__}: {exc}")
            self._catch_up.request()
            await asyncio.sleep(pause(self._failures, random.random()))  # noqa: S311 jitter
            self._failures += 1

    async def pump(self) -> NoReturn:
        """Process rows from the inbox until cancelled, in batches."""
        while True:
            self._take(await self._inbox.take(BATCH_ROWS))
            if not self._inbox.room.is_set():
                self._loss_detector.behind(self._now())
            await asyncio.sleep(0)

    async def _choose(self) -> Lane:
        lane = self._lanes.wanted(self._now())
        if lane is Lane.BROADCAST and await self._lacks_broadcast():
            self._lanes.unproven(lane, self._now())
        return self._lanes.wanted(self._now())

    async def _lacks_broadcast(self) -> bool:
        try:
            found = await self._rest.broadcasting()
        except Unavailable as exc:
            logger.debug("unknown whether the database broadcasts error=%r", str(exc))
            return False
        if found.lacks is not None and found.lacks != self._found.lacks:
            logger.warning("broadcast lane is not possible lacks=%r", found.lacks)
        if found.inherited and found.inherited != self._found.inherited:
            logger.warning(
                "the relay's role is a member of anon and has rights that it does not need: revoke"
                " them from anon, or set RELAY_LIVE=postgres_changes and revoke anon from"
                " relay_reader rights=%r",
                "; ".join(found.inherited),
            )
        self._found = found
        return found.lacks is not None

    async def _attempt(self, lane: Lane) -> NoReturn:
        self._upstream.live.lane = lane
        address = self._address
        client = AsyncRealtimeClient(address.url, address.gateway_key, auto_reconnect=False)
        try:
            await client.set_auth(address.key)
            subscription = Subscription(
                client,
                lane,
                address.identity.instance,
                put=self._put,
                again=self._catch_up.request,
            )
            await subscription.ready(self._heartbeat.request)
            self._upstream.live.subscribed(self._now())
            logger.info("live lane subscribed lane=%s", lane)
            self._heartbeat.request()
            self._catch_up.request()
            pace(client, self._inbox.room)
            await self._watch(lane, subscription.lost, listening(client))
        finally:
            await dispose(client)

    async def _watch(
        self, lane: Lane, lost: asyncio.Future[str], listening: asyncio.Task[None]
    ) -> NoReturn:
        checked_at = self._now()
        either: set[asyncio.Future[Any]] = {lost, listening}
        while True:
            await asyncio.wait(either, timeout=1.0, return_when=FIRST_COMPLETED)
            if lost.done():
                raise LaneLost(lost.result())
            if self._rebuilding is not None:
                raise self._rebuilding
            if listening.done():
                raise LaneLost("the Realtime client stopped listening")
            if self._heartbeat.overdue_seconds() > RETURN_SECONDS:
                text = f"the heartbeat row did not come back within {RETURN_SECONDS:.0f} s"
                raise LaneLost(text, lane=True)
            if self._lanes.wanted(self._now()) is not lane and await self._choose() is not lane:
                raise LaneLost("broadcast is tried again")
            if lane is Lane.BROADCAST and self._now() - checked_at > POLICY_SECONDS:
                checked_at = self._now()
                if await self._lacks_broadcast():
                    raise LaneLost("broadcast is not possible any more", lane=True)

    def _put(self, lane: Lane, rows: Rows) -> None:
        if not self._inbox.put(lane, rows):
            self._catch_up.request()  # it brings what has no room here

    def _take(self, frames: list[tuple[Lane, Rows]]) -> None:
        changes: list[Change] = []
        for lane, rows in frames:
            read = from_announced if lane is Lane.BROADCAST else from_live
            for row in rows:
                if row.get("table") == HEARTBEATS:
                    continue
                try:
                    change = read(row)
                except Incomplete as exc:
                    self._read_again(row, exc)
                else:
                    self._loss_detector.lived(change.endpoint.number, change.id, change.version)
                    changes.append(change)
        self._prove()
        self._broker.take(changes, Source.LIVE)

    def _read_again(self, row: Mapping[str, Any], incomplete: Incomplete) -> None:
        logger.debug("incomplete row is read again cause=%r", str(incomplete))
        self.reread += 1
        self._loss_detector.glimpsed(*glimpse(row))
        self._catch_up.request()

    def _prove(self) -> None:
        now, live = self._now(), self._upstream.live
        before = live.proven(now)
        live.proved(now)
        if live.proven(now) and not before:
            logger.info("live lane proven")
        self._lanes.proven(self._upstream.live.lane)
        self._heartbeat.came_back()
        if live.subscribed_at is not None and now - live.subscribed_at >= LASTED_SECONDS:
            self._failures = 0
            self._reasons.worked()

    def _note(self, reason: str) -> None:
        refused = REFUSAL.search(reason) is not None
        self._upstream.live.lost(reason, refused=refused)
        self._loss_detector.forget()
        if self._reasons.failed(reason):
            logger.warning("live lane lost, retrying reason=%r key_refused=%s", reason, refused)


def glimpse(message: Mapping[str, Any]) -> tuple[int, int, int | None]:
    """Return table number, id and version of an incomplete row; 0 and None if unknown."""
    endpoint = BY_NAME.get(message.get("table", ""))
    record = message.get("record") or {}
    row_id = record.get("id", (message.get("old_record") or {}).get("id"))
    version = record.get("version")
    return (
        0 if endpoint is None else endpoint.number,
        row_id if isinstance(row_id, int) else 0,
        version if isinstance(version, int) else None,
    )


def pause(failures: int, chance: float) -> float:
    """Return seconds of the exponential backoff after so many failures (full jitter).

    Args:
        failures: Failed attempts in a row.
        chance: Random number from 0 to 1.
    """
    return chance * min(LONGEST_PAUSE_SECONDS, 0.5 * 2.0 ** min(failures, 10))
