"""Those who keep up: all of them are sent the same bytes at the same time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, Protocol, TypeVar

M = TypeVar("M")
Write = Callable[[bytes], None]

FEWEST_BATCHED: Final = 8  # below, preparing a batch costs more than it saves


class Batch(Protocol):
    """Sockets in an order, which are sent to all at once."""

    def append(self, descriptor: int) -> None:
        """One more, at the end."""

    def remove(self, place: int) -> None:
        """Takes the one at that place out; the last one takes its place."""

    def send(self, data: bytes) -> Sequence[tuple[int, int]]:
        """Sends as much as each takes at once; the place of those that did not take all, and how
        many bytes they took."""


class Crowd(Generic[M]):
    """Members with the way to each of them. Those who have a socket are sent to in one go where
    `batch`, asked when the first of them comes, has something for it."""

    def __init__(self, batch: Callable[[], Batch | None] = lambda: None) -> None:
        self._make = batch
        self._batch: Batch | None = None
        self._writes: dict[M, Write] = {}
        self._others: dict[M, Write] = {}
        self._members: list[M] = []  # in the order of the batch
        self._places: dict[M, int] = {}

    def __len__(self) -> int:
        return len(self._writes)

    def __contains__(self, member: M) -> bool:
        return member in self._writes

    def __iter__(self) -> Iterator[M]:
        return iter(self._writes)

    def add(self, member: M, write: Write, descriptor: int | None = None) -> None:
        """The member is sent to from now on: by `write`, or past it into the socket when nothing
        waits in there. Does nothing when it is."""
        if member in self._writes:
            return
        self._writes[member] = write
        if descriptor is not None and self._batch is None:
            self._batch = self._make()
        if descriptor is None or self._batch is None:
            self._others[member] = write
        else:
            self._places[member] = len(self._members)
            self._members.append(member)
            self._batch.append(descriptor)

    def discard(self, member: M) -> bool:
        """It is not sent to any more; whether it was."""
        if self._writes.pop(member, None) is None:
            return False
        place = self._places.pop(member, None)
        if place is None or self._batch is None:
            self._others.pop(member, None)
            return True
        self._batch.remove(place)
        last = self._members.pop()
        if last is not member:
            self._members[place] = last
            self._places[last] = place
        return True

    def send(self, data: bytes) -> None:
        """Sends to all; members must not come or go meanwhile."""
        if self._batch is None or len(self._members) < FEWEST_BATCHED:
            for write in self._writes.values():
                write(data)
            return
        for write in self._others.values():
            write(data)
        for place, taken in self._batch.send(data):
            self._writes[self._members[place]](data[taken:])
