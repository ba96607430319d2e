"""Subscribers of a group that are caught up: each flush sends all of them the same bytes.

Where they are many this takes several steps; those that come meanwhile have to get the piece too,
and those that go must not get it twice.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar

M = TypeVar("M")
Write = Callable[[bytes], None]

FEWEST_BATCHED: Final = 8  # below, preparing a batch costs more than it saves


class Batch(Protocol):
    """Sockets in an order that can be sent the same bytes by one call."""

    def append(self, descriptor: int) -> None:
        """Append a socket."""

    def swap(self, one: int, other: int) -> None:
        """Swap two sockets."""

    def pop(self) -> None:
        """Remove the last socket."""

    def extend(self, sockets: Self) -> None:
        """Append the sockets of another batch."""

    def send(self, data: bytes, start: int, stop: int) -> Sequence[tuple[int, int]]:
        """Write to the sockets in `start:stop` what each takes at once.

        Returns:
            Place and number of bytes taken, for each socket that did not take everything.
        """


class _SendOrder(Generic[M]):
    """Ordered subscribers, of which the first `served` have had the current piece."""

    def __init__(self, batch: Batch | None = None) -> None:
        self.batch: Final = batch
        self.members: Final[list[M]] = []
        self.served = 0
        self._places: dict[M, int] = {}

    def __contains__(self, member: M) -> bool:
        return member in self._places

    def add(self, member: M, descriptor: int | None) -> None:
        """Append a subscriber that has not been served."""
        self._places[member] = len(self.members)
        self.members.append(member)
        if self.batch is not None and descriptor is not None:
            self.batch.append(descriptor)

    def discard(self, member: M) -> bool:
        """Remove a subscriber; return whether it had been served."""
        place, last = self._places[member], len(self.members) - 1
        served = place < self.served
        if served:  # the last of the served ones takes its place
            self.served -= 1
            self._swap(place, self.served)
            place = self.served
        self._swap(place, last)
        self.members.pop()
        del self._places[member]
        if self.batch is not None:
            self.batch.pop()
        return served

    def _swap(self, one: int, other: int) -> None:
        if one == other:
            return
        members, places = self.members, self._places
        members[one], members[other] = members[other], members[one]
        places[members[one]], places[members[other]] = one, other
        if self.batch is not None:
            self.batch.swap(one, other)


class CaughtUpSubscribers(Generic[M]):
    """Subscribers that are caught up; each flush goes to all of them.

    Args:
        batch: Makes what sends to many sockets at once; asked when the first socket comes.
    """

    def __init__(self, batch: Callable[[], Batch | None] = lambda: None) -> None:
        self._make = batch
        self._writes: dict[M, Write] = {}
        self._others = _SendOrder[M]()
        self._batched: _SendOrder[M] | None = None

    def __len__(self) -> int:
        return len(self._writes)

    def __contains__(self, member: M) -> bool:
        return member in self._writes

    def __iter__(self) -> Iterator[M]:
        return iter(self._writes)

    def add(self, member: M, write: Write, descriptor: int | None = None) -> None:
        """Add a subscriber, unless it is there.

        Args:
            member: The subscriber.
            write: Sends to it, after all that was written before.
            descriptor: Its socket, which takes the same bytes while nothing waits before it.
        """
        if member in self._writes:
            return
        self._writes[member] = write
        if descriptor is not None and self._batched is None and (batch := self._make()) is not None:
            self._batched = _SendOrder[M](batch)
        line = self._others if descriptor is None or self._batched is None else self._batched
        line.add(member, descriptor)

    def discard(self, member: M) -> bool:
        """Remove a subscriber; return whether it has had the current piece.

        Raises:
            KeyError: It is not there.
        """
        del self._writes[member]
        return self._line(member).discard(member)

    def send(self, data: bytes, most: int | None = None) -> int:
        """Send the current piece to up to `most` subscribers that have not had it.

        No subscriber may be added or removed meanwhile.

        Returns:
            The number of subscribers sent to.
        """
        left = len(self) if most is None else most
        sent = 0
        for line in (self._others, self._batched):
            if line is None:
                continue
            start, stop = line.served, min(len(line.members), line.served + left - sent)
            line.served = stop
            sent += stop - start
            if line.batch is None or stop - start < FEWEST_BATCHED:
                for member in line.members[start:stop]:
                    self._writes[member](data)
            else:
                for place, taken in line.batch.send(data, start, stop):
                    self._writes[line.members[place]](data[taken:])
        return sent

    @property
    def few_sockets(self) -> Batch | None:
        """All sockets as a batch, where they are too few for a batch of their own.

        None if there are more, if a subscriber has no socket, or has had the current piece.
        """
        line = self._batched
        if line is None or line.served or not 0 < len(line.members) < FEWEST_BATCHED:
            return None
        return None if self._others.members else line.batch

    def served_elsewhere(self) -> list[M]:
        """Return the subscribers of `few_sockets` in order and count them as served."""
        if self._batched is None:
            return []
        self._batched.served = len(self._batched.members)
        return self._batched.members.copy()

    def write(self, member: M, data: bytes) -> None:
        """Send the rest of a piece to a subscriber whose socket took a part."""
        self._writes[member](data)

    @property
    def all_served(self) -> bool:
        """Whether all subscribers have had the current piece."""
        return all(
            line is None or line.served == len(line.members)
            for line in (self._others, self._batched)
        )

    def end(self) -> None:
        """End the current piece; the next one is for all again."""
        for line in (self._others, self._batched):
            if line is not None:
                line.served = 0

    def _line(self, member: M) -> _SendOrder[M]:
        return self._others if member in self._others or self._batched is None else self._batched


class Departure(NamedTuple):
    """Where a subscriber stopped being caught up.

    Attributes:
        position: Log position after what it has had.
        sent: Frames that its group had sent until then.
    """

    position: int
    sent: int


class Subscriber(Protocol):
    """A client in a group; callbacks must not block, nor change which subscribers are caught up."""

    def fell_behind(self, left: Departure) -> None:
        """Continue by reading the log from `left.position`: backpressure."""

    def flushed(self) -> None:
        """Continue: the round that this subscriber waited for has been sent."""

    def start_anew(self) -> None:
        """Reset: what the client holds belongs to another history."""
