"""Time slices, timeouts and deadlines for many connections without a task or timer each. Pure."""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Final, Generic, Protocol, TypeVar

from relay.stream.flusher import Schedule
from relay.time_slices import LONGEST_PAUSE_SECONDS

# A row on its way to clients takes some four turns of the loop, each with such a slice.
SLICE_SECONDS: Final = 0.002
# To write a piece takes a tenth of this. To filter or compress one may take ten times as much: then
# everybody else has as long afterwards.
COSTLY_SECONDS: Final = 0.0005


class Paced(Protocol):
    """A connection with work to do in turns."""

    queued: bool

    def step(self) -> bool:
        """Send a piece of bounded size; whether another one may follow."""


class Pacer:
    """Round-robin scheduler: gives connections turns within a time slice of each loop iteration.

    Args:
        schedule: Calls back later.
        now: Seconds of a monotonic clock.
        seconds: Length of the time slice, which also ends with a costly turn.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        now: Callable[[], float],
        seconds: float = SLICE_SECONDS,
    ) -> None:
        self._schedule = schedule
        self._now = now
        self._seconds = seconds
        self._queue: deque[Paced] = deque()
        self._scheduled = False

    def add(self, client: Paced) -> None:
        """Give the connection turns until its `step` returns false."""
        if not client.queued:
            client.queued = True
            self._queue.append(client)
            self._plan(0.0)

    def _plan(self, pause: float) -> None:
        if self._queue and not self._scheduled:
            self._scheduled = True
            self._schedule(pause, self._run)

    def _run(self) -> None:
        pause, now = 0.0, self._now()
        until = now + self._seconds
        try:
            while self._queue:
                client = self._queue.popleft()
                client.queued = False
                if client.step():
                    self.add(client)
                begun, now = now, self._now()
                if now - begun >= COSTLY_SECONDS:
                    pause = min(now - begun, LONGEST_PAUSE_SECONDS)
                if pause or now >= until:
                    break
        finally:
            self._scheduled = False
            self._plan(pause)


SLOT_SECONDS: Final = 0.25
# A process that stood still must not take everybody who could not answer for dead.
MOST_SLOTS_AT_ONCE: Final = 8

T = TypeVar("T")


class TimingWheel(Generic[T]):
    """Timing wheel: per-connection timeouts without a timer each.

    Timeouts up to `seconds` fit and are rounded up to a slot.
    """

    def __init__(self, seconds: float, now: float) -> None:
        self._slots: list[set[T]] = [set() for _ in range(int(seconds / SLOT_SECONDS) + 2)]
        self._next = 0
        self._turned_at = now

    def put(self, item: T, seconds: float, former: set[T] | None = None) -> set[T]:
        """Move the item from its `former` slot into the slot of that timeout, and return it."""
        self.forget(item, former)
        ahead = min(int(seconds / SLOT_SECONDS) + 1, len(self._slots) - 1)
        slot = self._slots[(self._next + ahead) % len(self._slots)]
        slot.add(item)
        return slot

    @staticmethod
    def hand_on(former: T, item: T, slot: set[T]) -> None:
        """Replace the `former` item of the slot."""
        slot.discard(former)
        slot.add(item)

    @staticmethod
    def forget(item: T, slot: set[T] | None) -> None:
        """Remove the item from the slot, if it is there."""
        if slot is not None:
            slot.discard(item)

    def due(self, now: float) -> Iterable[T]:
        """Remove and return the items that are due."""
        slots = int((now - self._turned_at) / SLOT_SECONDS)
        if slots > MOST_SLOTS_AT_ONCE:
            slots, self._turned_at = 1, now
        else:
            self._turned_at += slots * SLOT_SECONDS
        found: list[T] = []
        for _ in range(slots):
            slot = self._slots[self._next]
            found += slot
            slot.clear()
            self._next = (self._next + 1) % len(self._slots)
        return found


class Deadline:
    """A scheduled action that can be cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Deadlines:
    """Scheduled actions in a heap; times are seconds of any one clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Deadline]] = []
        self._numbers = count()
        self._most = 64

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, time: float, action: Callable[[], None]) -> Deadline:
        """Schedule the action."""
        deadline = Deadline(action)
        heapq.heappush(self._heap, (time, next(self._numbers), deadline))
        if len(self._heap) > self._most:
            self._forget_cancelled()
        return deadline

    def due(self, now: float) -> Iterator[Callable[[], None]]:
        """Remove and yield the actions that are due, in order of time."""
        while self._heap and self._heap[0][0] <= now:
            action = heapq.heappop(self._heap)[2].action
            if action is not None:
                yield action

    def _forget_cancelled(self) -> None:
        self._heap = [entry for entry in self._heap if entry[2].action is not None]
        heapq.heapify(self._heap)
        self._most = max(64, 2 * len(self._heap))
