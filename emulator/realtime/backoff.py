"""Growing random pauses between attempts."""

from __future__ import annotations

import asyncio
import random

GROWTH = 3.0


class Backoff:
    """Each pause is drawn between `first_ms` and three times the one before, up to `longest_ms`."""

    def __init__(self, first_ms: float, longest_ms: float) -> None:
        self._first, self._longest = first_ms / 1000, longest_ms / 1000
        self._last = self._first

    def reset(self) -> None:
        """Begin again with short pauses, after a success."""
        self._last = self._first

    def next_seconds(self) -> float:
        """How long to wait now."""
        highest = min(self._last * GROWTH, self._longest)
        self._last = random.uniform(min(self._first, highest), highest)  # noqa: S311 - no secret
        return self._last

    async def pause(self) -> None:
        """Wait that long."""
        await asyncio.sleep(self.next_seconds())
