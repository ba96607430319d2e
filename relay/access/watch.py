"""What each role may see, read from the database at the start and every minute.

As long as it was never read nobody is served. Later a failed read leaves the former answer in
force: the database that cannot be asked cannot have been changed by much.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from relay.access.policies import Access, Scoping, served
from relay.errors import Unavailable

logger = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0


class AccessWatch:
    """The newest answer of relay_access(); calls `changed` when it is another one than before."""

    def __init__(
        self,
        read: Callable[[], Awaitable[Access]],
        scoping: Scoping | None,
        changed: Callable[[], None],
    ) -> None:
        self._read = read
        self._scoping = scoping
        self._changed = changed
        self._failing = False
        self.access: Access | None = None

    async def run(self) -> NoReturn:
        """Keeps the answer fresh until cancelled."""
        while True:
            await self.refresh()
            never = self.access is None or self._failing
            await asyncio.sleep(RETRY_SECONDS if never else PERIOD_SECONDS)

    async def refresh(self) -> None:
        """Reads once; a failure is logged and nothing else."""
        try:
            access = await self._read()
        except Unavailable as error:
            if not self._failing:
                logger.warning("grants and policies cannot be read, trying on: %s", error)
            self._failing = True
            return
        self._failing = False
        if access == self.access:
            return
        self.access = access
        for role, reason in served(access, self._scoping).items():
            logger.info("tokens of role %s are not served: %s", role, reason)
        self._changed()
