"""Reads initial states: once for all clients that want the same, with users taking turns."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from relay.errors import Unavailable
from relay.resume.cursor import CursorIssuer
from relay.resume.initial_state import (
    MOST_ROWS,
    InitialState,
    StateBudget,
    StateRow,
    StateSlice,
    merge,
)
from relay.stream import encoding
from relay.stream.broker import Broker
from relay.stream.change import Change
from relay.stream.dedup import Deduplicator
from relay.stream.encoding import framed
from relay.stream.filters import Filter
from relay.stream.group import Format, Group
from relay.stream.hub import Stream
from relay.stream.snapshot import Snapshot
from relay.upstream.rest import Rest

T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[T]):
    """Fair queue: users take turns, whatever each of them asks for.

    Args:
        most: Items served at a time.
        most_each: Of these, for one user.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._most: Final = most
        self._most_each: Final = most_each
        self._waiting: OrderedDict[str, dict[T, None]] = OrderedDict()  # who is next comes first
        self._users: dict[T, set[str]] = {}
        self._served = Counter[str]()

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._users))

    def add(self, user: str, item: T) -> None:
        """The item waits for the user, behind what does already."""
        self._waiting.setdefault(user, {})[item] = None
        self._users.setdefault(item, set()).add(user)

    def discard(self, item: T) -> None:
        """The item waits for nobody any more."""
        for user in self._users.pop(item, ()):
            theirs = self._waiting[user]
            del theirs[item]
            if not theirs:
                del self._waiting[user]

    def take(self) -> tuple[str, T] | None:
        """The next item and the user that it counts for until `done`; None while there is none
        that may be served."""
        if self._served.total() >= self._most:
            return None
        for user, theirs in self._waiting.items():
            if self._served[user] < self._most_each:
                item = next(iter(theirs))
                self.discard(item)
                if user in self._waiting:
                    self._waiting.move_to_end(user)
                self._served[user] += 1
                return user, item
        return None

    def done(self, user: str) -> None:
        """One item that was taken for that user has been served."""
        self._served[user] -= 1
        if not self._served[user]:
            del self._served[user]


MOST_OPEN_ROWS: Final = 10_000
MOST_READS: Final = 4
MOST_READS_EACH: Final = 2  # for one user
WORTH_A_COMMON_READ: Final = 4  # filters
MOST_CACHED: Final = 32
MOST_FRAMES_SINCE: Final = 1000
RETRY_SECONDS: Final = 1.0


class Reader(Protocol):
    """A client that waits for its initial state."""

    @property
    def user(self) -> str:
        """The user whose share of reads it counts for."""

    def receive_state(self, state: InitialState | BaseException) -> None:
        """Receive the state, or a fault of the relay; called once."""


@dataclass(eq=False, slots=True)
class Read:
    """What some clients of a group wait for: the newest rows, and if it is `whole`, all open ones.
    A read that is under way has a task."""

    group: Group
    whole: bool = False
    readers: dict[Reader, None] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class InitialStates:
    """The state per group; one that was read is good as long as the log goes on from it.

    Few reads are under way at a time, and fewer for one user; users take turns. A read ends with
    the last one who waits for it. Where many filters wait, all rows of the endpoint are read once
    for all of them, unless there are more than one read brings.
    """

    def __init__(
        self, rest: Rest, broker: Broker, issuer: CursorIssuer, *, max_bytes_since: int
    ) -> None:
        self._rest = rest
        self._broker = broker
        self._issuer = issuer
        self._max_bytes_since = max_bytes_since
        self._budget = StateBudget()
        self._cached: OrderedDict[Group, InitialState] = OrderedDict()
        self._reads: dict[Group, Read] = {}
        self._queue = FairQueue[Read](MOST_READS, MOST_READS_EACH)
        self._tasks: set[asyncio.Task[None]] = set()
        self._too_large: set[int] = set()  # numbers of endpoints that one read does not bring whole

    @property
    def waited_for(self) -> int:
        """How many states somebody waits for."""
        return len(self._reads)

    def at_once(self, group: Group, last: int | None) -> tuple[InitialState, StateSlice] | None:
        """A state and what `slice` makes of it, if one was read lately."""
        cached = self._cached.get(group)
        found = None if cached is None else self.slice(cached, group, last)
        if cached is None or found is None:
            return None
        self._cached.move_to_end(group)
        return cached, found

    def slice(self, state: InitialState, group: Group, last: int | None) -> StateSlice | None:
        """What a client of the group gets first: exactly the newest `last` rows, or the newest and
        all open ones. None when the state is too old for that."""
        if not state.retained:
            return None
        if last is None:
            return state.all() if state.whole and self._continues(state, group) else None
        stream = self._broker.hub[group.wanted.endpoint]
        since = stream.recent.since(state.seq) if state.generation == group.generation else None
        if since is None:
            return None
        return state.last(
            last,
            since,
            group.wanted,
            lambda change: _frame(group, stream, change),
            stream.seq,
            group.log.head,
        )

    def read(self, group: Group, reader: Reader, last: int | None) -> None:
        """Reads the state for all who wait for that of the group, until it succeeds. What `slice`
        makes of it may be nothing for who comes while a read is under way."""
        read = self._reads.get(group)
        if read is None:
            read = self._reads[group] = Read(group)
        read.readers[reader] = None
        read.whole |= last is None
        if read.task is None:
            self._queue.add(reader.user, read)
            self._begin_reads()

    def leave(self, group: Group, reader: Reader) -> None:
        """Does not wait any more; what nobody waits for is not read."""
        read = self._reads.get(group)
        if read is None or reader not in read.readers:
            return
        del read.readers[reader]
        if not read.readers:
            del self._reads[group]
            self._queue.discard(read)
            others = (other.task for other in self._reads.values())
            if read.task is not None and read.task not in others:
                read.task.cancel()

    async def close(self) -> None:
        """Ends the reads under way."""
        for read in self._reads.values():
            self._queue.discard(read)
        self._reads.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _continues(self, state: InitialState, group: Group) -> bool:
        # Without too much to be read again.
        return (
            state.generation == group.generation
            and state.position >= group.log.tail
            and group.log.head - state.position <= MOST_FRAMES_SINCE
            and group.log.bytes_behind(state.position) <= self._max_bytes_since
        )

    def _begin_reads(self) -> None:
        while (turn := self._queue.take()) is not None:
            user, first = turn
            reads = [first, *self._in_common_with(first)]
            wanted = first.group.wanted if len(reads) == 1 else Filter(first.group.wanted.endpoint)
            task = asyncio.create_task(self._answer(reads, wanted), name=f"state of {wanted}")
            for read in reads:
                self._queue.discard(read)
                read.task = task
            self._tasks.add(task)
            task.add_done_callback(partial(self._ended, user, reads))

    def _in_common_with(self, first: Read) -> list[Read]:
        """The other reads that all rows of the endpoint serve as well, if that is worth it."""
        endpoint = first.group.wanted.endpoint
        if endpoint.number in self._too_large:
            return []
        others = [read for read in self._queue if read.group.wanted.endpoint is endpoint]
        return others if len(others) + 1 >= WORTH_A_COMMON_READ else []

    def _ended(self, user: str, reads: list[Read], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._queue.done(user)
        error = None if task.cancelled() else task.exception()
        left = [read for read in reads if self._reads.get(read.group) is read]
        if error is None:
            self._queue_again(left)
        elif isinstance(error, Unavailable):
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._queue_again, left)
        else:
            for read in left:
                self._got(read, error)
        self._begin_reads()

    def _queue_again(self, reads: list[Read]) -> None:
        for read in reads:
            if self._reads.get(read.group) is read:
                read.task = None
                for reader in read.readers:
                    self._queue.add(reader.user, read)
        self._begin_reads()

    def _got(self, read: Read, outcome: InitialState | BaseException) -> None:
        if self._reads.get(read.group) is not read:
            return  # nobody is left who wants it
        del self._reads[read.group]
        if isinstance(outcome, InitialState):
            self._cache(read.group, outcome)
        for reader in list(read.readers):
            reader.receive_state(outcome)

    def _cache(self, group: Group, state: InitialState) -> None:
        for other, held in list(self._cached.items()):
            if not other.members or not held.retained:
                del self._cached[other]
        self._cached[group] = state
        self._cached.move_to_end(group)
        if len(self._cached) > MOST_CACHED:
            self._cached.popitem(last=False)

    async def _answer(self, reads: list[Read], wanted: Filter) -> None:
        """Reads the rows of the filter and answers those reads by them, unless they are several and
        the rows too many."""
        number = wanted.endpoint.number
        feed, stream = self._broker.feeds[number], self._broker.hub[wanted.endpoint]
        if not self._broker.begun:
            raise Unavailable("the first catch-up has not completed")
        if number in self._broker.busy:
            raise Unavailable("the table is locked")  # its read would take the turn of others
        generation = stream.generation
        # The database may not show yet what was published, and may show or not what is published
        # from now on: both are merged into what it brings.
        before, unkept = feed.unshown(), feed.unkept
        published = stream.record()
        try:
            if unkept is not None and not unkept.shown_by(await self._snapshot(feed)):
                raise Unavailable("transactions that were sent on already are not visible yet")
            rows, more = await self._rest.newest(wanted, MOST_ROWS)
            _check(stream, generation)
            # Rows that no source has brought yet go to everybody now, so that none comes twice.
            self._broker.take(rows)
            floor = rows[-1].id if more else 0
            if wanted.is_everything:
                self._too_large -= {stream.endpoint.number}
                if floor:
                    self._too_large |= {stream.endpoint.number}
            if floor and len(reads) > 1:
                return
            whole = not floor or any(read.whole for read in reads)
            older: list[OlderRow] = []
            if floor and whole:
                async for page in self._rest.open_rows(wanted, floor, MOST_OPEN_ROWS):
                    _check(stream, generation)
                    self._broker.take(page)
                    older += (OlderRow(each, reads[0].group.format) for each in page)
            for read in reads:
                group, newer = read.group, before | published
                state = InitialState(
                    _rows(group, stream, older, merge(rows, newer, group.wanted), newer),
                    most=MOST_ROWS,
                    whole=whole,
                    position=group.log.head,
                    seq=stream.seq,
                    generation=generation,
                    floor=floor,
                    cursor=self._issuer.cursor(group.wanted),
                    budget=self._budget,
                )
                self._got(read, state)
                if read is not reads[-1]:
                    await asyncio.sleep(0)
                    _check(stream, generation)
        finally:
            stream.stop_recording(published)

    async def _snapshot(self, feed: Deduplicator) -> Snapshot:
        page = await self._rest.changes_since(feed.reached, epoch=self._broker.epoch, page=1)
        if page.reset is not None:
            raise Unavailable("the database has another history since")
        return page.snapshot


def _check(stream: Stream, generation: int) -> None:
    if stream.generation != generation:
        raise Unavailable("the database has another history since")


class OlderRow:
    """A row of which there may be ten thousand: all that its frame takes but its seq."""

    __slots__ = ("id", "text", "version")

    def __init__(self, change: Change, format: Format) -> None:
        events = format is Format.EVENTS
        self.id: Final = change.id
        self.version: Final = change.version
        self.text: Final = encoding.event_without_seq(change) if events else encoding.row(change)


def _rows(
    group: Group,
    stream: Stream,
    older: Iterable[OlderRow],
    changes: Iterable[Change],
    newer: Mapping[int, Change],
) -> Iterator[StateRow]:
    """The rows by id, each in the newest version that is known: `older` ones, which are open, and
    what `merge` made of the others and of what is `newer`."""
    held = {row.id: row for row in older if not _is_newer(newer.get(row.id), row)}
    rows: list[Change | OlderRow] = [change for change in changes if change.id not in held]
    rows += held.values()
    rows.sort(key=lambda row: row.id)
    is_open = group.wanted.endpoint.is_open
    for row in rows:
        if isinstance(row, Change):
            frame = partial(_frame, group, stream, row)
            yield StateRow(row.id, is_open(row.record or {}), frame)
        else:
            yield StateRow(row.id, open=True, frame=partial(_older_frame, group, stream, row))


def _is_newer(change: Change | None, row: OlderRow) -> bool:
    return change is not None and change.version >= row.version


def _frame(group: Group, stream: Stream, change: Change) -> bytes:
    events = group.format is Format.EVENTS
    return framed(encoding.event(change, stream.seq) if events else encoding.row(change))


def _older_frame(group: Group, stream: Stream, row: OlderRow) -> bytes:
    events = group.format is Format.EVENTS
    return framed(encoding.with_seq(row.text, stream.seq) if events else row.text)
