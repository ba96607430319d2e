"""Deletes what is over and old, where the settings ask for it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from worker.database import Database
from worker.errors import WorkerError

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 3600.0
MOST_CALLS: Final = 100  # each takes thousands of rows


class Retention:
    """Prunes at most once an hour; with `keep_days` 0 never."""

    def __init__(self, keep_days: float) -> None:
        self._keep_days = keep_days
        self._due = time.monotonic()

    async def run(self, database: Database, stop: asyncio.Event) -> None:
        """Prune when it is time, until `stop` is set.

        Trouble is logged, and waited out until the next time.
        """
        if not self._keep_days or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + PAUSE_SECONDS
        total: dict[str, int] = {}
        try:
            for _ in range(MOST_CALLS):
                counts = await database.prune(self._keep_days)
                if stop.is_set() or not any(counts.values()):
                    break
                total = {name: total.get(name, 0) + counts[name] for name in counts}
        except WorkerError as exc:
            logger.warning("not pruned, next time in %.0f s: %s", PAUSE_SECONDS, exc)
        if total:
            logger.info("pruned %s", " ".join(f"{name}={n}" for name, n in total.items()))
