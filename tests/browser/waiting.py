"""Waiting for what a test observes, without asking again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Changes:
    """Lets a condition be checked anew each time that what it depends on has changed."""

    def __init__(self) -> None:
        self._happened = asyncio.Event()

    def happened(self) -> None:
        """Something has changed."""
        self._happened.set()

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Returns once the condition holds. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._happened.clear()
                await self._happened.wait()
