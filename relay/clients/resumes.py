"""Decides how a client with a cursor goes on: from the logs, from the database, or not at all."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from relay.changes.filters import Filter
from relay.changes.frames import filtered
from relay.changes.groups import Group, Stream
from relay.changes.intake import Intake
from relay.changes.log import Overflow
from relay.clients.beats import Beats
from relay.clients.cursor import Cursor
from relay.clients.flights import Flights
from relay.clients.missed import Missed, MissedReads
from relay.clients.places import Places, Unresumable
from relay.errors import Unavailable

CHUNK_FRAMES: Final = 500
KEEP_SECONDS: Final = 30.0
MOST_RENDERED: Final = 64


@dataclass(frozen=True, slots=True)
class Replay:
    """Everything that a client missed: `before`, and then its group's log from `position`; from
    `until` on it is up to date, and `cursor` its new place. `kind`: seq, memory or rest."""

    kind: str
    before: Sequence[str]
    position: int
    until: int
    generation: int
    cursor: str | None


@dataclass(slots=True)
class _Rendered:
    before: Sequence[str]
    position: int
    generation: int
    used_at: float


Key = tuple[Group, int, str]  # the group, the seq after which its log goes on, a snapshot if read


class Resumes:
    """Answers to cursors; what many present is worked out once."""

    def __init__(
        self,
        intake: Intake,
        places: Places,
        beats: Beats,
        missed: MissedReads,
        now: Callable[[], float],
    ) -> None:
        self._intake = intake
        self._places = places
        self._beats = beats
        self._missed = missed
        self._now = now
        self._rendered: dict[Key, _Rendered] = {}
        self._flights = Flights[Key, _Rendered]("replay")
        self.kinds = Counter[str]()

    async def find(self, presented: str, seq: int | None, group: Group) -> Replay:
        """What the client missed; it is a member of the group since before the call.

        Raises:
            Unresumable: the cursor is answered by a reset.
            Unavailable: it cannot be found out now.
        """
        try:
            replay = await self._find(presented, seq, group)
        except Unresumable:
            self.kinds["none"] += 1
            raise
        self.kinds[replay.kind] += 1
        return replay

    @property
    def reads(self) -> int:
        """How many requests were made for resuming clients."""
        return self._missed.count

    def tick(self) -> None:
        """Lets go of what nobody asked for lately; called every second."""
        self._missed.tick()
        least = self._now() - KEEP_SECONDS
        self._rendered = {
            key: each for key, each in self._rendered.items() if each.used_at >= least
        }

    def forget(self) -> None:
        """The database has another history."""
        self._beats.forget()
        self._missed.forget()
        self._rendered.clear()

    async def close(self) -> None:
        """Ends what is under way."""
        await self._flights.close()
        await self._missed.close()
        await self._beats.close()

    async def _find(self, presented: str, seq: int | None, group: Group) -> Replay:
        cursor = self._places.read(presented, group.wanted)
        shown, epoch = self._intake.feed.snapshot, self._intake.epoch
        if shown is None or epoch is None:
            raise Unavailable("the first catch-up has not completed")
        generation = group.generation
        if cursor.epoch != epoch or not await self._beats.vouch_for(cursor):
            raise Unresumable("epoch")
        if generation != group.generation:
            raise Unavailable("the database has another history since")
        stream = self._intake.streams[group.wanted.endpoint]
        own = self._places.is_own(cursor) and seq is not None and seq <= stream.seq
        if own and seq is not None and stream.everything.log.covers(seq):
            return await self._replay("seq", group, seq)
        found = self._remembered(cursor, stream)
        if found is not None:
            return await self._replay("memory", group, found)
        missed = await self._missed.get(cursor.snapshot, stream.endpoint.number)
        return await self._replay(
            "rest", group, missed.seqs[stream.endpoint.number], missed, cursor
        )

    def _remembered(self, cursor: Cursor, stream: Stream) -> int | None:
        newest = self._intake.feed.snapshot
        if newest is None or cursor.snapshot.xmax > newest.xmax:
            return None  # of a relay that is ahead, or from the future: the database knows
        mark = self._intake.history.best(cursor.snapshot)
        if mark is None:
            return None
        seq = mark.seqs[stream.endpoint.number]
        return seq if stream.everything.log.covers(seq) else None

    async def _replay(
        self,
        kind: str,
        group: Group,
        seq: int,
        missed: Missed | None = None,
        cursor: Cursor | None = None,
    ) -> Replay:
        generation = group.generation
        if missed is None and group.log.covers(seq):
            rendered = _Rendered((), group.log.after(seq), generation, 0)
        else:
            rendered = await self._shared(group, seq, missed, cursor)
        if rendered.generation != group.generation or rendered.position < group.log.tail:
            raise Unavailable("the logs have moved on")
        return Replay(
            kind=kind,
            before=rendered.before,
            position=rendered.position,
            until=group.log.head,
            generation=generation,
            cursor=self._places.cursor(group.wanted),
        )

    async def _shared(
        self, group: Group, seq: int, missed: Missed | None, cursor: Cursor | None
    ) -> _Rendered:
        key = (group, seq, str(cursor.snapshot) if cursor is not None else "")
        rendered = self._rendered.get(key)
        if (
            rendered is None
            or rendered.generation != group.generation
            or rendered.position < group.log.tail
        ):
            rendered = await self._flights.join(
                key, lambda: self._render(group, seq, missed, cursor)
            )
            if len(self._rendered) >= MOST_RENDERED:
                self._rendered.clear()
            self._rendered[key] = rendered
        rendered.used_at = self._now()
        return rendered

    async def _render(
        self, group: Group, seq: int, missed: Missed | None, cursor: Cursor | None
    ) -> _Rendered:
        generation, before = group.generation, list[str]()
        if missed is not None and cursor is not None:
            caught = missed.caught[group.wanted.endpoint.number]
            for start in range(0, len(caught), CHUNK_FRAMES):
                before += _wanted(
                    (
                        entry.frame
                        for entry in caught[start : start + CHUNK_FRAMES]
                        if not cursor.snapshot.shows(entry.tx)
                    ),
                    group.wanted,
                )
                await asyncio.sleep(0)
        if group.log.covers(seq):
            return _Rendered(before, group.log.after(seq), generation, self._now())
        everything = self._intake.streams[group.wanted.endpoint].everything.log
        if not everything.covers(seq):
            raise Unresumable("overflow")  # more came while it was read than the log holds
        position = everything.after(seq)
        try:
            # No pause after the last chunk: there both logs are at the same change.
            while position < everything.head:
                stop = min(position + CHUNK_FRAMES, everything.head)
                before += _wanted(everything.changes(position, stop), group.wanted)
                position = stop
                if position < everything.head:
                    await asyncio.sleep(0)
        except Overflow:
            raise Unresumable("overflow") from None
        return _Rendered(before, group.log.head, generation, self._now())


def _wanted(events: Iterable[str], wanted: Filter) -> Iterable[str]:
    return filtered(events, wanted) if wanted.terms else events
