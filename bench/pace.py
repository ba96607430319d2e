"""When rows are due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

TICKS_PER_SECOND = 1000


async def due(rows: int, per_second: float) -> AsyncIterator[int]:
    """How many rows are due at each step until `rows` were; all at once when `per_second` is 0."""
    if not per_second:
        yield rows
        return
    began, sent = time.monotonic(), 0
    while sent < rows:
        now = time.monotonic() - began
        ready = min(rows, int(now * per_second) + 1) - sent
        if ready > 0:
            yield ready
            sent += ready
        else:
            await asyncio.sleep(max((sent / per_second) - now, 1 / TICKS_PER_SECOND))
