"""Cooperative multitasking on the event loop: long computations run in short time slices.

What one client asks for may take 100 ms of work. Done in one go it would hold up every row that is
on its way to the others meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

SLICE_SECONDS: Final = 0.001
IDLE_SECONDS: Final = 0.00005
LONGEST_PAUSE_SECONDS: Final = 0.005


class TimeSlices:
    """Time slices that the computations of one process share: one has a slice at a time, in turns.

    After a slice the event loop has a turn. When there was something else to do in it, all of them
    pause for as long as the slice took: a row on its way to clients needs several turns, and none
    of the others should begin with another slice.

    Args:
        now: Seconds of a monotonic clock.
        seconds: How long a slice takes, and one item more.
    """

    def __init__(
        self, now: Callable[[], float] = time.monotonic, seconds: float = SLICE_SECONDS
    ) -> None:
        self._now = now
        self._seconds = seconds
        self._one_at_a_time = asyncio.Lock()

    async def collect(self, items: Iterable[T]) -> list[T]:
        """Return all items of a lazy iterable, each of which takes a short time to compute."""
        found: list[T] = []
        rest = iter(items)
        while True:
            async with self._one_at_a_time:  # it is fair: whoever waits is next
                begun = now = self._now()
                for item in rest:
                    found.append(item)
                    now = self._now()
                    if now - begun >= self._seconds:
                        break
                else:
                    return found
                await asyncio.sleep(0)
                if self._now() - now >= IDLE_SECONDS:
                    # A machine that stood still meanwhile must not make the pause longer.
                    await asyncio.sleep(min(now - begun, LONGEST_PAUSE_SECONDS))
