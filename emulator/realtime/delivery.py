"""Polls committed changes and serves them to the subscribers that may see them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from emulator.realtime import catalog, rls
from emulator.realtime.changes import Change
from emulator.realtime.fanout import (
    Fanout,
    Subscriber,
    Test,
    filter_test,
    primary_key,
    refusal,
)
from emulator.realtime.settings import RealtimeSettings
from emulator.realtime.tables import Key, Table, Viewer
from emulator.realtime.typed import Typed

logger = logging.getLogger(__name__)

IDLE_POLLS = 5  # an idle poller waits that many times longer
VISIBLE_SECONDS = 0.001
PARTLY_IDLE_POLLS = 1.75  # changes came, but for nobody

Pool = AsyncConnectionPool[catalog.Connection]
Audience = Mapping[int, Sequence[Subscriber]]


class PollLost(Exception):
    """The tables no longer fit the changes of this poll, so that nobody gets any of them."""


class Delivery:
    """Subscribers, and the loop that serves them from a queue of changes."""

    def __init__(
        self, pool: Pool, changes: asyncio.Queue[Change], settings: RealtimeSettings
    ) -> None:
        self._pool = pool
        self._changes = changes
        self._settings = settings
        self._typed = Typed()
        self._by_table: dict[int, dict[Subscriber, None]] = {}

    def add(self, subscriber: Subscriber) -> None:
        """Serve `subscriber` what is polled from now on."""
        for oid in subscriber.tables:
            self._by_table.setdefault(oid, {})[subscriber] = None

    def remove(self, subscriber: Subscriber) -> None:
        """Serve it no more, at once."""
        for oid in subscriber.tables:
            others = self._by_table.get(oid, {})
            others.pop(subscriber, None)
            if not others:
                self._by_table.pop(oid, None)

    async def run(self) -> None:
        """Poll for ever. A poll that fails is lost for all subscribers, as in the real server."""
        factor: float = IDLE_POLLS
        while True:
            await asyncio.sleep(self._settings.poll_ms * factor / 1000)
            batch = await self._poll()
            factor = PARTLY_IDLE_POLLS if batch else IDLE_POLLS
            try:
                if await self._serve(batch):
                    factor = 0
            except (psycopg.Error, PoolTimeout, PollLost) as error:
                logger.warning("a poll with %d changes is lost: %s", len(batch), error)

    async def _poll(self) -> list[Change]:
        batch: list[Change] = []
        if self._settings.poll_ms == 0:
            batch.append(await self._changes.get())
        while not self._changes.empty() and len(batch) < self._settings.max_changes_per_poll:
            batch.append(self._changes.get_nowait())
        return batch

    async def _serve(self, batch: Sequence[Change]) -> bool:
        """Deliver; whether anything was for anybody. Raises psycopg.Error, PollLost."""
        oids = {change.relation.oid for change in batch} & self._by_table.keys()
        if not oids:
            return False
        # Who joins while the database is being asked gets nothing of this poll.
        audience = {oid: tuple(self._by_table[oid]) for oid in oids}
        wanted = [change for change in batch if change.relation.oid in oids]
        fanout = await self._ask(wanted, audience)
        for change in wanted:
            present = self._by_table.get(change.relation.oid, {})
            fanout.offer(change, [s for s in audience[change.relation.oid] if s in present])
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


def _types(changes: Iterable[Change], tables: Mapping[int, Table]) -> dict[int, str]:
    """SQL names of the types in `changes`; raises PollLost when a table is not the same now."""
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
