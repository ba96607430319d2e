"""The relay's own row: written on and on, it comes back over Realtime and proves it.

Rules: one beat every `BEAT_SECONDS` and at each request, a failed one again after
`RETRY_SECONDS`. The loop ends only when it is cancelled.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, NoReturn

from relay.clients.places import Identity
from relay.errors import Unavailable
from relay.upstream.awake import Awake
from relay.upstream.rest import Rest

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 20.0
RETRY_SECONDS: Final = 2.0


class Heartbeat:
    """Writes beats and knows since when one is waiting to come back."""

    def __init__(self, rest: Rest, identity: Identity, now: Callable[[], float]) -> None:
        self._rest = rest
        self._identity = identity
        self._now = now
        self._awake = Awake()
        self._requested = asyncio.Event()
        self._waiting_since: float | None = None

    def request(self) -> None:
        """Beats at once."""
        self._waiting_since = None
        self._requested.set()

    def came_back(self) -> None:
        """The live lane delivered something."""
        self._waiting_since = None

    def overdue_seconds(self) -> float:
        """How long a written beat has been waiting to come back, while this process ran; 0 when
        none is. To be called every second."""
        awake = self._awake.seconds(self._now())
        return 0.0 if self._waiting_since is None else awake - self._waiting_since

    async def run(self) -> NoReturn:
        """Beats until cancelled."""
        while True:
            self._requested.clear()
            pause = BEAT_SECONDS if await self._beat() else RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._requested.wait()

    async def _beat(self) -> bool:
        instance, beat = self._identity.instance, self._identity.beat + 1
        sent_at = self._awake.seconds(self._now())
        # Waiting begins with the request: the row may come back before the answer to it.
        fresh = self._waiting_since is None
        if fresh:
            self._waiting_since = sent_at
        try:
            await self._rest.heartbeat(instance, beat)
        except Unavailable as error:
            if fresh and self._waiting_since == sent_at:
                self._waiting_since = None
            logger.debug("heartbeat not written: %s", error)
            return False
        if instance == self._identity.instance:
            self._identity.beat = beat
        return True
