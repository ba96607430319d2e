"""The service: scans on its schedule, when Realtime announces work, and when a poll finds some."""

from __future__ import annotations

import asyncio
import logging
import time

from worker.database import Database
from worker.errors import SchemaMissing, Unauthorized, WorkerError
from worker.heartbeat import Heartbeat
from worker.logs import FailureLog
from worker.realtime import follow
from worker.retention import Retention
from worker.scan import ScanOptions, scan
from worker.settings import Settings

logger = logging.getLogger(__name__)


async def run(
    settings: Settings, database: Database, plan: ScanOptions, stop: asyncio.Event
) -> None:
    """Scan until `stop` is set, then finish the batch in flight within the grace time.

    Raises Unauthorized when the key is refused, and SchemaMissing when the migrations are not
    applied, before anything has worked; any other failure of Supabase is waited out.
    """
    wake = asyncio.Event()
    stopped = asyncio.create_task(stop.wait(), name="stop")
    stopped.add_done_callback(lambda _: wake.set())
    heartbeat = Heartbeat(database, plan.holder, plan.rules.thresholds)
    beating = asyncio.create_task(heartbeat.run(), name="heartbeat")
    follower = asyncio.create_task(
        follow(settings.realtime_url, settings.secret_key, wake, heartbeat), name="realtime"
    )
    schedule = _Schedule(settings, database, plan, heartbeat)
    work = asyncio.create_task(schedule.work(wake, stop), name="scans")
    tasks = (work, stopped, follower, beating)
    try:
        # These two never end by themselves. If one does all the same, the worker ends, loudly.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in (follower, beating):
            if task.done():
                await task
        await _finish(work, settings.grace_seconds)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _finish(work: asyncio.Task[None], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        logger.warning("stopped in the middle of a batch; the next scan works it off")


class _Schedule:
    """When to scan, and what has been logged about it."""

    def __init__(
        self, settings: Settings, database: Database, plan: ScanOptions, heartbeat: Heartbeat
    ) -> None:
        self._settings = settings
        self._database = database
        self._plan = plan
        self._heartbeat = heartbeat
        self._due = time.monotonic() + settings.scan_seconds
        self._retention = Retention(settings.keep_days)
        self._reached = False
        self._failures = FailureLog()
        self._held = False

    async def work(self, wake: asyncio.Event, stop: asyncio.Event) -> None:
        """Scan until `stop` is set."""
        while True:
            wake.clear()
            if stop.is_set():
                return
            await self._scan(stop)
            pause = min(self._settings.poll_seconds, max(0.0, self._due - time.monotonic()))
            try:
                async with asyncio.timeout(pause):
                    await wake.wait()
            except TimeoutError:
                continue

    async def _scan(self, stop: asyncio.Event) -> None:
        reason = "poll"
        if time.monotonic() >= self._due:
            reason = "schedule"
            self._due = time.monotonic() + self._settings.scan_seconds
        try:
            summary = await scan(self._database, self._plan, reason, stop)
        except (Unauthorized, SchemaMissing) as exc:
            if not self._reached:
                raise
            self._note(str(exc))
        except WorkerError as exc:
            self._note(str(exc))
        else:
            self._reached = True
            if summary.outcome in ("done", "idle"):
                self._heartbeat.scanned(routine=summary.outcome == "idle")
            if self._failures.worked():
                logger.info("scanning again")
            news = not summary.routine or (summary.outcome == "held" and not self._held)
            self._held = summary.outcome == "held"
            logger.log(logging.INFO if news else logging.DEBUG, "%s", summary)
            await self._retention.run(self._database, stop)

    def _note(self, trouble: str) -> None:
        if self._failures.failed(trouble):
            logger.warning("no scan, trying again: %s", trouble)
