"""The changes of the endpoints, on their way into the logs of all who want them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from relay.changes.crowd import Batch
from relay.changes.endpoints import ENDPOINTS, Endpoint
from relay.changes.filters import Filter
from relay.changes.forms import Forms
from relay.changes.groups import Format, Group, LogLimits, Member
from relay.changes.history import Seqs
from relay.changes.records import Change
from relay.changes.wire import framed


class Stream:
    """The changes of one endpoint, encoded once and appended to each group that wants them.

    `seq` is that of the newest change; the first one gets the one after `seq`. `changed` is told
    when there is something to flush; `batch` makes what sends to many sockets in one go.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: LogLimits | None = None,
        seq: int = 0,
        changed: Callable[[Group], None] = lambda group: None,
        batch: Callable[[], Batch | None] = lambda: None,
    ) -> None:
        self.endpoint: Final = endpoint
        self.seq = self.first_seq = seq
        self._limits = limits or LogLimits()
        self._changed = changed
        self._batch = batch
        self._groups: dict[tuple[Format, Filter, bool], Group] = {}
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

    def join(
        self, format: Format, wanted: Filter, member: Member, *, compressed: bool = False
    ) -> Group:
        """The group of that format and filter, with the member in it from now on."""
        key = format, wanted, compressed
        group = self._groups.get(key) or self._group(*key)
        group.members.add(member)
        return group

    def leave(self, group: Group, member: Member) -> None:
        """Takes the member out; a filtered group that nobody reads vanishes."""
        group.members.discard(member)
        group.keeping.discard(member)
        group.waiting.discard(member)
        if not group.members and group not in self._lasting.values():
            self._groups.pop((group.format, group.wanted, group.compressed), None)

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
        forms = Forms(change, self.seq)
        for group in self._groups.values():
            if group.publish(change, self.seq, forms):
                yield group

    def _group(self, format: Format, wanted: Filter, compressed: bool = False) -> Group:
        group = Group(format, wanted, compressed, self._limits, self.seq, self._batch)
        self._groups[format, wanted, compressed] = group
        return group


class Streams:
    """The streams of all endpoints."""

    def __init__(
        self,
        limits: LogLimits | None = None,
        seq: int = 0,
        changed: Callable[[Group], None] = lambda group: None,
        batch: Callable[[], Batch | None] = lambda: None,
    ) -> None:
        self._by_number = {
            each.number: Stream(each, limits, seq, changed, batch) for each in ENDPOINTS
        }

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
