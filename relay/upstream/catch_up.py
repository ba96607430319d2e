"""Reads from the database what changed since the last time: it loses nothing.

Rules: once at start, which only takes the snapshot to begin from; then every `period` seconds
while the live lane is proven, every second while it is not, and at once when asked. Each run
pages up to the snapshot of its first page. The loop ends only when it is cancelled.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, NoReturn

from relay.changes.history import Seqs
from relay.changes.intake import Intake
from relay.changes.snapshot import Snapshot
from relay.errors import Unavailable
from relay.upstream.rest import Page, Rest
from relay.upstream.sources import Upstream

logger = logging.getLogger(__name__)

UNPROVEN_SECONDS: Final = 1.0
# Incomplete live rows ask for a run each; a flood of them must not turn into a flood of requests.
LEAST_PAUSE_SECONDS: Final = 0.02


class CatchUp:
    """Runs changes_since; calls `moved` after each run whose snapshot is a newer one, and `anew`
    when the database has another history."""

    def __init__(
        self,
        rest: Rest,
        intake: Intake,
        upstream: Upstream,
        *,
        period: float,
        now: Callable[[], float],
        moved: Callable[[], None],
        anew: Callable[[], None],
    ) -> None:
        self._rest = rest
        self._intake = intake
        self._upstream = upstream
        self._period = period
        self._now = now
        self._moved = moved
        self._anew = anew
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Runs at once, or once more when a run is under way."""
        self._requested.set()

    async def run(self) -> NoReturn:
        """Catches up until cancelled."""
        while True:
            self._requested.clear()
            await self._try()
            await asyncio.sleep(LEAST_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._requested.wait()

    async def once(self) -> None:
        """One complete run.

        Raises:
            Unavailable: a request failed or was answered by something else than the primary.
        """
        sent_at, seqs = self._now(), self._intake.streams.seqs()
        since = self._intake.feed.snapshot
        if since is None:
            first = await self._rest.changes_since(None, epoch=None, page=1)
            self._intake.begin(first.epoch, first.snapshot, seqs)
        else:
            await self._read(since, seqs)
        self._upstream.catch_up.completed(sent_at)
        if self._intake.feed.snapshot != since:
            self._moved()

    async def _read(self, since: Snapshot, seqs: Seqs) -> None:
        page = await self._rest.changes_since(since, epoch=self._intake.epoch)
        if page.reset:
            self._start_anew(page, seqs)
            return
        upto = page.snapshot
        if not upto.covers(since):
            raise Unavailable(f"changes_since went back from {since} to {upto}: not the primary?")
        self._intake.take(page.changes)
        while page.more:
            page = await self._rest.changes_since(
                since, epoch=self._intake.epoch, upto=upto, after=page.after
            )
            if page.reset:
                self._start_anew(page, seqs)
                return
            self._intake.take(page.changes)
        self._intake.complete(upto, seqs)

    def _start_anew(self, page: Page, seqs: Seqs) -> None:
        logger.warning(
            "the database has another history (%s, before %s): clients start anew",
            page.epoch,
            self._intake.epoch,
        )
        self._intake.begin(page.epoch, page.snapshot, seqs)
        self._anew()

    async def _try(self) -> None:
        before = self._upstream.catch_up.trouble
        try:
            await self.once()
        except Unavailable as error:
            self._upstream.catch_up.failed(str(error))
            if before is None:
                logger.warning("catch-up fails, trying on: %s", error)
        else:
            if before is not None:
                logger.info("catch-up works again")

    def _pause(self) -> float:
        proven = self._upstream.live.proven(self._now())
        if proven and self._upstream.catch_up.trouble is None:
            return self._period
        return min(self._period, UNPROVEN_SECONDS)
