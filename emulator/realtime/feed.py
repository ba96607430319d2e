"""The stream of committed changes as the poller has it: read once, and gone with its slot."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import psycopg

from emulator.faults import Faults
from emulator.realtime.backoff import Backoff
from emulator.realtime.changes import Change, Transactions
from emulator.realtime.replication import stream
from emulator.realtime.settings import RealtimeSettings

logger = logging.getLogger(__name__)

QUEUED_CHANGES = 20_000  # beyond that PostgreSQL keeps them
POLLER = "realtime_rls"  # application_name of the real poller, to find it by


class Feed:
    """`changes` waits to be polled while `running` is set.

    When the stream ends, what nobody polled is lost with it, and what is committed until the next
    one too. After too long without one it gives up, and begins again when it is woken.
    """

    def __init__(self, dsn: str, settings: RealtimeSettings, faults: Faults) -> None:
        self._dsn = dsn
        self._settings = settings
        self._faults = faults
        self.changes: asyncio.Queue[Change] = asyncio.Queue(QUEUED_CHANGES)
        self.running = asyncio.Event()
        self._woken = asyncio.Event()
        self._scope: asyncio.Timeout | None = None
        self._streamed_at = time.monotonic()

    async def run(self, on_give_up: Callable[[], None]) -> None:
        """Stream for ever; `on_give_up` is called each time that it gives up."""
        while True:
            await self._keep_streaming()
            logger.warning("replication given up until the next join")
            on_give_up()
            self._woken.clear()
            await self._woken.wait()
            self._streamed_at = time.monotonic()

    def wake(self) -> None:
        """Begin again, if it has given up."""
        self._woken.set()

    def restart(self) -> None:
        """Drop the stream, as the poller does when a poll breaks its connection."""
        if self._scope is not None and self.running.is_set():
            self._scope.reschedule(asyncio.get_running_loop().time())

    def away_seconds(self) -> float:
        """For how long there has been no stream."""
        return 0.0 if self.running.is_set() else time.monotonic() - self._streamed_at

    async def _keep_streaming(self) -> None:
        backoff = Backoff(self._settings.reconnect_ms, self._settings.longest_reconnect_ms)
        while self.away_seconds() < self._settings.give_up_seconds:
            try:
                await self._stream()
            except TimeoutError:
                logger.warning("replication restarted reason=%r", "a poll broke its connection")
            except psycopg.Error as exc:
                logger.warning("replication interrupted error=%r", str(exc).strip())
            finally:
                if self.running.is_set():
                    backoff.reset()
                    self._streamed_at = time.monotonic()
                self._drop()
            await backoff.pause()

    async def _stream(self) -> None:
        transactions = Transactions()
        publication = self._settings.publication
        async with asyncio.timeout(None) as self._scope:
            async for message in stream(self._dsn, publication, self.running, POLLER):
                if (change := transactions.change(message)) is not None:
                    await self.changes.put(change)

    def _drop(self) -> None:
        self._scope = None
        self.running.clear()
        self._faults.lost["interrupted"] += self.changes.qsize()
        while not self.changes.empty():
            self.changes.get_nowait()
