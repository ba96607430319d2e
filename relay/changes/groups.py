"""Clients that want the same frames share one log: a group is an endpoint, a format, a filter."""

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from relay.changes import frames
from relay.changes.endpoints import ENDPOINTS, Endpoint
from relay.changes.filters import Filter
from relay.changes.history import Seqs
from relay.changes.index import Index
from relay.changes.log import Log, Overflow
from relay.changes.records import Change
from relay.changes.wire import framed


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


Write = Callable[[bytes], None]


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

    def __init__(self, format: Format, wanted: Filter, limits: LogLimits, seq: int) -> None:
        self.format: Final = format
        self.wanted: Final = wanted
        self.log: Final = Log(max_frames=limits.max_frames, max_bytes=limits.max_bytes, seq=seq)
        self.members: Final[set[Member]] = set()
        self.keeping: Final[dict[Member, Write]] = {}
        self.waiting: Final[set[Member]] = set()
        self.generation = 0
        self.newest: Change | None = None
        self.newest_end = 0
        self.flushed = 0
        self.sent = 0
        self._falling: list[Member] | None = None

    def append(self, frame: bytes, seq: int, change: Change) -> None:
        """Adds a change to the log."""
        self.log.append(frame, seq)
        self.newest, self.newest_end = change, self.log.head

    def fall_behind(self, member: Member) -> None:
        """The member's socket is full."""
        if self._falling is not None:
            self._falling.append(member)
        else:
            del self.keeping[member]
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
            self._write_all(piece.data)
        finally:
            self._falling = None
            self.flushed = end
            self.sent += piece.frames
        self._leave_behind(falling)
        return piece.frames

    def _leave_behind(self, members: list[Member]) -> None:
        for member in members:
            del self.keeping[member]
            member.fell_behind()

    def _write_all(self, data: bytes) -> None:
        for write in self.keeping.values():
            write(data)


class Stream:
    """The changes of one endpoint, encoded once and appended to each group that wants them.

    `seq` is that of the newest change; the first one gets the one after `seq`. `changed` is told
    when there is something to flush.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: LogLimits | None = None,
        seq: int = 0,
        changed: Callable[[Group], None] = lambda group: None,
    ) -> None:
        self.endpoint: Final = endpoint
        self.seq = self.first_seq = seq
        self._limits = limits or LogLimits()
        self._changed = changed
        self._groups: dict[tuple[Format, Filter], Group] = {}
        self._index = Index[Group]()
        # The groups without a filter stay, so that their logs have no gaps.
        self._lasting = {format: self._group(format, Filter(endpoint)) for format in Format}
        self._recorders: list[dict[int, Change]] = []

    @property
    def everything(self) -> Group:
        """The events without a filter."""
        return self._lasting[Format.EVENTS]

    def groups(self) -> Iterator[Group]:
        """All groups."""
        yield from self._groups.values()

    def members(self) -> dict[Format, int]:
        """How many clients each format has."""
        found = dict.fromkeys(Format, 0)
        for group in self._groups.values():
            found[group.format] += len(group.members)
        return found

    def join(self, format: Format, wanted: Filter, member: Member) -> Group:
        """The group of that format and filter, with the member in it from now on."""
        group = self._groups.get((format, wanted)) or self._group(format, wanted)
        group.members.add(member)
        return group

    def leave(self, group: Group, member: Member) -> None:
        """Takes the member out; a filtered group that nobody reads vanishes."""
        group.members.discard(member)
        group.keeping.pop(member, None)
        group.waiting.discard(member)
        if not group.members and group not in self._lasting.values():
            self._index.discard(group)
            self._groups.pop((group.format, group.wanted), None)

    def record(self) -> dict[int, Change]:
        """A mapping that holds, from now on, the newest published change of each id."""
        recorder: dict[int, Change] = {}
        self._recorders.append(recorder)
        return recorder

    def stop_recording(self, recorder: dict[int, Change]) -> None:
        """Ends what `record` began."""
        self._recorders = [each for each in self._recorders if each is not recorder]

    def publish(self, changes: Iterable[Change]) -> None:
        """Appends the changes to every log that wants them."""
        touched: set[Group] = set()
        for change in changes:
            self.seq += 1
            for recorder in self._recorders:
                recorder[change.id] = change
            touched.update(self._append(change))
        for group in touched:
            self._changed(group)

    def announce(self, message: str) -> None:
        """Sends a message that is no change to all clients of relay.v1."""
        frame = framed(message)
        for group in self._groups.values():
            if group.format is Format.EVENTS:
                self.tell(group, frame)

    def tell(self, group: Group, frame: bytes) -> None:
        """Sends a message that is no change to all clients of a group."""
        group.log.append(frame)
        self._changed(group)

    def start_anew(self) -> None:
        """Makes every client of relay.v1 forget what it holds."""
        for group in self._groups.values():
            group.generation += 1
            for member in list(group.members):
                member.start_anew()

    def _append(self, change: Change) -> Iterator[Group]:
        encoded = frames.row(change)
        row, event, left = framed(encoded), b"", b""
        for group in self._index.concerned(change):
            if change.record is None or group.wanted.matches(change.record):
                if group.format is Format.ROWS:
                    group.append(row, self.seq, change)
                else:
                    event = event or framed(frames.event(change, self.seq, encoded))
                    group.append(event, self.seq, change)
            elif (
                group.format is Format.EVENTS
                and change.version > 1
                and group.wanted.may_have_matched(change.record)
            ):
                left = left or framed(
                    frames.leave(self.endpoint.name, change.id, change.version, self.seq)
                )
                group.append(left, self.seq, change)
            else:
                continue
            yield group

    def _group(self, format: Format, wanted: Filter) -> Group:
        group = self._groups[format, wanted] = Group(format, wanted, self._limits, self.seq)
        self._index.add(group)
        return group


class Streams:
    """The streams of all endpoints."""

    def __init__(
        self,
        limits: LogLimits | None = None,
        seq: int = 0,
        changed: Callable[[Group], None] = lambda group: None,
    ) -> None:
        self._by_number = {each.number: Stream(each, limits, seq, changed) for each in ENDPOINTS}

    def __getitem__(self, endpoint: Endpoint) -> Stream:
        return self._by_number[endpoint.number]

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._by_number.values())

    @property
    def generation(self) -> int:
        """Rises when all clients have to start anew."""
        return sum(stream.everything.generation for stream in self)

    def by_number(self, number: int) -> Stream:
        """The stream of the endpoint with that number."""
        return self._by_number[number]

    def seqs(self) -> Seqs:
        """Where all streams are."""
        return {number: stream.seq for number, stream in self._by_number.items()}

    def publish(self, changes: Iterable[Change]) -> None:
        """Publishes each change on its endpoint."""
        sorted_out: dict[int, list[Change]] = {}
        for change in changes:
            sorted_out.setdefault(change.endpoint.number, []).append(change)
        for number, theirs in sorted_out.items():
            self._by_number[number].publish(theirs)
