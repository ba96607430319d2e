"""The tenant's rate limit: an average over a long window, so that a burst is punished later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

TICKS = 60


class RateCounter:
    """Counts events; `exceeded` once their average over the window is above `limit` a second.

    The window has 60 ticks of `tick_seconds`, and what happened in a tick is known when the next
    one ends: until then a burst passes whole, whatever its size. A limit of None is never
    exceeded. `clock` gives seconds.
    """

    def __init__(
        self, limit: float | None, tick_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._limit = limit
        self._tick_seconds = tick_seconds
        self._clock = clock
        self._ticks: deque[int] = deque([0] * (TICKS + 1), maxlen=TICKS + 1)
        self._now = 0
        self._ticked_at = clock()

    def add(self, events: int) -> None:
        """Count events that were sent."""
        self._pass()
        self._now += events

    def exceeded(self) -> bool:
        """Whether everything has to be dropped now."""
        if self._limit is None:
            return False
        self._pass()
        return sum(islice(self._ticks, TICKS)) > self._limit * TICKS * self._tick_seconds

    def _pass(self) -> None:
        passed = int((self._clock() - self._ticked_at) / self._tick_seconds)
        self._ticked_at += passed * self._tick_seconds
        for _ in range(min(passed, TICKS + 2)):
            self._ticks.append(self._now)
            self._now = 0
