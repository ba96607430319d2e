"""Groups of subscribers that get the same frames: one per endpoint, format, filter and compression
of changes.

A group holds no frames: what it gets is picked from the log of its endpoint. Subscribers that are
caught up are sent the same bytes by each flush, in several steps where they are many.
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar

from relay.stream import encoding
from relay.stream.encoding import Piece, deflated
from relay.stream.filters import Columns, Filter, Values
from relay.stream.log import ANNOUNCEMENT, CURSOR_MARK, UNKNOWN, Log

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


MOST_PIECES: Final = 8


class Format(enum.Enum):
    """Message format of a subscription."""

    ROWS = "rows"
    EVENTS = encoding.SUBPROTOCOL


class FrameFormat(NamedTuple):
    """Message format, and whether frames are compressed."""

    format: Format
    compressed: bool


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


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Limits of the logs: frames of each, bytes of all together."""

    max_frames: int = 50_000
    max_bytes: int = 32 * 1024 * 1024


class StreamView(Protocol):
    """The stream as its groups see it."""

    @property
    def log(self) -> Log:
        """The log of the endpoint."""

    @property
    def columns(self) -> Columns:
        """The columns of filters."""

    @property
    def generation(self) -> int:
        """Counter of resets of all clients."""

    @property
    def flushed(self) -> int:
        """Position up to which subscribers that are caught up have had everything."""

    @property
    def sending_to(self) -> int:
        """End of the round under way; `flushed` if there is none."""

    @property
    def waiting(self) -> set[Subscriber]:
        """Subscribers that wait for the end of a round."""

    @property
    def pieces(self) -> "Pieces":
        """Cache of pieces that several clients read."""

    def cursor_at(self, position: int, wanted: Filter) -> bytes:
        """Frame of the cursor announced at that position; empty if a newer one was announced."""

    def caught_up_changed(self, group: "Group") -> None:
        """Note whether the group has subscribers that are caught up."""


class Pieces:
    """Cache of pieces read lately, so that equal reads return the same object."""

    def __init__(self) -> None:
        self._kept: dict[object, Piece] = {}

    def get(self, key: object, make: Callable[[], Piece]) -> Piece:
        """The piece under that key."""
        piece = self._kept.get(key)
        if piece is None:
            piece = make()
            if len(self._kept) >= MOST_PIECES:
                self._kept.clear()
            self._kept[key] = piece
        return piece

    def forget(self) -> None:
        """Drop everything."""
        self._kept.clear()


class Group:
    """Subscribers that get the same frames; `number` identifies its filter in the index.

    Those that are caught up have had everything up to `flushed`, which was `sent` frames since the
    start; the others read by themselves, but never beyond it.
    """

    __slots__ = (
        "_demands",
        "_falling",
        "_piece",
        "_source",
        "caught_up",
        "due",
        "form",
        "members",
        "number",
        "sent",
        "wanted",
    )

    def __init__(
        self,
        source: StreamView,
        form: FrameFormat,
        wanted: Filter,
        number: int,
        batch: Callable[[], Batch | None] = lambda: None,
    ) -> None:
        self._source: Final = source
        self._demands: Final = source.columns.demands(wanted)
        self.form: Final = form
        self.wanted: Final = wanted
        self.number: Final = number
        self.members: Final[set[Subscriber]] = set()
        self.caught_up: Final = CaughtUpSubscribers[Subscriber](batch)
        self.sent = 0
        self.due = False
        self._piece: Piece | None = None
        self._falling: list[Subscriber] | None = None

    @property
    def format(self) -> Format:
        """How changes are written."""
        return self.form.format

    @property
    def compressed(self) -> bool:
        """Whether frames are compressed."""
        return self.form.compressed

    @property
    def log(self) -> Log:
        """The log of the endpoint, whatever the filter."""
        return self._source.log

    @property
    def generation(self) -> int:
        """Counter of resets of all subscribers."""
        return self._source.generation

    @property
    def flushed(self) -> int:
        """Position up to which its caught-up subscribers have had everything."""
        return self._source.flushed if self.due else self._source.sending_to

    @property
    def waiting(self) -> set[Subscriber]:
        """Subscribers of all groups that wait for the end of a round."""
        return self._source.waiting

    def keep(self, member: Subscriber, write: Write, descriptor: int | None) -> None:
        """Add a subscriber that is caught up: it has had everything up to `flushed`."""
        if not self.caught_up:
            self.caught_up.add(member, write, descriptor)
            self._source.caught_up_changed(self)
        else:
            self.caught_up.add(member, write, descriptor)

    def drop(self, member: Subscriber) -> Departure | None:
        """Remove a subscriber from the caught-up ones; None if it was none."""
        if member not in self.caught_up:
            return None
        at, sent = self.flushed, self.sent
        if self.caught_up.discard(member) and self._piece is not None:
            at, sent = self._source.sending_to, sent + self._piece.frames
        if not self.caught_up:
            self._source.caught_up_changed(self)
        return Departure(at, sent)

    def fall_behind(self, member: Subscriber) -> None:
        """Backpressure: the subscriber reads by itself, since its socket is full."""
        if self._falling is not None:
            self._falling.append(member)
        elif (left := self.drop(member)) is not None:
            member.fell_behind(left)

    def send(self, piece: Piece, most: int) -> int:
        """Send the piece that is `due` to up to `most` subscribers that have not had it.

        Returns:
            The number of subscribers sent to; once all have had it, nothing is due.
        """
        self._piece = piece
        falling = self._falling = []
        try:
            clients = self.caught_up.send(piece.data, most) if piece.frames else 0
        finally:
            self._falling = None
        for member in falling:
            self.fall_behind(member)
        if not piece.frames or self.caught_up.all_served:
            self.sent_all(piece)
        return clients

    def sent_elsewhere(self, piece: Piece) -> list[Subscriber]:
        """Return the subscribers, ordered as `few_sockets`, that the caller sends the piece to.

        `sent_all` has to follow.
        """
        self._piece = piece
        return self.caught_up.served_elsewhere()

    def sent_all(self, piece: Piece) -> None:
        """Note that all subscribers have had the piece that was due."""
        self.caught_up.end()
        self._piece, self.due = None, False
        self.sent += piece.frames

    def read(
        self, position: int, stop: int, most_bytes: int, *, changes_only: bool = False
    ) -> tuple[Piece, int]:
        """Return what subscribers get of the log from `position` on, and the position after it.

        The piece may be empty. It covers the log up to `stop` at most, and `most_bytes` of it
        unless a single frame is larger. Equal reads return the same object.

        Raises:
            Overflow: Some of it has left the log.
        """
        end = self.log.piece_end(position, stop, most_bytes)
        piece = self._source.pieces.get(
            (self, position, end, changes_only),
            lambda: joined(self._picked(position, end, changes_only=changes_only)),
        )
        return piece, end

    def _passes(self, values: Values) -> bool:
        return all(values[place] in allowed for place, allowed in self._demands)

    def _picked(self, position: int, end: int, *, changes_only: bool) -> Iterator[bytes]:
        events = self.format is Format.EVENTS
        for at, (frame, about) in enumerate(self.log.entries(position, end), position):
            if about is ANNOUNCEMENT or about is CURSOR_MARK:
                if events and not changes_only:
                    yield (
                        frame if about is ANNOUNCEMENT else self._source.cursor_at(at, self.wanted)
                    )
            elif about.now is None or self._passes(about.now):
                yield formed(frame, self.form)
            elif events and self._may_have_had(about.before):
                yield formed(frame, self.form, leaves=True)

    def _may_have_had(self, before: Values | None) -> bool:
        return before is UNKNOWN or (before is not None and self._passes(before))


def formed(event: bytes, form: FrameFormat, *, leaves: bool = False) -> bytes:
    """The event in that form, or what a client gets instead when the row leaves its filter."""
    if leaves:
        frame = encoding.leave_of(event)
    else:
        frame = event if form.format is Format.EVENTS else encoding.row_of(event)
    return deflated(frame) if form.compressed else frame


def joined(found: Iterable[bytes]) -> Piece:
    """The frames in one piece."""
    frames = [frame for frame in found if frame]
    return Piece(b"".join(frames), len(frames))
