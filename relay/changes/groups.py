"""Clients that want the same frames share one log: a group is an endpoint, a format, a filter."""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from relay.changes import frames
from relay.changes.endpoints import ENDPOINTS, Endpoint
from relay.changes.filters import Filter
from relay.changes.history import Seqs
from relay.changes.log import Log
from relay.changes.records import Change


class Format(enum.Enum):
    """How changes are written."""

    ROWS = "rows"
    EVENTS = frames.SUBPROTOCOL


class Member(Protocol):
    """A client that reads the group's log by itself."""

    def wake(self) -> None:
        """Something was appended; must return at once."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How much each log keeps."""

    max_frames: int = 50_000
    max_bytes: int = 32 * 1024 * 1024


class Group:
    """One log and those who read it; `generation` rises when all of them have to start anew.

    `newest` is the newest change in the log, whose frame ends at `newest_end`.
    """

    def __init__(self, format: Format, wanted: Filter, limits: LogLimits, seq: int) -> None:
        self.format: Final = format
        self.wanted: Final = wanted
        self.log: Final = Log(max_frames=limits.max_frames, max_bytes=limits.max_bytes, seq=seq)
        self.members: Final[set[Member]] = set()
        self.generation = 0
        self.newest: Change | None = None
        self.newest_end = 0

    def append(self, frame: str, seq: int, change: Change) -> None:
        """Adds a change to the log."""
        self.log.append(frame, seq)
        self.newest, self.newest_end = change, self.log.head

    def wake(self) -> None:
        """Tells every member that there is something to read."""
        for member in self.members:
            member.wake()


class Stream:
    """The changes of one endpoint, encoded once and appended to each group that wants them.

    `seq` is that of the newest change; the first one gets the one after `seq`.
    """

    def __init__(self, endpoint: Endpoint, limits: LogLimits | None = None, seq: int = 0) -> None:
        self.endpoint: Final = endpoint
        self.seq = self.first_seq = seq
        self._limits = limits or LogLimits()
        # The groups without a filter stay, so that their logs have no gaps.
        self._lasting = {
            self._key(format, Filter(endpoint)): self._group(format, Filter(endpoint))
            for format in Format
        }
        self._groups = dict(self._lasting)
        self._recorders: list[dict[int, Change]] = []

    @property
    def everything(self) -> Group:
        """The events without a filter."""
        return self._lasting[self._key(Format.EVENTS, Filter(self.endpoint))]

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
        key = self._key(format, wanted)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._group(format, wanted)
        group.members.add(member)
        return group

    def leave(self, group: Group, member: Member) -> None:
        """Takes the member out; a filtered group that nobody reads vanishes."""
        group.members.discard(member)
        key = self._key(group.format, group.wanted)
        if not group.members and key not in self._lasting:
            self._groups.pop(key, None)

    def record(self) -> dict[int, Change]:
        """A mapping that holds, from now on, the newest published change of each id."""
        recorder: dict[int, Change] = {}
        self._recorders.append(recorder)
        return recorder

    def stop_recording(self, recorder: dict[int, Change]) -> None:
        """Ends what `record` began."""
        self._recorders = [each for each in self._recorders if each is not recorder]

    def publish(self, changes: Iterable[Change]) -> None:
        """Appends the changes to every log that wants them, then wakes the readers."""
        touched: set[Group] = set()
        for change in changes:
            self.seq += 1
            for recorder in self._recorders:
                recorder[change.id] = change
            touched.update(self._append(change))
        for group in touched:
            group.wake()

    def announce(self, frame: str) -> None:
        """Sends a message that is no change to all clients of relay.v1."""
        for group in self._groups.values():
            if group.format is Format.EVENTS:
                group.log.append(frame)
                group.wake()

    def start_anew(self) -> None:
        """Makes every client of relay.v1 forget what it holds."""
        for group in self._groups.values():
            group.generation += 1
            group.wake()

    def _append(self, change: Change) -> Iterator[Group]:
        row = frames.row(change)
        event = left = None
        for group in self._groups.values():
            if change.record is None or group.wanted.matches(change.record):
                if group.format is Format.ROWS:
                    group.append(row, self.seq, change)
                else:
                    event = event or frames.event(change, self.seq, row)
                    group.append(event, self.seq, change)
            elif (
                group.format is Format.EVENTS
                and change.version > 1
                and group.wanted.may_have_matched(change.record)
            ):
                left = left or frames.leave(self.endpoint.name, change.id, change.version, self.seq)
                group.append(left, self.seq, change)
            else:
                continue
            yield group

    def _group(self, format: Format, wanted: Filter) -> Group:
        return Group(format, wanted, self._limits, self.seq)

    @staticmethod
    def _key(format: Format, wanted: Filter) -> tuple[Format, Filter]:
        return format, wanted


class Streams:
    """The streams of all endpoints."""

    def __init__(self, limits: LogLimits | None = None, seq: int = 0) -> None:
        self._by_number = {each.number: Stream(each, limits, seq) for each in ENDPOINTS}

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
