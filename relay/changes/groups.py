"""Clients that want the same frames share one log: a group is an endpoint, a format, a filter,
and whether frames are compressed."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from relay.changes import frames
from relay.changes.crowd import Batch, Crowd
from relay.changes.filters import Filter
from relay.changes.forms import Forms
from relay.changes.log import Log, Overflow
from relay.changes.records import Change


class Format(enum.Enum):
    """How changes are written."""

    ROWS = "rows"
    EVENTS = frames.SUBPROTOCOL


class Member(Protocol):
    """A client of a group; what it is told must not block, nor change who keeps up."""

    def fell_behind(self) -> None:
        """It does not keep up any more: from `flushed` on it reads the log by itself."""

    def flushed(self) -> None:
        """The group has sent what it had, and the member is one of those who wait for that."""

    def start_anew(self) -> None:
        """What it holds is of another history."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How much each log keeps."""

    max_frames: int = 50_000
    max_bytes: int = 32 * 1024 * 1024


class Group:
    """One log and those who read it; `generation` rises when all of them have to start anew.

    Members that keep up have had everything up to `flushed`, which was `sent` frames since the
    start; the others read by themselves, but never beyond it. `newest` is the newest change in the
    log, whose frame ends at `newest_end`.
    """

    def __init__(
        self,
        format: Format,
        wanted: Filter,
        compressed: bool,
        limits: LogLimits,
        seq: int,
        batch: Callable[[], Batch | None] = lambda: None,
    ) -> None:
        self.format: Final = format
        self.compressed: Final = compressed
        self.wanted: Final = wanted
        self.log: Final = Log(max_frames=limits.max_frames, max_bytes=limits.max_bytes, seq=seq)
        self.members: Final[set[Member]] = set()
        self.keeping: Final = Crowd[Member](batch)
        self.waiting: Final[set[Member]] = set()
        self.generation = 0
        self.newest: Change | None = None
        self.newest_end = 0
        self.flushed = 0
        self.sent = 0
        self._falling: list[Member] | None = None

    def publish(self, change: Change, seq: int, forms: Forms) -> bool:
        """Adds the change to the log in the form that is wanted; False if it is not wanted."""
        frame = self._form(change, forms)
        if frame is None:
            return False
        self.log.append(frame, seq)
        self.newest, self.newest_end = change, self.log.head
        return True

    def _form(self, change: Change, forms: Forms) -> bytes | None:
        events = self.format is Format.EVENTS
        if change.record is None or self.wanted.matches(change.record):
            if events:
                return forms.event(compressed=self.compressed)
            return forms.row(compressed=self.compressed)
        if events and frames.may_have_left(change.version):
            return forms.leave(compressed=self.compressed)
        return None

    def fall_behind(self, member: Member) -> None:
        """The member's socket is full."""
        if self._falling is not None:
            self._falling.append(member)
        else:
            self.keeping.discard(member)
            member.fell_behind()

    def flush(self, most_bytes: int) -> int:
        """Sends what follows `flushed`, that many bytes at most, to all who keep up; the number of
        frames that each of them got."""
        if not self.keeping:
            self.flushed = self.log.head
            return 0
        try:
            piece, end = self.log.joined(self.flushed, self.log.head, most_bytes)
        except Overflow:  # more came at once than the log holds
            self._leave_behind(list(self.keeping))
            self.flushed = self.log.head
            return 0
        falling = self._falling = []
        try:
            self.keeping.send(piece.data)
        finally:
            self._falling = None
            self.flushed = end
            self.sent += piece.frames
        self._leave_behind(falling)
        return piece.frames

    def _leave_behind(self, members: list[Member]) -> None:
        for member in members:
            self.keeping.discard(member)
            member.fell_behind()
