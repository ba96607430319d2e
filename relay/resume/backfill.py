"""Reads from the database what resuming clients missed, once for many of them (single-flight).

A read begins at the common snapshot of all who wait for it, so that a few reads serve ten thousand
clients of a relay that died; it serves later ones too, as long as the logs reach back to it. There
is one read at a time for clients a short way behind and one for the rest, and what turned out to be
too much is not tried again. Results are kept compressed within one budget: where another one needs
the room, the least recently used goes, and clients in the middle of it start over.
"""

import asyncio
import zlib
from array import array
from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Generic, TypeVar

from relay.errors import Unavailable
from relay.resume.cursor import Unresumable
from relay.stream import encoding
from relay.stream.broker import Broker
from relay.stream.change import Change, by_endpoint
from relay.stream.encoding import apart, framed
from relay.stream.log import Overflow
from relay.stream.snapshot import Seqs, Snapshot, common
from relay.time_slices import TimeSlices
from relay.upstream.rest import Rest

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Single-flight: concurrent calls with one key share one task."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: dict[K, asyncio.Task[V]] = {}

    async def join(self, key: K, start: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Await the task of that key; `start` makes one when there is none."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(start(), name=f"{self._name} {key}")
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        # Who gives up must not end it for the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _finished(self, key: K, task: asyncio.Task[V]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # those who waited were told


GATHER_SECONDS: Final = 0.05
KEEP_SECONDS: Final = 60.0
NEAR_TRANSACTIONS: Final = 10_000  # as far behind is who comes back from a short break
CHUNK_CHANGES: Final = 100
CHUNK_BYTES: Final = 256 * 1024  # in memory: what is packed, or made for a client, in one go
TAKEN_AT_ONCE: Final = 100  # changes, which may be new to everybody
BYTES_A_ROW: Final = 256  # packed, with its numbers; a hotspot takes about half of it
NO_PLACE: Final = 0  # the seq of a frame after which nobody can be resumed
_QUICKLY: Final = 1  # a quarter of the time of the usual level, and hardly larger


class Chunk:
    """Some changes of one endpoint, in the order of transactions, as packed events of all rows."""

    __slots__ = ("_events", "_ids", "_txs", "_versions", "serial", "size")

    def __init__(self, changes: Sequence[Change], serial: int) -> None:
        events = b"".join(framed(encoding.event(change, NO_PLACE)) for change in changes)
        self._events = zlib.compress(events, _QUICKLY)
        self._txs = array("q", [change.tx for change in changes])
        self._ids = array("q", [change.id for change in changes])
        self._versions = array("q", [change.version for change in changes])
        self.serial: Final = serial
        self.size: Final = len(self._events) + 24 * len(changes) + 500

    @property
    def least_tx(self) -> int:
        """The first of the transactions."""
        return min(self._txs)

    def events(self, since: Snapshot, newer: Mapping[int, int]) -> Iterator[bytes]:
        """The frames of those that `since` does not show, without rows of which `newer` has
        that version or a later one."""
        every = apart(zlib.decompress(self._events))
        for event, tx, row_id, version in zip(
            every, self._txs, self._ids, self._versions, strict=True
        ):
            if not since.shows(tx) and newer.get(row_id, version - 1) < version:
                yield event


@dataclass(eq=False, slots=True)
class Backfill:
    """All that `upto` shows and `since` does not; what `upto` does not show comes after `seqs` in
    the logs, and with it what was sent on meanwhile, which is `newer`: the version of each row by
    endpoint number. It holds for one `generation` of the logs: another one is of another history.
    """

    since: Snapshot
    upto: Snapshot
    seqs: Seqs
    generation: int
    newer: Mapping[int, Mapping[int, int]]
    now: Callable[[], float]
    used_at: float
    chunks: Mapping[int, Sequence[Chunk]] | None

    def has(self, number: int) -> bool:
        """Whether it was read for that endpoint: its table may have been locked."""
        return self.chunks is not None and number in self.chunks

    def of(self, number: int) -> Sequence[Chunk]:
        """The chunks of that endpoint.

        Raises:
            Overflow: They had to make room for others.
        """
        if self.chunks is None:
            raise Overflow
        self.used_at = self.now()
        return self.chunks[number]


class TooMuch(Exception):
    """More was missed than is read for resuming clients."""


@dataclass(eq=False, slots=True)
class _Read:
    """A read that was not sent yet, is under way, or is done, for those who are `near` or for the
    others; `size` in bytes as far as it has come."""

    near: bool
    size: int = 0
    wanted: list[Snapshot] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)  # of endpoints
    since: Snapshot | None = None
    result: Backfill | None = None
    task: asyncio.Task[Backfill] | None = None


class Backfills:
    """Backfills that are kept or being read."""

    def __init__(
        self,
        rest: Rest,
        broker: Broker,
        slices: TimeSlices,
        *,
        now: Callable[[], float],
        most_rows: int,
    ) -> None:
        self._rest = rest
        self._broker = broker
        self._slices = slices
        self._now = now
        self._most_rows = most_rows
        self._most_bytes = most_rows * BYTES_A_ROW
        self._reads: list[_Read] = []
        self._one_at_a_time = {near: asyncio.Lock() for near in (True, False)}
        self._too_old = 0  # snapshots up to this transaction miss too much
        self._serials = count()
        self.count = 0

    async def get(self, snapshot: Snapshot, number: int) -> Backfill:
        """Return a read of all changes of that endpoint that the snapshot does not show.

        Raises:
            Unavailable: It cannot be read now, or the history changed meanwhile.
            Unresumable: The snapshot is of another history, or too much was missed.
        """
        while True:
            if snapshot.xmax <= self._too_old:
                raise Unresumable("expired")
            near = self._is_near(snapshot)
            read = self._serving(snapshot, number, near) or self._gathering(near)
            if read.since is None:
                read.wanted.append(snapshot)
                read.numbers.add(number)
            assert read.task is not None  # noqa: S101 for mypy: made with the read
            try:
                missed = await asyncio.shield(read.task)
            except TooMuch:
                continue  # unless it is too old itself, others were much further behind
            if missed.generation != self._broker.hub.generation:
                raise Unavailable("the database has another history since")
            if not missed.has(number):
                raise Unavailable("the table is locked, or lags behind Realtime")
            if snapshot.xmax > missed.upto.xmax:
                raise Unresumable("epoch")  # a snapshot from the future
            return missed

    def tick(self) -> None:
        """Drop reads that were not used lately; called every second."""
        least = self._now() - KEEP_SECONDS
        for read in self._done():
            if read.result is not None and read.result.used_at < least:
                self._drop(read)

    def forget(self) -> None:
        """The database has another history."""
        self._too_old = 0
        for read in self._done():
            self._drop(read)

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return sum(read.size for read in self._reads)

    async def close(self) -> None:
        """End the reads under way."""
        tasks = [read.task for read in self._reads if read.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_near(self, snapshot: Snapshot) -> bool:
        snapshots = (dedup.snapshot for dedup in self._broker.deduplicators.values())
        newest = max((each.xmax for each in snapshots if each is not None), default=None)
        return newest is not None and newest - snapshot.xmax <= NEAR_TRANSACTIONS

    def _serving(self, snapshot: Snapshot, number: int, near: bool) -> _Read | None:
        hub = self._broker.hub
        log = hub.by_number(number).log
        for read in reversed(self._reads):
            if read.since is None or not snapshot.covers(read.since) or number not in read.numbers:
                continue
            found = read.result
            if found is None:
                if read.near == near:
                    return read
            elif (
                found.generation == hub.generation
                and found.has(number)
                and log.covers(found.seqs[number])
            ):
                return read
        return None

    def _gathering(self, near: bool) -> _Read:
        for read in self._reads:
            if read.since is None and read.near == near:
                return read
        read = _Read(near)
        read.task = asyncio.create_task(self._run(read), name="read of what clients missed")
        read.task.add_done_callback(lambda task: self._finished(read, task))
        self._reads.append(read)
        return read

    async def _run(self, read: _Read) -> Backfill:
        await asyncio.sleep(GATHER_SECONDS)
        async with self._one_at_a_time[read.near]:
            since = read.since = common(read.wanted)
            generation = self._broker.hub.generation
            try:
                missed = read.result = await self._read(read, since)
            except TooMuch:
                if generation == self._broker.hub.generation:
                    self._too_old = max(self._too_old, since.xmax)
                raise
        return missed

    def _finished(self, read: _Read, task: asyncio.Task[Backfill]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._reads.remove(read)  # those who waited were told

    def _done(self) -> list[_Read]:
        return [read for read in self._reads if read.result is not None]

    def _drop(self, read: _Read) -> None:
        if read.result is not None:
            read.result.chunks = None
        self._reads.remove(read)

    def _make_room(self) -> None:
        """Let go of former reads until what is kept and being read is not too much."""
        used = [(read.result.used_at, read) for read in self._reads if read.result is not None]
        for _, read in sorted(used, key=lambda each: each[0]):
            if self.size <= self._most_bytes:
                return
            self._drop(read)

    async def _read(self, read: _Read, since: Snapshot) -> Backfill:
        hub, deduplicators = self._broker.hub, self._broker.deduplicators
        generation, seqs = hub.generation, hub.seqs()
        accepted = {number: dedup.accepted for number, dedup in deduplicators.items()}
        published = {stream.endpoint.number: stream.record() for stream in hub}
        chunks: dict[int, list[Chunk]] = {number: [] for number in read.numbers}
        locked: set[int] = set()
        rows = 0
        upto, after, more = None, (0, 0, 0), True
        try:
            while more:
                self.count += 1
                page = await self._rest.changes_since(
                    since, epoch=self._broker.epoch, upto=upto, after=after, tables=read.numbers
                )
                if page.reset == "expired":
                    raise TooMuch  # deletions of that time were pruned
                if page.reset:
                    raise Unresumable("epoch")
                upto, after, more = page.snapshot, page.after, page.more
                locked |= page.busy
                rows += len(page.changes)
                if rows > self._most_rows:
                    raise TooMuch
                await self._slices.collect(self._take(page.changes, generation))
                for number, theirs in by_endpoint(page.changes).items():
                    made = await self._slices.collect(map(self._chunk, in_chunks(theirs)))
                    chunks[number] += made
                    read.size += sum(chunk.size for chunk in made)
                if read.size > self._most_bytes:
                    raise TooMuch
                self._make_room()
        finally:
            for stream in hub:
                stream.stop_recording(published[stream.endpoint.number])
        if hub.generation != generation:
            raise Unavailable("the database has another history since")
        if upto is None or not upto.covers(since):
            raise Unavailable(f"changes_since went back from {since} to {upto}: not the primary?")
        for number in list(chunks):
            # Not those of which a transaction that was sent on already is not visible yet.
            if number in locked or deduplicators[number].hidden_from(upto, accepted[number]):
                del chunks[number]
        newer = {
            number: {change.id: change.version for change in theirs.values()}
            for number, theirs in published.items()
        }
        now = self._now
        return Backfill(since, upto, seqs, generation, newer, now, now(), chunks)

    def _take(self, changes: Sequence[Change], generation: int) -> Iterator[None]:
        """Publish changes that no source has brought yet, so that none comes twice."""
        for start in range(0, len(changes), TAKEN_AT_ONCE):
            if self._broker.hub.generation != generation:
                raise Unresumable("epoch")
            self._broker.take(changes[start : start + TAKEN_AT_ONCE])
            yield

    def _chunk(self, changes: Sequence[Change]) -> Chunk:
        return Chunk(changes, next(self._serials))


def in_chunks(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Yield the changes in parts that are packed, or rendered for a client, in a short time."""
    chunk: list[Change] = []
    size = 0
    for change in changes:
        if chunk and (len(chunk) == CHUNK_CHANGES or size + change.size() > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(change)
        size += change.size()
    if chunk:
        yield chunk
