"""Rows that have arrived live and wait to be worked off, bounded."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from relay.upstream.lanes import Lane

Rows = Sequence[Mapping[str, Any]]


class Inbox:
    """Keeps the rows of whole frames in their order, `most_rows` at most; `room` is set while it
    is less than half full, and whoever fills it had better wait for that."""

    def __init__(self, most_rows: int) -> None:
        self._most_rows: Final = most_rows
        self._frames = deque[tuple[Lane, Rows]]()
        self._rows = 0
        self._filled = asyncio.Event()
        self.room: Final = asyncio.Event()
        self.room.set()

    def put(self, lane: Lane, rows: Rows) -> bool:
        """Takes the rows of a frame; false when there is no room for them."""
        if self._rows + len(rows) > self._most_rows and self._rows:
            return False
        self._frames.append((lane, rows))
        self._count(len(rows))
        self._filled.set()
        return True

    async def take(self, wanted: int) -> list[tuple[Lane, Rows]]:
        """Waits for a frame, and takes as many as there are until `wanted` rows are reached."""
        await self._filled.wait()
        taken, count = [self._frames.popleft()], 0
        while (count := count + len(taken[-1][1])) < wanted and self._frames:
            taken.append(self._frames.popleft())
        self._count(-count)
        if not self._frames:
            self._filled.clear()
        return taken

    def _count(self, rows: int) -> None:
        self._rows += rows
        if 2 * self._rows < self._most_rows:
            self.room.set()
        else:
            self.room.clear()
