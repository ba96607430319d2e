"""Reads initial states: once for all clients that want the same, with users taking turns.

What is read is parsed, rendered and handed out in time slices: a state may have ten thousand rows.
"""

import asyncio
import heapq
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter, methodcaller
from typing import Final, Generic, NamedTuple, Protocol, TypeVar
from weakref import WeakKeyDictionary

from relay.access.limits import THIS_MACHINE, RateLimiter
from relay.errors import Unavailable
from relay.resume.cursor import CursorIssuer
from relay.resume.initial_state import (
    MOST_ROWS,
    PROTECTED_SECONDS,
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
from relay.stream.encoding import Format, framed
from relay.stream.filters import Filter
from relay.stream.hub import Group, Stream
from relay.stream.snapshot import Snapshot
from relay.time_slices import TimeSlices
from relay.upstream.rest import Rest

T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[T]):
    """Fair queue: users take turns, whatever each of them asks for.

    Args:
        most: Items served at a time.
        most_each: Of these, for one user.
        allows: Takes a token of that user's rate limit; false when there is none.
    """

    def __init__(
        self, most: int, most_each: int, allows: Callable[[str], bool] = lambda user: True
    ) -> None:
        self._most: Final = most
        self._most_each: Final = most_each
        self._allows: Final = allows
        self._waiting: OrderedDict[str, dict[T, None]] = OrderedDict()  # who is next comes first
        self._users: dict[T, set[str]] = {}
        self._served = Counter[str]()

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._users))

    def add(self, user: str, item: T) -> None:
        """Queue the item for the user."""
        self._waiting.setdefault(user, {})[item] = None
        self._users.setdefault(item, set()).add(user)

    def discard(self, item: T) -> None:
        """Remove the item from all queues."""
        for user in self._users.pop(item, ()):
            theirs = self._waiting[user]
            del theirs[item]
            if not theirs:
                del self._waiting[user]

    def take(self, fits: Callable[[T], bool] = lambda item: True) -> tuple[str, T] | None:
        """Take the next item that fits and may be served, with the user it counts for until
        `done`."""
        if self._served.total() >= self._most:
            return None
        for user, theirs in self._waiting.items():
            if self._served[user] >= self._most_each:
                continue
            item = next(filter(fits, theirs), None)
            if item is not None and self._allows(user):
                self.discard(item)
                if user in self._waiting:
                    self._waiting.move_to_end(user)
                self._served[user] += 1
                return user, item
        return None

    def done(self, user: str) -> None:
        """Note that an item taken for that user has been served."""
        self._served[user] -= 1
        if not self._served[user]:
            del self._served[user]


MOST_OPEN_ROWS: Final = 10_000
MOST_READS: Final = 4
MOST_READS_EACH: Final = 1  # for one user
READS_PER_SECOND: Final = 2.0  # for one user
WORTH_A_COMMON_READ: Final = 4  # filters
MOST_CACHED: Final = 32
MOST_FRAMES_SINCE: Final = 1000
TAKEN_AT_ONCE: Final = 100  # rows, which may be new to everybody
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
    """A read that clients of a group wait for; one that is under way has a task.

    Attributes:
        asked_at: When, in seconds of a monotonic clock.
        whole: Whether it includes all open rows, beside the newest ones.
    """

    group: Group
    asked_at: float
    whole: bool = False
    readers: dict[Reader, None] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class InitialStates:
    """Cache of initial states by group; one is good while the log continues from it.

    Few reads are under way at a time, and fewer for one user; users take turns, and have a rate. A
    read ends with the last one who waits for it. Where many filters wait, all rows of the endpoint
    are read once for all of them, unless there are more than one read brings.

    Args:
        rest: Where rows are read.
        broker: What is published meanwhile.
        issuer: Issues the cursors of states.
        slices: Time slices in which states are made.
        max_bytes_since: Bytes of the log after which a state is read anew.
        burst: Reads for one user at once; then there are READS_PER_SECOND.
        now: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        rest: Rest,
        broker: Broker,
        issuer: CursorIssuer,
        slices: TimeSlices,
        *,
        max_bytes_since: int,
        burst: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rest = rest
        self._slices = slices
        self._broker = broker
        self._issuer = issuer
        self._max_bytes_since = max_bytes_since
        self._budget = StateBudget(now=now)
        self._sizes = WeakKeyDictionary[Group, int]()  # bytes of the last state
        self._cached: OrderedDict[Group, InitialState] = OrderedDict()
        self._reads: dict[Group, Read] = {}
        self._handed_out: set[Read] = set()  # that are done, and given to their readers just now
        self._now = now
        self._rates = RateLimiter(READS_PER_SECOND, burst)
        self._queue = FairQueue[Read](MOST_READS, MOST_READS_EACH, self._allows)
        self._next_look: asyncio.TimerHandle | None = None  # for those who wait for their rate
        self._tasks: dict[asyncio.Task[None], list[Read]] = {}
        self._too_large: set[int] = set()  # numbers of endpoints that one read does not bring whole

    def at_once(self, group: Group, last: int | None) -> tuple[InitialState, StateSlice] | None:
        """Return a cached state and its slice; None if there is none."""
        cached = self._cached.get(group)
        found = None if cached is None else self.slice(cached, group, last)
        if cached is None or found is None:
            return None
        self._cached.move_to_end(group)
        return cached, found

    def slice(
        self, state: InitialState, group: Group, last: int | None, *, fresh: bool = False
    ) -> StateSlice | None:
        """Return what a client of the group gets first; None if the state is too old for it.

        Args:
            state: A state of the group.
            group: The group.
            last: Exactly that many of the newest rows; None for the newest and all open ones.
            fresh: It was read for this client, however much was published since.
        """
        if not state.retained or state.generation != group.stream.generation:
            return None
        in_log = fresh and state.position >= group.log.tail
        if last is None:
            return (
                state.all() if state.whole and (in_log or self._continues(state, group)) else None
            )
        stream = group.stream
        since, seq, head = stream.recent.since(state.seq), stream.seq, group.log.head
        if since is None and in_log:
            since, seq, head = {}, state.seq, state.position
        if since is None:
            return None
        encode = partial(_encoded, group.format)
        return state.last(
            last, since, group.wanted, lambda each: _frame(group, encode(each), seq), seq, head
        )

    def read(self, group: Group, reader: Reader, last: int | None) -> None:
        """Read the state for all readers of the group, retrying until it succeeds.

        For a reader that joins a read under way, `slice` may find the state too old.
        """
        read = self._reads.get(group)
        if read is None:
            read = self._reads[group] = Read(group, self._now())
        read.readers[reader] = None
        read.whole |= last is None
        if read.task is None:
            self._queue.add(reader.user, read)
            self._begin_reads()

    def leave(self, group: Group, reader: Reader) -> None:
        """Stop waiting; a read that nobody waits for ends."""
        read = self._reads.get(group)
        if read is None or reader not in read.readers:
            return
        del read.readers[reader]
        if not read.readers:
            del self._reads[group]
            self._queue.discard(read)
            others = (other.task for other in (*self._reads.values(), *self._handed_out))
            if read.task is not None and read.task not in others:
                read.task.cancel()

    async def close(self) -> None:
        """End the reads under way."""
        if self._next_look is not None:
            self._next_look.cancel()
        for read in self._reads.values():
            self._queue.discard(read)
        self._reads.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _continues(self, state: InitialState, group: Group) -> bool:
        # Without too much to be read again.
        return (
            state.generation == group.stream.generation
            and state.position >= group.log.tail
            and group.log.head - state.position <= MOST_FRAMES_SINCE
            and group.log.bytes_behind(state.position) <= self._max_bytes_since
        )

    def _begin_reads(self) -> None:
        while (turn := self._queue.take(self._fitting())) is not None:
            user, first = turn
            reads = [first, *self._in_common_with(first)]
            wanted = first.group.wanted if len(reads) == 1 else Filter(first.group.wanted.endpoint)
            task = asyncio.create_task(self._answer(reads, wanted), name=f"state of {wanted}")
            for read in reads:
                self._queue.discard(read)
                read.task = task
            self._tasks[task] = reads
            task.add_done_callback(partial(self._ended, user, reads))
        if len(self._queue) and self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(
                1 / READS_PER_SECOND, self._look_again
            )

    def _fitting(self) -> Callable[[Read], bool]:
        """Return what tells whether a read may begin: its state, as far as its size is known, would
        make none start over that is being read, or it has waited long enough. One that is larger
        than the whole budget would wait each time, and fit no better."""
        begun = (read.group for reads in self._tasks.values() for read in reads)
        room = self._budget.room() - sum(self._sizes.get(group, 0) for group in begun)
        late = self._now() - PROTECTED_SECONDS
        most = self._budget.most_bytes

        def fits(read: Read) -> bool:
            size = self._sizes.get(read.group, 0)
            return size <= room or size > most or read.asked_at <= late

        return fits

    def _allows(self, user: str) -> bool:
        return user == THIS_MACHINE or self._rates.take(user, self._now())

    def _look_again(self) -> None:
        self._next_look = None
        self._begin_reads()

    def _in_common_with(self, first: Read) -> list[Read]:
        """Return the other reads that all rows of the endpoint serve too, if it is worth it."""
        endpoint = first.group.wanted.endpoint
        if endpoint.number in self._too_large:
            return []
        others = [read for read in self._queue if read.group.wanted.endpoint is endpoint]
        return others if len(others) + 1 >= WORTH_A_COMMON_READ else []

    def _ended(self, user: str, reads: list[Read], task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._queue.done(user)
        error = None if task.cancelled() else task.exception()
        left = [read for read in reads if self._is_wanted(read)]
        if error is None:
            self._queue_again(left)
        elif isinstance(error, Unavailable):
            self._rates.give_back(user)
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._queue_again, left)
        else:
            for read in left:
                del self._reads[read.group]
                for reader in list(read.readers):
                    reader.receive_state(error)
        self._begin_reads()

    def _queue_again(self, reads: list[Read]) -> None:
        for read in reads:
            if self._is_wanted(read):
                read.task = None
                for reader in read.readers:
                    self._queue.add(reader.user, read)
        self._begin_reads()

    async def _hand_out(self, read: Read, state: InitialState) -> None:
        if not self._is_wanted(read):
            return
        del self._reads[read.group]
        self._cache(read.group, state)
        self._handed_out.add(read)
        try:
            handing_out = map(methodcaller("receive_state", state), list(read.readers))
            await self._slices.collect(handing_out)
        finally:
            self._handed_out.discard(read)

    def _is_wanted(self, read: Read) -> bool:
        return self._reads.get(read.group) is read

    def _cache(self, group: Group, state: InitialState) -> None:
        self._sizes[group] = state.size
        for other, held in list(self._cached.items()):
            if not other.members or not held.retained:
                del self._cached[other]
        self._cached[group] = state
        self._cached.move_to_end(group)
        if len(self._cached) > MOST_CACHED:
            self._cached.popitem(last=False)

    async def _answer(self, reads: list[Read], wanted: Filter) -> None:
        """Read the rows of the filter once and answer all the reads.

        Several reads are not answered if there are more rows than one read brings.
        """
        number = wanted.endpoint.number
        dedup, stream = self._broker.deduplicators[number], self._broker.hub[wanted.endpoint]
        if not self._broker.begun:
            raise Unavailable("the first catch-up has not completed")
        if number in self._broker.busy:
            raise Unavailable("the table is locked")  # its read would take the turn of others
        generation = stream.generation
        # The database may not show yet what was published, and may show or not what is published
        # from now on: both are merged into what it brings.
        before, unkept = dedup.unshown(), dedup.unkept
        published = stream.record()
        try:
            if unkept is not None and not unkept.shown_by(await self._snapshot(dedup)):
                raise Unavailable("transactions that were sent on already are not visible yet")
            rows, more = await self._rest.newest(wanted, MOST_ROWS)
            await self._take(rows, stream, generation)
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
                older = await self._open_below(floor, wanted, reads[0].group.format, generation)
            encode = _encoded if len(reads) == 1 else _EncodedOnce()
            for read in filter(self._is_wanted, reads):
                stream.check(generation)
                # All this is as of one moment; what is published from now on follows in the log.
                newer = before | published
                position, seq = read.group.log.head, stream.seq
                cursor = self._issuer.cursor(read.group.wanted)
                found = _rows(read.group, rows, older, newer, encode, seq)
                state = InitialState(
                    await self._slices.collect(found),
                    most=MOST_ROWS,
                    whole=whole,
                    position=position,
                    seq=seq,
                    generation=generation,
                    floor=floor,
                    cursor=cursor,
                    budget=self._budget,
                )
                stream.check(generation)
                await self._hand_out(read, state)
        finally:
            stream.stop_recording(published)

    async def _open_below(
        self, floor: int, wanted: Filter, format: Format, generation: int
    ) -> list["OlderRow"]:
        """Read the open rows of the filter below an id, in order of their ids."""
        stream = self._broker.hub[wanted.endpoint]
        older: list[OlderRow] = []
        async for page in self._rest.open_rows(wanted, floor, MOST_OPEN_ROWS):
            await self._take(page, stream, generation)
            older += await self._slices.collect(
                OlderRow(each.id, each.version, _encoded(format, each)) for each in page
            )
        older.reverse()
        return older

    async def _take(self, rows: Sequence[Change], stream: Stream, generation: int) -> None:
        """Publish rows that no source has brought yet, so that none comes twice."""

        def taking() -> Iterator[None]:
            for start in range(0, len(rows), TAKEN_AT_ONCE):
                stream.check(generation)
                self._broker.take(rows[start : start + TAKEN_AT_ONCE])
                yield

        await self._slices.collect(taking())
        stream.check(generation)

    async def _snapshot(self, dedup: Deduplicator) -> Snapshot:
        page = await self._rest.changes_since(dedup.reached, epoch=self._broker.epoch, page=1)
        if page.reset is not None:
            raise Unavailable("the database has another history since")
        return page.snapshot


class OlderRow(NamedTuple):
    """A row of which there may be ten thousand: `text` is all that its frame takes but its seq."""

    id: int
    version: int
    text: str


def _encoded(format: Format, change: Change) -> str:
    """Encode a change up to its seq."""
    if format is Format.EVENTS:
        return encoding.event_without_seq(change)
    return encoding.row(change)


class _EncodedOnce:
    """Encodes each change once for several groups."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Format, int, int], str] = {}

    def __call__(self, format: Format, change: Change) -> str:
        key = (format, change.id, change.version)
        text = self._kept.get(key)
        if text is None:
            text = self._kept[key] = _encoded(format, change)
        return text


def _rows(
    group: Group,
    read: Sequence[Change],
    older: Sequence[OlderRow],
    newer: Mapping[int, Change],
    encode: Callable[[Format, Change], str],
    seq: int,
) -> Iterator[StateRow]:
    """Yield the rows by id, each in the newest version that is known.

    Args:
        group: Who gets them.
        read: The newest rows.
        older: Open rows below all that were `read`, by id.
        newer: Changes by id that these rows may be older than.
        encode: Encodes a change up to its seq.
        seq: The seq in their frames.
    """
    current = {
        row.id
        for row in older
        if (change := newer.get(row.id)) is None or row.version > change.version
    }
    changes = (each for each in merge(read, newer, group.wanted) if each.id not in current)
    others = (row for row in older if row.id in current)
    is_open, format = group.wanted.endpoint.is_open, group.format
    every: Iterator[Change | OlderRow] = heapq.merge(others, changes, key=attrgetter("id"))
    for row in every:
        if isinstance(row, Change):
            text = encode(format, row)
            yield StateRow(row.id, is_open(row.record or {}), _frame(group, text, seq))
        else:
            yield StateRow(row.id, open=True, frame=_frame(group, row.text, seq))


def _frame(group: Group, text: str, seq: int) -> bytes:
    return framed(encoding.with_seq(text, seq) if group.format is Format.EVENTS else text)
