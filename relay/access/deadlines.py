"""Things to do at a time, for ten thousand connections without a timer each. Pure."""

import heapq
from collections.abc import Callable, Iterator
from itertools import count


class Deadline:
    """Something that is due at a time, unless it was cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """It will not be done."""
        self.action = None


class Deadlines:
    """What is due when; times in seconds of any one clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Deadline]] = []
        self._numbers = count()
        self._most = 64

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, time: float, action: Callable[[], None]) -> Deadline:
        """Notes what to do then."""
        deadline = Deadline(action)
        heapq.heappush(self._heap, (time, next(self._numbers), deadline))
        if len(self._heap) > self._most:
            self._forget_cancelled()
        return deadline

    def due(self, now: float) -> Iterator[Callable[[], None]]:
        """Takes out what is due, in the order of time."""
        while self._heap and self._heap[0][0] <= now:
            action = heapq.heappop(self._heap)[2].action
            if action is not None:
                yield action

    def _forget_cancelled(self) -> None:
        self._heap = [entry for entry in self._heap if entry[2].action is not None]
        heapq.heapify(self._heap)
        self._most = max(64, 2 * len(self._heap))
