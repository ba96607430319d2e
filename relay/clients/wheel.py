"""One clock for what has to be done with each of many clients some seconds from now. Pure."""

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

SLOT_SECONDS: Final = 0.25
# A process that stood still must not take everybody who could not answer for dead.
MOST_SLOTS_AT_ONCE: Final = 8

T = TypeVar("T")


class Wheel(Generic[T]):
    """Slots that come due one after the other; times up to `seconds` fit, rounded up to a slot."""

    def __init__(self, seconds: float, now: float) -> None:
        self._slots: list[set[T]] = [set() for _ in range(int(seconds / SLOT_SECONDS) + 2)]
        self._next = 0
        self._turned_at = now

    def put(self, item: T, seconds: float, former: set[T] | None = None) -> set[T]:
        """The slot that the item is in from now on, and in the `former` one no more."""
        self.forget(item, former)
        ahead = min(int(seconds / SLOT_SECONDS) + 1, len(self._slots) - 1)
        slot = self._slots[(self._next + ahead) % len(self._slots)]
        slot.add(item)
        return slot

    @staticmethod
    def hand_on(former: T, item: T, slot: set[T]) -> None:
        """Puts the item into the slot in place of the `former` one."""
        slot.discard(former)
        slot.add(item)

    @staticmethod
    def forget(item: T, slot: set[T] | None) -> None:
        """Takes the item out of the slot; does no harm when it is not there any more."""
        if slot is not None:
            slot.discard(item)

    def due(self, now: float) -> Iterable[T]:
        """Takes out what is due by now."""
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
