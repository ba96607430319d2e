"""Reads from the database what resuming clients missed, once for many of them.

A read begins at what all who wait for it have in common, so that a few serve ten thousand clients
of a relay that died. It serves later ones too, as long as the logs go on from where it was sent.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from relay.changes import frames
from relay.changes.history import Seqs
from relay.changes.intake import Intake
from relay.changes.records import Change
from relay.changes.snapshot import Snapshot, common
from relay.changes.wire import framed
from relay.clients.places import Unresumable
from relay.errors import Unavailable
from relay.upstream.rest import Page, Rest

GATHER_SECONDS: Final = 0.05
KEEP_SECONDS: Final = 30.0
MOST_KEPT: Final = 4
MOST_BYTES: Final = 160 * 1024 * 1024
NO_PLACE: Final = 0  # the seq of a frame after which nobody can be resumed


class Caught(NamedTuple):
    """A change that was read, as an event of all rows."""

    tx: int
    row_id: int
    version: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Missed:
    """All that `upto` shows and `since` does not, by endpoint number; what `upto` does not show
    comes after `seqs` in the logs, and with it what was sent on meanwhile. It holds for one
    `generation` of the logs: another one is of another history."""

    since: Snapshot
    upto: Snapshot
    seqs: Seqs
    generation: int
    caught: Mapping[int, tuple[Caught, ...]]


class TooMuch(Exception):
    """More was missed than is read for resuming clients."""


@dataclass(eq=False, slots=True)
class _Read:
    """A read that was not sent yet, is under way, or is done."""

    wanted: list[Snapshot] = field(default_factory=list)
    since: Snapshot | None = None
    used_at: float = 0.0
    result: Missed | None = None
    task: asyncio.Task[Missed] | None = None


class MissedReads:
    """What was read lately or is being read; `generation` changes with the history."""

    def __init__(
        self,
        rest: Rest,
        intake: Intake,
        *,
        now: Callable[[], float],
        most_rows: int,
    ) -> None:
        self._rest = rest
        self._intake = intake
        self._now = now
        self._most_rows = most_rows
        self._reads: list[_Read] = []
        self._one_at_a_time = asyncio.Lock()
        self.count = 0

    async def get(self, snapshot: Snapshot, number: int) -> Missed:
        """A read that brings all which the snapshot does not show of that endpoint.

        Raises:
            Unavailable: it cannot be read now, or the history changed meanwhile.
            Unresumable: the snapshot is of another history, or too much was missed.
        """
        while True:
            read = self._serving(snapshot, number) or self._gathering()
            if read.since is None:
                read.wanted.append(snapshot)
            read.used_at = self._now()
            assert read.task is not None  # noqa: S101 for mypy: made with the read
            try:
                missed = await asyncio.shield(read.task)
            except TooMuch:
                if read.since is None or snapshot.xmax <= read.since.xmax:
                    raise Unresumable("expired") from None
                continue  # others were much further behind
            if missed.generation != self._intake.streams.generation:
                raise Unavailable("the database has another history since")
            if snapshot.xmax > missed.upto.xmax:
                raise Unresumable("epoch")  # a snapshot from the future
            return missed

    def tick(self) -> None:
        """Lets go of what nobody asked for lately; called every second."""
        least = self._now() - KEEP_SECONDS
        self._reads = [read for read in self._reads if read.result is None or read.used_at >= least]

    def forget(self) -> None:
        """The database has another history."""
        self._reads = [read for read in self._reads if read.result is None]

    async def close(self) -> None:
        """Ends the reads under way."""
        tasks = [read.task for read in self._reads if read.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _serving(self, snapshot: Snapshot, number: int) -> _Read | None:
        streams = self._intake.streams
        log = streams.by_number(number).log
        for read in reversed(self._reads):
            if read.since is None or not snapshot.covers(read.since):
                continue
            found = read.result
            if found is None or (
                found.generation == streams.generation and log.covers(found.seqs[number])
            ):
                return read
        return None

    def _gathering(self) -> _Read:
        for read in self._reads:
            if read.since is None:
                return read
        read = _Read()
        read.task = asyncio.create_task(self._run(read), name="read of what clients missed")
        read.task.add_done_callback(lambda task: self._finished(read, task))
        self._reads.append(read)
        return read

    async def _run(self, read: _Read) -> Missed:
        await asyncio.sleep(GATHER_SECONDS)
        async with self._one_at_a_time:
            read.since = common(read.wanted)
            missed = read.result = await self._read(read.since)
        return missed

    def _finished(self, read: _Read, task: asyncio.Task[Missed]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._reads.remove(read)  # those who waited were told
        done = [each for each in self._reads if each.result is not None]
        for oldest in done[:-MOST_KEPT]:
            self._reads.remove(oldest)

    async def _read(self, since: Snapshot) -> Missed:
        streams = self._intake.streams
        generation, seqs = streams.generation, streams.seqs()
        accepted = self._intake.feed.accepted
        published = {stream.endpoint.number: stream.record() for stream in streams}
        caught: dict[int, list[Caught]] = {number: [] for number in published}
        rows = size = 0
        upto, after, more = None, (0, 0, 0), True
        try:
            while more:
                page = await self._page(since, upto, after)
                if page.reset == "expired":
                    raise TooMuch  # deletions of that time were pruned
                if page.reset or streams.generation != generation:
                    raise Unresumable("epoch")
                upto, after, more = page.snapshot, page.after, page.more
                # Rows that no source has brought yet go to everybody, so that none comes twice.
                self._intake.take(page.changes)
                for change in page.changes:
                    entry = _caught(change)
                    caught[change.endpoint.number].append(entry)
                    size += len(entry.frame)
                rows += len(page.changes)
                if rows > self._most_rows or size > MOST_BYTES:
                    raise TooMuch
                await asyncio.sleep(0)
        finally:
            for stream in streams:
                stream.stop_recording(published[stream.endpoint.number])
        if streams.generation != generation:
            raise Unavailable("the database has another history since")
        if upto is None or not upto.covers(since):
            raise Unavailable(f"changes_since went back from {since} to {upto}: not the primary?")
        if self._intake.feed.hidden_from(upto, accepted):
            raise Unavailable("a transaction that was sent on already is not visible yet")
        kept = {
            number: tuple(entry for entry in entries if not _has(published[number], entry))
            for number, entries in caught.items()
        }
        return Missed(since, upto, seqs, generation, kept)

    async def _page(
        self, since: Snapshot, upto: Snapshot | None, after: tuple[int, int, int]
    ) -> Page:
        self.count += 1
        return await self._rest.changes_since(
            since, epoch=self._intake.epoch, upto=upto, after=after
        )


def _caught(change: Change) -> Caught:
    return Caught(change.tx, change.id, change.version, framed(frames.event(change, NO_PLACE)))


def _has(published: Mapping[int, Change], entry: Caught) -> bool:
    newer = published.get(entry.row_id)
    return newer is not None and newer.version >= entry.version
