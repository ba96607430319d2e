"""Status of the worker as the database knows it: last heartbeat, pending events.

Read over REST and not over Realtime: a table that a project has not published would end the
channel that all changes come through. Nothing of the relay depends on it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, NoReturn

from relay.errors import Unavailable
from relay.logs import FailureLog
from relay.upstream.rest import Rest

logger = logging.getLogger(__name__)

READ_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """Status of the workers; None where unknown.

    Attributes are seconds since the last heartbeat, since the queue was last empty, and since the
    first waiting event arrived, and the number of waiting events."""

    age_seconds: float | None
    last_scan_seconds: float | None
    pending: int | None
    oldest_pending_seconds: float | None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "WorkerStatus":
        """Parse the answer of worker_status(). Raises KeyError."""
        return cls(*(answer[field.name] for field in fields(cls)))

    def after(self, seconds: float) -> "WorkerStatus":
        """The same status, so many seconds later."""

        def older(age: float | None) -> float | None:
            return None if age is None else round(max(0.0, age + seconds), 3)

        return WorkerStatus(
            older(self.age_seconds),
            older(self.last_scan_seconds),
            self.pending,
            older(self.oldest_pending_seconds),
        )


class WorkerMonitor:
    """Reads the status every `READ_SECONDS`; the loop ends only when it is cancelled."""

    def __init__(self, rest: Rest, now: Callable[[], float]) -> None:
        self._rest = rest
        self._now = now
        self._read: tuple[WorkerStatus, float] | None = None
        self._failures = FailureLog(now)

    def status(self) -> WorkerStatus | None:
        """The status by now; None before the first answer."""
        if self._read is None:
            return None
        status, read_at = self._read
        return status.after(self._now() - read_at)

    async def run(self) -> NoReturn:
        """Read until cancelled."""
        while True:
            try:
                self._read = WorkerStatus.of(await self._rest.worker_status()), self._now()
            except (Unavailable, KeyError) as exc:
                if self._failures.failed(str(exc)):
                    logger.info("worker status unknown error=%r", str(exc))
            else:
                self._failures.worked()
            await asyncio.sleep(READ_SECONDS)
