"""Following Realtime for queued scans. It only wakes the worker; nothing depends on it.

The official client gives up after some attempts, and a callback that raises leaves it deaf. So:
a fresh client per attempt with its own reconnection switched off, callbacks that only set events,
and attempts for ever.

A channel can be joined, open and silent for good: after PostgreSQL was away for a while, where a
table is not published, or when the client has stopped reading. So it also carries the worker's own
heartbeat row. Only that row's return proves it, and a row that does not come back ends the attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Any

from realtime import (
    AsyncRealtimeClient,
    RealtimePostgresChangesListenEvent,
    RealtimeSubscribeStates,
)

from worker.heartbeat import Heartbeat
from worker.logs import FailureLog

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds
INSERT = RealtimePostgresChangesListenEvent.Insert
ANY = RealtimePostgresChangesListenEvent.All
HEARTBEATS = "worker_heartbeats"
UNPUBLISHED = (
    "apply supabase/migrations, or publish it by"
    f" `alter publication supabase_realtime add table public.{HEARTBEATS}`"
)
RETURN_SECONDS = 15  # the slowest healthy return took less than one
READY_SECONDS = 40.0  # a cold Realtime answers a join after up to 10 s, and connects slowly
CLOSE_SECONDS = 3.0


async def follow(
    url: str,
    key: str,
    wake: asyncio.Event,
    heartbeat: Heartbeat,
    *,
    longest_pause: float = LONGEST_PAUSE,
) -> None:
    """Set `wake` whenever a scan row appears and after each subscription; ends when cancelled."""
    attempt, failures = 0, FailureLog()
    while True:
        subscription = _Subscription(url, key, wake, heartbeat)
        try:
            await subscription.run()
        except Exception as exc:  # noqa: BLE001 - the client raises anything; the poll goes on
            reason = f"{type(exc).__name__}: {exc}"
        else:
            reason = subscription.reason
        if subscription.proven:
            attempt = 0
            failures.worked()
        if failures.failed(reason):
            remedy = f"; {UNPUBLISHED}" if f"table: {HEARTBEATS}" in reason else ""
            logger.warning("without Realtime, polling meanwhile: %s%s", reason, remedy)
        await asyncio.sleep(pause(attempt, random.random(), longest_pause))  # noqa: S311 - jitter
        attempt += 1


def pause(attempt: int, chance: float, longest: float = LONGEST_PAUSE) -> float:
    """Give the seconds to wait before the next attempt; `chance` is between 0 and 1."""
    upper = min(longest, FIRST_PAUSE * 2.0 ** min(attempt, 10))
    return upper * (0.5 + chance / 2)


class _Subscription:
    """One attempt: one client, one channel."""

    def __init__(self, url: str, key: str, wake: asyncio.Event, heartbeat: Heartbeat) -> None:
        self.proven = False
        self.reason = "the connection was lost"
        self._wake = wake
        self._heartbeat = heartbeat
        self._lost = asyncio.Event()
        self._ready_or_lost = asyncio.Event()
        self._client = AsyncRealtimeClient(url, token=key, auto_reconnect=False)

    async def run(self) -> None:
        """Return when the subscription is lost; raise when it could not be made."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._client.connect()
                channel = self._client.channel("worker-scans")
                channel.on_postgres_changes(INSERT, self._on_row, table="scans", schema="public")
                channel.on_postgres_changes(
                    ANY,
                    self._on_heartbeat,
                    table=HEARTBEATS,
                    schema="public",
                    filter=f"holder=eq.{self._heartbeat.holder}",
                )
                channel.on_system(self._on_system)
                await channel.subscribe(self._on_state)
                await self._ready_or_lost.wait()
            await self._watch()
        finally:
            await self._close()

    async def _watch(self) -> None:
        """Return when the subscription is lost, or brings no heartbeat row."""
        self._heartbeat.request()
        missed = 0  # counted, since time in which this process stood still proves nothing
        while not self._lost.is_set() and missed < RETURN_SECONDS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._lost.wait()
            missed = missed + 1 if self._heartbeat.waiting else 0
        self._end(f"the heartbeat row did not come back within {RETURN_SECONDS} s")

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.close()
        except Exception as exc:  # noqa: BLE001 - this client is thrown away in any case
            logger.debug("closing the Realtime client: %s", exc)

    # The callbacks run inside the client's reading task: an exception would end it silently.

    def _on_row(self, payload: Any) -> None:
        self._wake.set()

    def _on_heartbeat(self, payload: Any) -> None:
        self._heartbeat.came_back()
        if not self.proven:
            logger.info("following Realtime")
        self.proven = True

    def _on_system(self, payload: Any) -> None:
        # Joined means nothing; after this message changes should flow.
        self._ready_or_lost.set()
        self._wake.set()

    def _on_state(self, state: RealtimeSubscribeStates, error: Exception | None) -> None:
        if state is not RealtimeSubscribeStates.SUBSCRIBED:
            self._end(f"{state.value} {error or ''}".strip())

    def _end(self, reason: str) -> None:
        if not self._lost.is_set():
            self.reason = reason
        self._lost.set()
        self._ready_or_lost.set()
