"""Keeps a subscription to one of Realtime's lanes alive.

Lifecycle: a fresh official client per attempt, with its own reconnecting switched off, on the lane
that is wanted then. An attempt ends when the client or the channel reports an end, the client
stops listening, a heartbeat row does not come back, the lane lost changes, or the better lane may
be tried again. Attempts go on for ever, with full jitter up to 30 s. What arrives is put into a
bounded inbox; while that has no room the client reads no further. The loops end only when they
are cancelled.
"""

import asyncio
import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from realtime import AsyncRealtimeClient

from relay.changes.endpoints import BY_NAME
from relay.changes.intake import Intake, Source
from relay.changes.records import Change, Incomplete, from_announced, from_live
from relay.clients.places import Identity
from relay.errors import Unavailable
from relay.upstream.catch_up import CatchUp
from relay.upstream.healing import Healing
from relay.upstream.heartbeat import Heartbeat
from relay.upstream.inbox import Inbox, Rows
from relay.upstream.lanes import Lane, Lanes
from relay.upstream.realtime_patches import dispose, listening, pace
from relay.upstream.rest import HEARTBEATS, Broadcasting, Rest
from relay.upstream.sources import Upstream
from relay.upstream.subscription import Lost, Subscription

logger = logging.getLogger(__name__)

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
    """Where Realtime is, and who this relay is: one row of the heartbeats belongs to it.

    `gateway_key` opens the connection, `key` decides in the joins what may be seen.
    """

    url: str
    gateway_key: str = field(repr=False)
    key: str = field(repr=False)
    identity: Identity


class LiveLane:
    """Puts the rows that Realtime delivers into the intake."""

    def __init__(
        self,
        address: Address,
        lanes: Lanes,
        *,
        rest: Rest,
        intake: Intake,
        upstream: Upstream,
        healing: Healing,
        heartbeat: Heartbeat,
        catch_up: CatchUp,
        now: Callable[[], float],
    ) -> None:
        self._address = address
        self._lanes = lanes
        self._rest = rest
        self._found = Broadcasting(None, ())
        self._intake = intake
        self._upstream = upstream
        self._healing = healing
        self._heartbeat = heartbeat
        self._catch_up = catch_up
        self._now = now
        self._inbox = Inbox(INBOX_ROWS)
        self._failures = 0
        self._last_reason = ""
        self._rebuilding: Lost | None = None
        self.reread = 0

    def rebuild(self, reason: str, *, lane: bool) -> None:
        """Begins with a fresh client, within a second; `lane`: on another lane if there is one."""
        self._rebuilding = Lost(reason, lane=lane)

    async def run(self) -> NoReturn:
        """Connects again and again until cancelled."""
        while True:
            self._upstream.live.attempts += 1
            self._rebuilding = None
            try:
                await self._attempt(await self._choose())
            except Lost as lost:
                if lost.lane:
                    self._lanes.unproven(self._upstream.live.lane, self._now())
                self._note(str(lost))
            # The official client raises whatever happens to it, and nothing may end this loop.
            except Exception as error:  # noqa: BLE001
                self._note(f"{type(error).__name__}: {error}")
            self._catch_up.request()
            await asyncio.sleep(pause(self._failures, random.random()))  # noqa: S311 jitter
            self._failures += 1

    async def pump(self) -> NoReturn:
        """Works off the rows that arrive until cancelled, as many at once as there are."""
        while True:
            self._take(await self._inbox.take(BATCH_ROWS))
            if not self._inbox.room.is_set():
                self._healing.behind(self._now())
            await asyncio.sleep(0)

    async def _choose(self) -> Lane:
        lane = self._lanes.wanted(self._now())
        if lane is Lane.BROADCAST and await self._lacks_broadcast():
            self._lanes.unproven(lane, self._now())
        return self._lanes.wanted(self._now())

    async def _lacks_broadcast(self) -> bool:
        try:
            found = await self._rest.broadcasting()
        except Unavailable as error:
            logger.debug("not known whether the database broadcasts: %s", error)
            return False
        if found.lacks is not None and found.lacks != self._found.lacks:
            logger.warning("live lane broadcast is not possible: %s", found.lacks)
        if found.inherited and found.inherited != self._found.inherited:
            logger.warning(
                "the relay's role is a member of anon and has rights that it does not need: %s;"
                " revoke them from anon, or set RELAY_LIVE=postgres_changes and revoke anon from"
                " relay_reader",
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
            logger.info("live lane subscribed: %s", lane)
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
        while True:
            await _first(lost, listening, seconds=1.0)
            if lost.done():
                raise Lost(lost.result())
            if self._rebuilding is not None:
                raise self._rebuilding
            if listening.done():
                raise Lost("the Realtime client stopped listening")
            if self._heartbeat.overdue_seconds() > RETURN_SECONDS:
                text = f"the heartbeat row did not come back within {RETURN_SECONDS:.0f} s"
                raise Lost(text, lane=True)
            if self._lanes.wanted(self._now()) is not lane and await self._choose() is not lane:
                raise Lost("broadcast is tried again")
            if lane is Lane.BROADCAST and self._now() - checked_at > POLICY_SECONDS:
                checked_at = self._now()
                if await self._lacks_broadcast():
                    raise Lost("broadcast is not possible any more", lane=True)

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
                except Incomplete as incomplete:
                    self._read_again(row, incomplete)
                else:
                    self._healing.lived(change.endpoint.number, change.id, change.version)
                    changes.append(change)
        self._prove()
        self._intake.take(changes, Source.LIVE)

    def _read_again(self, row: Mapping[str, Any], incomplete: Incomplete) -> None:
        logger.debug("reading again: %s", incomplete)
        self.reread += 1
        self._healing.glimpsed(*glimpse(row))
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
