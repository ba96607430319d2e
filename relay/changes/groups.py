"""Clients that want the same frames: a group is an endpoint, a format, a filter, and whether frames
are compressed. It holds none of them: what it gets is picked from the log of its endpoint."""

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from relay.changes import frames
from relay.changes.crowd import Batch, Crowd, Write
from relay.changes.deflate import deflated
from relay.changes.filters import Columns, Filter, Values
from relay.changes.log import NEWS, PLACE, UNKNOWN, Log
from relay.changes.wire import Piece

MOST_PIECES: Final = 8


class Format(enum.Enum):
    """How changes are written."""

    ROWS = "rows"
    EVENTS = frames.SUBPROTOCOL


class Form(NamedTuple):
    """How frames look."""

    format: Format
    compressed: bool


class Left(NamedTuple):
    """Where somebody was who does not keep up any more: the position after what it has had, and how
    many frames its group has sent until then."""

    position: int
    sent: int


class Member(Protocol):
    """A client of a group; what it is told must not block, nor change who keeps up."""

    def fell_behind(self, left: Left) -> None:
        """It does not keep up any more: from there on it reads the log by itself."""

    def flushed(self) -> None:
        """What there was has been sent, and the member is one of those who wait for that."""

    def start_anew(self) -> None:
        """What it holds is of another history."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How many frames each log keeps, and how many bytes all of them take."""

    max_frames: int = 50_000
    max_bytes: int = 32 * 1024 * 1024


class Source(Protocol):
    """Where a group gets its frames from."""

    @property
    def log(self) -> Log:
        """What was published."""

    @property
    def columns(self) -> Columns:
        """What filters look at."""

    @property
    def generation(self) -> int:
        """Rises when all clients have to start anew."""

    @property
    def flushed(self) -> int:
        """Everything up to this position has been sent to all who keep up."""

    @property
    def sending_to(self) -> int:
        """Up to where is being sent just now; `flushed` when nothing is."""

    @property
    def waiting(self) -> set[Member]:
        """Who wait until something has been sent."""

    @property
    def pieces(self) -> "Pieces":
        """What several clients may read."""

    def cursor_at(self, position: int, wanted: Filter) -> bytes:
        """The cursor that was announced there, as a frame; nothing when a newer one has been."""

    def keeping_changed(self, group: "Group") -> None:
        """Somebody keeps up now, or nobody does any more."""


class Pieces:
    """What was read lately, so that those who read the same get the same object."""

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
        """Lets go of all of it."""
        self._kept.clear()


class Group:
    """Those who want the same; `number` is the one of its filter in the index.

    Members that keep up have had everything up to `flushed`, which was `sent` frames since the
    start; the others read by themselves, but never beyond it.
    """

    __slots__ = (
        "_demands",
        "_falling",
        "_piece",
        "_source",
        "due",
        "form",
        "keeping",
        "members",
        "number",
        "sent",
        "wanted",
    )

    def __init__(
        self,
        source: Source,
        form: Form,
        wanted: Filter,
        number: int,
        batch: Callable[[], Batch | None] = lambda: None,
    ) -> None:
        self._source: Final = source
        self._demands: Final = source.columns.demands(wanted)
        self.form: Final = form
        self.wanted: Final = wanted
        self.number: Final = number
        self.members: Final[set[Member]] = set()
        self.keeping: Final = Crowd[Member](batch)
        self.sent = 0
        self.due = False
        self._piece: Piece | None = None
        self._falling: list[Member] | None = None

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
        """What there is of the endpoint, whatever the filter."""
        return self._source.log

    @property
    def generation(self) -> int:
        """Rises when all members have to start anew."""
        return self._source.generation

    @property
    def flushed(self) -> int:
        """The position up to which those who keep up have had everything."""
        return self._source.flushed if self.due else self._source.sending_to

    @property
    def waiting(self) -> set[Member]:
        """Who wait until something has been sent, of all groups of the endpoint."""
        return self._source.waiting

    def keep(self, member: Member, write: Write, descriptor: int | None) -> None:
        """The member keeps up from now on: it has had everything up to `flushed`."""
        if not self.keeping:
            self.keeping.add(member, write, descriptor)
            self._source.keeping_changed(self)
        else:
            self.keeping.add(member, write, descriptor)

    def drop(self, member: Member) -> Left | None:
        """The member is not sent to any more; None if it was not anyway."""
        if member not in self.keeping:
            return None
        at, sent = self.flushed, self.sent
        if self.keeping.discard(member) and self._piece is not None:
            at, sent = self._source.sending_to, sent + self._piece.frames
        if not self.keeping:
            self._source.keeping_changed(self)
        return Left(at, sent)

    def fall_behind(self, member: Member) -> None:
        """The member's socket is full."""
        if self._falling is not None:
            self._falling.append(member)
        elif (left := self.drop(member)) is not None:
            member.fell_behind(left)

    def send(self, piece: Piece, most: int) -> int:
        """Sends what is `due`, which is that piece, to `most` of those who have not had it; to how
        many that was. Nothing is due any more when all have had it."""
        self._piece = piece
        falling = self._falling = []
        try:
            clients = self.keeping.send(piece.data, most) if piece.frames else 0
        finally:
            self._falling = None
        for member in falling:
            self.fall_behind(member)
        if not piece.frames or self.keeping.all_served:
            self.sent_all(piece)
        return clients

    def sent_elsewhere(self, piece: Piece) -> list[Member]:
        """Those who are sent what is due together with others, in the order of their sockets;
        `sent_all` follows."""
        self._piece = piece
        return self.keeping.served_elsewhere()

    def sent_all(self, piece: Piece) -> None:
        """All members have had the piece, which was due."""
        self.keeping.end()
        self._piece, self.due = None, False
        self.sent += piece.frames

    def read(
        self, position: int, stop: int, most_bytes: int, *, changes_only: bool = False
    ) -> tuple[Piece, int]:
        """What members get of the log from `position` on, in one piece which may be empty, and the
        position after it: not beyond `stop`, and not more than `most_bytes` of the log unless a
        single frame is larger. Readers that ask for the same get the same object.

        Raises:
            Overflow: some of it has left the log.
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
            if about is NEWS or about is PLACE:
                if events and not changes_only:
                    yield frame if about is NEWS else self._source.cursor_at(at, self.wanted)
            elif about.now is None or self._passes(about.now):
                yield formed(frame, self.form)
            elif events and self._may_have_had(about.before):
                yield formed(frame, self.form, leaves=True)

    def _may_have_had(self, before: Values | None) -> bool:
        return before is UNKNOWN or (before is not None and self._passes(before))


def formed(event: bytes, form: Form, *, leaves: bool = False) -> bytes:
    """The event in that form, or what a client gets instead when the row leaves its filter."""
    if leaves:
        frame = frames.leave_of(event)
    else:
        frame = event if form.format is Format.EVENTS else frames.row_of(event)
    return deflated(frame) if form.compressed else frame


def joined(found: Iterable[bytes]) -> Piece:
    """The frames in one piece."""
    frames = [frame for frame in found if frame]
    return Piece(b"".join(frames), len(frames))
