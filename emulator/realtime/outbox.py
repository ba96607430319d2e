"""The bounded queue of frames that wait to leave one socket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable


class Overflow(Exception):
    """The client reads too slowly: more waits for it than the limits allow."""


class Outbox:
    """Frames leave in order; `put` and `pause` never block.

    What goes over a limit is dropped and makes `watch` raise Overflow.
    """

    def __init__(self, max_frames: int, max_characters: int) -> None:
        self._queue: deque[str | float] = deque()
        self._room, self._characters_left = max_frames, max_characters
        self._filled = asyncio.Event()
        self._overflown = asyncio.Event()

    def put(self, frame: str) -> None:
        """Send `frame` after what is queued already."""
        if len(self._queue) >= self._room or len(frame) > self._characters_left:
            self._overflown.set()
        else:
            self._characters_left -= len(frame)
            self._queue.append(frame)
        self._filled.set()

    def pause(self, seconds: float) -> None:
        """Let nothing that is put from now on leave before `seconds` have passed."""
        self._queue.append(seconds)
        self._filled.set()

    async def drain(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send for ever; ends with what `send` raises."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                entry = self._queue.popleft()
                if isinstance(entry, str):
                    self._characters_left += len(entry)
                    await send(entry)
                else:
                    await asyncio.sleep(entry)

    async def watch(self) -> None:
        """Wait for ever; ends with Overflow. A task of its own, since sending may never end."""
        await self._overflown.wait()
        raise Overflow
