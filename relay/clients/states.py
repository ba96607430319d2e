"""Reads the state that new clients get: once for all that want the same, however many come."""

import asyncio
from collections import OrderedDict
from typing import Final

from relay.changes import frames
from relay.changes.deflate import deflated
from relay.changes.groups import Format, Group
from relay.changes.intake import Intake
from relay.changes.records import Change
from relay.changes.snapshot import Snapshot
from relay.changes.streams import Stream
from relay.changes.wire import framed
from relay.clients.parameters import MOST_ROWS
from relay.clients.places import Places
from relay.clients.state import Cut, State, StateRow, merge
from relay.errors import Unavailable
from relay.upstream.rest import Rest

MOST_OPEN_ROWS: Final = 10_000
MOST_READS: Final = 4
MOST_CACHED: Final = 32
MOST_FRAMES_SINCE: Final = 1000
RETRY_SECONDS: Final = 1.0


class States:
    """The state per group; one that was read is good as long as the log goes on from it."""

    def __init__(self, rest: Rest, intake: Intake, places: Places, *, max_bytes_since: int) -> None:
        self._rest = rest
        self._intake = intake
        self._places = places
        self._max_bytes_since = max_bytes_since
        self._cached: OrderedDict[Group, State] = OrderedDict()
        self._reading: dict[Group, asyncio.Task[State]] = {}
        self._slots = asyncio.Semaphore(MOST_READS)

    def at_once(self, group: Group, last: int | None) -> tuple[State, Cut] | None:
        """A state and what `cut` makes of it, if one was read lately."""
        cached = self._cached.get(group)
        found = None if cached is None else self.cut(cached, group, last)
        if cached is None or found is None:
            return None
        self._cached.move_to_end(group)
        return cached, found

    def cut(self, state: State, group: Group, last: int | None) -> Cut | None:
        """What a client of the group gets first: exactly the newest `last` rows, or the newest and
        all open ones. None when the state is too old for that."""
        if last is None:
            return state.newest(MOST_ROWS) if self._continues(state, group) else None
        stream = self._intake.streams[group.wanted.endpoint]
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

    def read(self, group: Group) -> "asyncio.Task[State]":
        """The read under way, one for all who ask. It is repeated until it succeeds, and ends with
        Unavailable when nobody of the group is left."""
        task = self._reading.get(group)
        if task is None:
            task = asyncio.create_task(self._persist(group), name=f"state of {group.wanted}")
            self._reading[group] = task
            task.add_done_callback(lambda done: self._finished(group, done))
        return task

    async def close(self) -> None:
        """Ends the reads under way."""
        reads = list(self._reading.values())
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)

    def _continues(self, state: State, group: Group) -> bool:
        # Without too much to be read again.
        return (
            state.generation == group.generation
            and state.position >= group.log.tail
            and group.log.head - state.position <= MOST_FRAMES_SINCE
            and group.log.bytes_behind(state.position) <= self._max_bytes_since
        )

    def _finished(self, group: Group, task: asyncio.Task[State]) -> None:
        del self._reading[group]
        if task.cancelled() or task.exception() is not None:
            return  # those who waited were told
        for unread in [each for each in self._cached if not each.members]:
            del self._cached[unread]
        self._cached[group] = task.result()
        self._cached.move_to_end(group)
        if len(self._cached) > MOST_CACHED:
            self._cached.popitem(last=False)

    async def _persist(self, group: Group) -> State:
        while group.members:
            try:
                return await self._read(group)
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
        raise Unavailable("nobody is left who wants it")

    async def _read(self, group: Group) -> State:
        if self._intake.feed.snapshot is None:
            raise Unavailable("the first catch-up has not completed")
        async with self._slots:
            return await self._read_now(group)

    async def _read_now(self, group: Group) -> State:
        feed, stream = self._intake.feed, self._intake.streams[group.wanted.endpoint]
        generation = group.generation
        # The database may not show yet what was published, and may show or not what is published
        # from now on: both are merged into what it brings.
        before, unkept = feed.unshown(stream.endpoint.number), feed.unkept
        published = stream.record()
        try:
            if unkept is not None and not unkept.shown_by(await self._snapshot()):
                raise Unavailable("transactions that were sent on already are not visible yet")
            read, floor = await self._rows(group)
            if generation != group.generation:
                raise Unavailable("the database has another history since")
            # Rows that no source has brought yet go to everybody now, so that none comes twice.
            self._intake.take(read)
        finally:
            stream.stop_recording(published)
        rows = merge(read, before | published, group.wanted)
        return State(
            position=group.log.head,
            seq=stream.seq,
            generation=generation,
            rows=tuple(_row(group, stream, change) for change in rows),
            floor=floor,
            cursor=self._places.cursor(group.wanted),
        )

    async def _snapshot(self) -> Snapshot:
        page = await self._rest.changes_since(
            self._intake.feed.reached, epoch=self._intake.epoch, page=1
        )
        if page.reset is not None:
            raise Unavailable("the database has another history since")
        return page.snapshot

    async def _rows(self, group: Group) -> tuple[list[Change], int]:
        """The rows by id, and the id from which on none is missing."""
        newest, more = await self._rest.newest(group.wanted, MOST_ROWS)
        if not more:
            return newest[::-1], 0
        floor = newest[-1].id
        opened, _ = await self._rest.open_rows(group.wanted, floor, MOST_OPEN_ROWS)
        return (newest + opened)[::-1], floor


def _row(group: Group, stream: Stream, change: Change) -> StateRow:
    is_open = group.wanted.endpoint.is_open(change.record or {})
    return StateRow(change.id, _frame(group, stream, change), is_open)


def _frame(group: Group, stream: Stream, change: Change) -> bytes:
    events = group.format is Format.EVENTS
    frame = framed(frames.event(change, stream.seq) if events else frames.row(change))
    return deflated(frame) if group.compressed else frame
