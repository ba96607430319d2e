"""Fan-out of a part of the log: what each group gets, and sending it to those that are caught up.

Groups that get the same share of each change form a class and are sent one and the same piece.
Classes begin with one per frame format and are split where a change is not for all of a class. The
cost grows with the classes, not with the groups: a thousand filters that let the same rows pass are
one class, and of those that let few pass most are in the class that gets nothing.

A group with many subscribers is sent its piece in several steps: those that come meanwhile have to
get it too, and those that go must not get it twice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar

from relay.stream.encoding import Format, FrameFormat, Piece, formed, joined
from relay.stream.filters import Index, union
from relay.stream.log import ANNOUNCEMENT, CURSOR_MARK, UNKNOWN, Routing

MOST_WORK: Final = 20_000  # classes looked at and parts copied in a round: some milliseconds
EVERYBODY: Final = -1
FEWEST_BATCHED: Final = 8  # below, preparing a batch costs more than it saves

M = TypeVar("M")
Write = Callable[[bytes], None]


class Wanted(NamedTuple):
    """Bit sets of the groups that get a change, and of those that get LEAVE."""

    all: int
    leave: int


@dataclass(slots=True, eq=False)
class Share:
    """An equivalence class of groups: all of them get the same frames of the round.

    Attributes:
        form: Frame format.
        groups: Bit set of group numbers.
        parts: Per frame twice its number, plus 1 where LEAVE is sent instead of the change.
    """

    form: FrameFormat
    groups: int
    parts: list[int]


class Round:
    """A part of the log, divided into the shares of groups.

    Args:
        entries: Frames with what filters need to know of them.
        groups: Bit set of the groups to send to, by frame format.
        index: Tells which filters a change passes.

    It covers the first `count` entries: all of them, unless the groups differ too much.
    """

    def __init__(
        self,
        entries: Iterable[tuple[bytes, Routing]],
        groups: Mapping[FrameFormat, int],
        index: Index,
    ) -> None:
        self._frames: list[bytes] = []
        self._made: dict[tuple[FrameFormat, int], bytes] = {}
        shares = [Share(form, bits, []) for form, bits in groups.items() if bits]
        work = 0
        for number, (frame, about) in enumerate(entries):
            work += len(shares)
            if work > MOST_WORK and number:
                break
            self._frames.append(frame)
            if about is ANNOUNCEMENT:
                for share in shares:
                    if share.form.format is Format.EVENTS:
                        share.parts.append(2 * number)
            elif about is not CURSOR_MARK:  # of which there is a newer one
                shares, copied = _divided(shares, number, wanted(about, index))
                work += copied
        self._shares = [share for share in shares if share.parts]

    @property
    def count(self) -> int:
        """How many entries it has."""
        return len(self._frames)

    @property
    def groups(self) -> int:
        """Groups that get something, as bits."""
        return union(share.groups for share in self._shares)

    def __iter__(self) -> Iterator[tuple[int, Piece]]:
        """Yield bit sets of groups and their piece, each joined when it is its turn."""
        for share in self._shares:
            yield share.groups, joined(self._frame(share.form, part) for part in share.parts)

    def _frame(self, form: FrameFormat, part: int) -> bytes:
        made = self._made.get((form, part))
        if made is None:
            made = formed(self._frames[part // 2], form, leaves=part % 2 == 1)
            self._made[form, part] = made
        return made


def wanted(about: Routing, index: Index) -> Wanted:
    """Return which groups get a change."""
    if about.now is None:
        return Wanted(EVERYBODY, 0)
    passing = index.passed_by(about.now)
    if about.before is None:
        return Wanted(passing, 0)
    had = EVERYBODY if about.before is UNKNOWN else index.passed_by(about.before)
    return Wanted(passing, had & ~passing)


def _divided(shares: list[Share], number: int, wanted: Wanted) -> tuple[list[Share], int]:
    """Return the shares with one more frame, and the number of parts copied by splits."""
    found: list[Share] = []
    copied = 0
    for share in shares:
        groups = share.groups
        whole = groups & wanted.all
        leave = groups & wanted.leave if share.form.format is Format.EVENTS else 0
        if whole == groups:
            share.parts.append(2 * number)
            found.append(share)
        elif leave == groups:
            share.parts.append(2 * number + 1)
            found.append(share)
        elif not whole and not leave:
            found.append(share)
        else:
            for bits, more in (
                (whole, [2 * number]),
                (leave, [2 * number + 1]),
                (groups & ~(whole | leave), []),
            ):
                if bits:
                    found.append(Share(share.form, bits, share.parts + more))
                    copied += len(share.parts)
    return found, copied


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
