"""Those who keep up: all of them are sent the same bytes, in several steps where they are many."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, Protocol, Self, TypeVar

M = TypeVar("M")
Write = Callable[[bytes], None]

FEWEST_BATCHED: Final = 8  # below, preparing a batch costs more than it saves


class Batch(Protocol):
    """Sockets in an order, which are sent to all at once."""

    def append(self, descriptor: int) -> None:
        """One more, at the end."""

    def swap(self, one: int, other: int) -> None:
        """Exchanges the two at these places."""

    def pop(self) -> None:
        """Takes the last one out."""

    def extend(self, sockets: Self) -> None:
        """Those of another batch, at the end."""

    def send(self, data: bytes, start: int, stop: int) -> Sequence[tuple[int, int]]:
        """Sends as much as each takes at once to those at the places from `start` up to, without,
        `stop`; the place of those that did not take all, and how many bytes they took."""


class _Line(Generic[M]):
    """Members in an order, the first `served` of which have had what is being sent."""

    def __init__(self, batch: Batch | None = None) -> None:
        self.batch: Final = batch
        self.members: Final[list[M]] = []
        self.served = 0
        self._places: dict[M, int] = {}

    def __contains__(self, member: M) -> bool:
        return member in self._places

    def add(self, member: M, descriptor: int | None) -> None:
        """One more, who has not been served."""
        self._places[member] = len(self.members)
        self.members.append(member)
        if self.batch is not None and descriptor is not None:
            self.batch.append(descriptor)

    def discard(self, member: M) -> bool:
        """Takes the member out; whether it had been served."""
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

    def has_had(self, member: M) -> bool:
        """Whether the member has been served."""
        return self._places[member] < self.served

    def _swap(self, one: int, other: int) -> None:
        if one == other:
            return
        members, places = self.members, self._places
        members[one], members[other] = members[other], members[one]
        places[members[one]], places[members[other]] = one, other
        if self.batch is not None:
            self.batch.swap(one, other)


class Crowd(Generic[M]):
    """Members with the way to each of them. Those who have a socket are sent to in one go where
    `batch`, asked when the first of them comes, has something for it."""

    def __init__(self, batch: Callable[[], Batch | None] = lambda: None) -> None:
        self._make = batch
        self._writes: dict[M, Write] = {}
        self._others = _Line[M]()
        self._batched: _Line[M] | None = None

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
        if descriptor is not None and self._batched is None and (batch := self._make()) is not None:
            self._batched = _Line[M](batch)
        line = self._others if descriptor is None or self._batched is None else self._batched
        line.add(member, descriptor)

    def discard(self, member: M) -> bool:
        """It is not sent to any more; whether it has had what is being sent.

        Raises:
            KeyError: it was not.
        """
        del self._writes[member]
        return self._line(member).discard(member)

    def send(self, data: bytes, most: int | None = None) -> int:
        """Sends to those who have not had it yet, `most` of them at most; how many that were. They
        must not come or go meanwhile."""
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
        """All members as a batch, where they are too few to be sent to as one; None also when one
        has no socket, or has had what is being sent."""
        line = self._batched
        if line is None or line.served or not 0 < len(line.members) < FEWEST_BATCHED:
            return None
        return None if self._others.members else line.batch

    def served_elsewhere(self) -> list[M]:
        """The members of `few_sockets` in their order, which count as served from now on."""
        if self._batched is None:
            return []
        self._batched.served = len(self._batched.members)
        return self._batched.members.copy()

    def write(self, member: M, data: bytes) -> None:
        """Sends to one member, after what its socket took."""
        self._writes[member](data)

    @property
    def all_served(self) -> bool:
        """Whether everybody has had what is being sent."""
        return all(
            line is None or line.served == len(line.members)
            for line in (self._others, self._batched)
        )

    def end(self) -> None:
        """What was being sent is over; what is sent next is something else."""
        for line in (self._others, self._batched):
            if line is not None:
                line.served = 0

    def _line(self, member: M) -> _Line[M]:
        return self._others if member in self._others or self._batched is None else self._batched
