"""The worker's row in worker_heartbeats: it tells everybody that the worker lives, and coming back
over Realtime it proves the worker's channel.

Rules: a beat every `BEAT_SECONDS` and when asked for, but at most one in `LEAST_SECONDS`. One that
cannot be written is only logged. The loop ends only when it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final, NoReturn
from uuid import UUID

from worker.database import Database, Row
from worker.errors import WorkerError
from worker.logs import FailureLog
from worker.severity import Thresholds

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 20.0
LEAST_SECONDS: Final = 1.0
LIVING: Final = timedelta(seconds=3 * BEAT_SECONDS)  # whoever was heard of since then
# Between the times of a row that was written once, and until a service has written it again.
ONCE: Final = timedelta(seconds=LEAST_SECONDS / 2)
AGAIN: Final = timedelta(seconds=1.25 * BEAT_SECONDS)


class Heartbeat:
    """Writes beats; `waiting` while one was written that has not come back over Realtime."""

    def __init__(self, database: Database, holder: UUID, thresholds: Thresholds) -> None:
        self.holder: Final = holder
        self._limits: Final = asdict(thresholds)
        self.waiting = False
        self._database = database
        self._requested = asyncio.Event()
        self._scanned_at: float | None = None
        self._failures = FailureLog()
        self._looking = True  # for other workers
        self._told: set[str] = set()

    def request(self) -> None:
        """Beat soon, for a channel that has yet to bring any."""
        self.waiting = False
        self._requested.set()

    def came_back(self) -> None:
        """The channel brought the row."""
        self.waiting = False

    def scanned(self, *, routine: bool) -> None:
        """A scan left nothing to do; unless it was `routine` that is told soon."""
        self._scanned_at = time.monotonic()
        if not routine:
            self._requested.set()

    async def run(self) -> NoReturn:
        """Beat until cancelled."""
        while True:
            self._requested.clear()
            await self.beat()
            await asyncio.sleep(LEAST_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._requested.wait()

    async def beat(self) -> None:
        """Write the row once; trouble is logged when it begins and when its cause changes."""
        scanned_at, self._scanned_at = self._scanned_at, None
        scanned = None if scanned_at is None else time.monotonic() - scanned_at
        # The row may come back before the answer to its request.
        fresh, self.waiting = not self.waiting, True
        try:
            own = await self._database.heartbeat(self.holder, scanned, self._limits)
        except WorkerError as exc:
            self.waiting = self.waiting and not fresh
            self._scanned_at = self._scanned_at or scanned_at
            if self._failures.failed(str(exc)):
                logger.warning("no heartbeat is written, trying on: %s", exc)
        else:
            self._failures.worked()
            if self._looking:
                await self._look_for_others(own)

    async def _look_for_others(self, own: Row) -> None:
        """Say once which other workers live: two of them by mistake look like one that idles.

        A single scan writes its row once, when it ends: it is no other worker any more. Whether a
        new row is of such a one or of a service that has just started is seen at a later beat.
        """
        now = datetime.fromisoformat(own["seen_at"])  # by the clock of the database
        try:
            rows = await self._database.select("worker_heartbeats", "holder")
        except WorkerError:
            return  # the next beat looks again
        self._looking = False
        for row in rows:
            holder, seen_at = row["holder"], datetime.fromisoformat(row["seen_at"])
            silent = now - seen_at
            if holder in (str(self.holder), *self._told) or silent > LIVING:
                continue
            if seen_at - datetime.fromisoformat(row["started_at"]) < ONCE:
                self._looking |= silent < AGAIN
                continue
            self._told.add(holder)
            logger.info(
                "another worker is active: %s, started %s, heard of %.0f s ago; one of them scans"
                " at a time, and the other takes over when it stops",
                holder,
                row["started_at"][:19],
                max(0.0, silent.total_seconds()),
            )
