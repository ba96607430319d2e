"""Heartbeat: the relay's own row, whose return over Realtime proves the live lane.

Its counter, the beat, also vouches for cursors. Whatever a cursor names was read before the beat
that it names was written, so a database that knows the beat knows all that the cursor shows: also
one that was restored from an image of the disk, which keeps its epoch. And a beat that has gone
back tells a relay that lives on that this has happened.

Rules: one beat every `BEAT_SECONDS` and at each request, a failed one again after
`RETRY_SECONDS`. The loop ends only when it is cancelled.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from relay.errors import Unavailable
from relay.logs import FailureLog
from relay.upstream.loss import ActiveClock
from relay.upstream.rest import Rest

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Identity:
    """This process: its instance and the newest beat that the database has confirmed."""

    instance: str
    beat: int = 0

    def renew(self) -> None:
        """Take a new identity: cursors of a former history count as another relay's."""
        self.instance, self.beat = str(uuid.uuid4()), 0


BEAT_SECONDS: Final = 20.0
RETRY_SECONDS: Final = 2.0
CONFIRM_SECONDS: Final = 3.0


class Heartbeat:
    """Writes the heartbeat row and measures how long it takes to come back over Realtime.

    `went_back` is set once the database has lost a beat that it had confirmed; `trouble` is why the
    last one was not written, None if it was.
    """

    def __init__(self, rest: Rest, identity: Identity, now: Callable[[], float]) -> None:
        self._rest = rest
        self._identity = identity
        self._now = now
        self._active_clock = ActiveClock()
        self._requested = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._tried = 0
        self._waiting_since: float | None = None
        self.went_back = False
        self.trouble: str | None = None
        self._failures = FailureLog(now)

    def request(self) -> None:
        """Write a beat at once."""
        self._waiting_since = None
        self._requested.set()

    def remind(self) -> None:
        """Write a beat at once, without more time for one that is on its way back."""
        self._requested.set()

    def came_back(self) -> None:
        """Note that the live lane delivered something."""
        self._waiting_since = None

    def overdue_seconds(self) -> float:
        """Return for how many seconds a beat has been on its way back; 0 if none is.

        Only time in which this process ran counts. To be called every second.
        """
        awake = self._active_clock.seconds(self._now())
        return 0.0 if self._waiting_since is None else awake - self._waiting_since

    async def run(self) -> NoReturn:
        """Write beats until cancelled."""
        while True:
            self._requested.clear()
            pause = BEAT_SECONDS if await self._beat() else RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._requested.wait()

    async def vouch(self) -> bool:
        """Write a beat that vouches for all that was read before.

        Returns:
            False if that failed, or the database has lost a confirmed beat.
        """
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                return await self._beat() and not self.went_back
        except TimeoutError:
            return False

    def disown(self) -> None:
        """Withhold cursors until the next beat: none vouches for what was read last."""
        self._identity.beat = 0

    async def _beat(self) -> bool:
        async with self._one_at_a_time:
            # Never the same one twice: who gave up may have written it all the same.
            self._tried = beat = max(self._tried, self._identity.beat) + 1
            instance, sent_at = self._identity.instance, self._active_clock.seconds(self._now())
            # Waiting begins with the request: the row may come back before the answer to it.
            fresh = self._waiting_since is None
            if fresh:
                self._waiting_since = sent_at
            try:
                before = await self._rest.heartbeat(instance, beat)
            except Unavailable as exc:
                if fresh and self._waiting_since == sent_at:
                    self._waiting_since = None
                self.trouble = str(exc)
                if self._failures.failed(self.trouble):
                    logger.warning("heartbeat is not written, retrying error=%r", self.trouble)
                return False
            self.trouble = None
            self._failures.worked()
            if instance == self._identity.instance:
                self.went_back |= before < self._identity.beat
                self._identity.beat = beat
            return True
