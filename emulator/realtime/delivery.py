"""Polls committed changes and serves them to the subscribers that may see them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from emulator.faults import Faults, gate
from emulator.realtime import catalog, rls
from emulator.realtime.backoff import Backoff
from emulator.realtime.changes import Change
from emulator.realtime.fanout import (
    Fanout,
    Subscriber,
    Test,
    filter_test,
    primary_key,
    refusal,
)
from emulator.realtime.feed import Feed
from emulator.realtime.rate import RateCounter
from emulator.realtime.settings import RealtimeSettings
from emulator.realtime.tables import Key, Table, Viewer
from emulator.realtime.typed import Typed

logger = logging.getLogger(__name__)

IDLE_POLLS = 5  # an idle poller waits that many times longer
VISIBLE_SECONDS = 0.001
MIXED_SECONDS = 0.05  # so long changes gather that are to be reordered
LONGEST_RETRY_MS = 5_000
PARTLY_IDLE_POLLS = 1.75  # changes came, but for nobody

Pool = AsyncConnectionPool[catalog.Connection]
Audience = Mapping[int, Sequence[Subscriber]]


class PollLost(Exception):
    """The tables no longer fit the changes of this poll: all of them are dropped."""


class Delivery:
    """Subscriptions, and the loop that delivers changes of the feed to them."""

    def __init__(self, pool: Pool, feed: Feed, settings: RealtimeSettings, faults: Faults) -> None:
        self._pool = pool
        self._feed = feed
        self._settings = settings
        self._faults = faults
        self._typed = Typed()
        self._rate = RateCounter(settings.rate_limit, settings.rate_tick_seconds, time.monotonic)
        self._by_table: dict[int, dict[Subscriber, None]] = {}
        self._left: dict[Subscriber, asyncio.TimerHandle] = {}
        self._warm = False

    async def warm(self) -> None:
        """Wait until there is a poller; the first caller starts it."""
        if self._warm:
            return
        self._feed.wake()
        await asyncio.sleep(self._settings.cold_join_ms / 1000)
        with contextlib.suppress(TimeoutError):  # whoever asks the database next is told
            async with asyncio.timeout(self._settings.database_ms / 1000):
                await self._feed.running.wait()
                self._warm = True

    def add(self, subscriber: Subscriber) -> None:
        """Serve `subscriber` what is polled from now on."""
        for oid in subscriber.tables:
            self._by_table.setdefault(oid, {})[subscriber] = None

    def remove(self, subscriber: Subscriber) -> None:
        """Serve it no more, at once."""
        subscriber.gone = True
        self._drop(subscriber)

    def replace(self, former: Subscriber, subscriber: Subscriber) -> None:
        """Serve `subscriber` in its place; a poll that has begun still counts for `former`."""
        self._drop(former)
        self.add(subscriber)

    def _drop(self, subscriber: Subscriber) -> None:
        self._left.pop(subscriber, None)
        for oid in subscriber.tables:
            others = self._by_table.get(oid, {})
            others.pop(subscriber, None)
            if not others:
                self._by_table.pop(oid, None)

    def leave(self, subscriber: Subscriber) -> None:
        """Serve it no more. The policies are asked for it a while longer."""
        subscriber.gone = True
        if self._settings.unsubscribe_ms == 0:
            self.remove(subscriber)
        elif subscriber not in self._left:
            later = asyncio.get_running_loop().call_later
            timer = later(self._settings.unsubscribe_ms / 1000, self.remove, subscriber)
            self._left[subscriber] = timer

    def forget_all(self) -> None:
        """End all subscriptions without a word to anybody."""
        self._warm = False
        for subscriber in {s for them in self._by_table.values() for s in them}:
            subscriber.gone = True
        self._by_table.clear()
        for timer in self._left.values():
            timer.cancel()
        self._left.clear()

    def renew_all(self) -> None:
        """Have all bindings looked up again."""
        for subscriber in {s: None for them in self._by_table.values() for s in them}:
            if not subscriber.gone:
                subscriber.renew()

    async def run(self) -> None:
        """Poll for ever. A poll that fails is lost for all subscribers, as in the real server."""
        factor: float = IDLE_POLLS
        backoff = Backoff(self._settings.poll_retry_ms, LONGEST_RETRY_MS)
        while True:
            await asyncio.sleep(self._settings.poll_ms * factor / 1000)
            batch = await self._poll()
            factor = PARTLY_IDLE_POLLS if batch else IDLE_POLLS
            try:
                if await self._serve(batch):
                    factor = 0
                backoff.reset()
            except (psycopg.Error, PoolTimeout, PollLost) as exc:
                self._faults.lost["poll"] += sum(c.relation.oid in self._by_table for c in batch)
                logger.warning("poll lost changes=%d error=%r", len(batch), str(exc).strip())
                if isinstance(exc, psycopg.OperationalError):  # also when it took too long
                    self._feed.restart()
                await backoff.pause()

    async def _poll(self) -> list[Change]:
        batch: list[Change] = []
        changes = self._feed.changes
        if self._settings.poll_ms == 0:
            batch.append(await changes.get())
        if self._faults.active("reorder"):
            await asyncio.sleep(MIXED_SECONDS)
        while not changes.empty() and len(batch) < self._settings.max_changes_per_poll:
            batch.append(changes.get_nowait())
        return batch

    async def _serve(self, batch: Sequence[Change]) -> bool:
        """Deliver; whether anything was for anybody. Raises psycopg.Error, PollLost."""
        oids = {change.relation.oid for change in batch} & self._by_table.keys()
        if not oids:
            return False
        wanted = [change for change in batch if change.relation.oid in oids]
        if self._rate.exceeded():
            self._faults.lost["rate"] += len(wanted)
            return True
        # Who joins while the database is being asked gets nothing of this poll.
        audience = {oid: tuple(self._by_table[oid]) for oid in oids}
        fanout = await self._ask(wanted, audience)
        passing: Sequence[Change] = wanted
        if self._faults.active(*gate.NAMES):
            passages = [_passage(change) for change in wanted]
            passing = gate.passing(self._faults, "postgres_changes", passages)
        if seconds := gate.late(self._faults, "postgres_changes", len(passing)):
            await asyncio.sleep(seconds)
        for change in passing:
            those = audience[change.relation.oid]
            listening = [s for s in those if not s.gone]
            self._rate.add(fanout.offer(change, listening))
        return True

    async def _ask(self, changes: Sequence[Change], audience: Audience) -> Fanout:
        roles = {subscriber.viewer.role for them in audience.values() for subscriber in them}
        xids = {change.xid for change in changes}
        async with self._pool.connection() as connection:
            # PostgreSQL has no event for this, and it takes microseconds.
            while not await catalog.finished(connection, xids):  # noqa: ASYNC110
                await asyncio.sleep(VISIBLE_SECONDS)
            tables = await catalog.describe(connection, audience, roles)
            await self._typed.learn(
                connection,
                (value for change in changes for value in change.values()),
                _tests(changes, audience),
                _types(changes, tables),
            )
            questions = _questions(changes, tables, audience)
            visible = {
                viewer: await rls.visible(connection, viewer, keys, tables)
                for viewer, keys in questions.items()
            }
        return Fanout(tables, self._typed, visible)


def _passage(change: Change) -> gate.Passage[Change]:
    """Changes of one row are those with the same key."""
    columns = change.relation.columns
    row = change.new or change.old or ()
    key = tuple(v for column, v in zip(columns, row, strict=False) if column.key)
    return gate.Passage(change, (change.relation.oid, key), change.relation.table)


def _types(changes: Iterable[Change], tables: Mapping[int, Table]) -> dict[int, str]:
    """SQL names of the types in `changes`.

    Raises:
        PollLost: A table is not the same now.
    """
    types: dict[int, str] = {}
    for relation in {id(change.relation): change.relation for change in changes}.values():
        table = tables.get(relation.oid)
        for column in relation.columns:
            now = table.column(column.name) if table is not None else None
            if now is None or now.type_oid != column.type_oid:
                name = f"{relation.schema}.{relation.table}"
                raise PollLost(f"column {column.name} of {name} changed since the commit")
            types[column.type_oid] = now.sql_type
    return types


def _tests(changes: Iterable[Change], audience: Audience) -> Iterable[Test]:
    for change in changes:
        for subscriber in audience[change.relation.oid]:
            for _, binding in subscriber.tables[change.relation.oid]:
                for filter_ in binding.filters:
                    if (test := filter_test(change, filter_)) is not None:
                        yield test


def _questions(
    changes: Iterable[Change], tables: Mapping[int, Table], audience: Audience
) -> dict[Viewer, dict[int, Collection[Key]]]:
    """For each viewer the keys about which the policies have to be asked, by table."""
    found: dict[Viewer, dict[int, dict[Key, None]]] = {}
    for change in changes:
        table = tables[change.relation.oid]
        if change.action == "DELETE" or not table.rls:
            continue
        key = primary_key(change, table)
        for viewer in {subscriber.viewer for subscriber in audience[table.oid]}:
            if refusal(change, table, viewer.role) is None:
                found.setdefault(viewer, {}).setdefault(table.oid, {})[key] = None
    return {viewer: dict(keys) for viewer, keys in found.items()}
