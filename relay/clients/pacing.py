"""Clients that have much to get take turns, so that nobody else waits for them."""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

SLICE_SECONDS: Final = 0.005


class Paced(Protocol):
    """Somebody with something to catch up with."""

    queued: bool

    def step(self) -> bool:
        """Sends a piece of bounded size; whether another one may follow."""


class Pacer:
    """Gives turns for so many `seconds` of each turn of the loop; `soon` calls back after it."""

    def __init__(
        self,
        *,
        soon: Callable[[Callable[[], None]], object],
        now: Callable[[], float],
        seconds: float = SLICE_SECONDS,
    ) -> None:
        self._soon = soon
        self._now = now
        self._seconds = seconds
        self._queue: deque[Paced] = deque()
        self._scheduled = False

    def add(self, client: Paced) -> None:
        """The client gets turns until it wants no more."""
        if not client.queued:
            client.queued = True
            self._queue.append(client)
            self._plan()

    def _plan(self) -> None:
        if self._queue and not self._scheduled:
            self._scheduled = True
            self._soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        until = self._now() + self._seconds
        try:
            while self._queue:
                client = self._queue.popleft()
                client.queued = False
                if client.step():
                    self.add(client)
                if self._now() >= until:
                    break
        finally:
            self._plan()
