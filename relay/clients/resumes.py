"""Decides how a client with a cursor goes on: from the logs, from the database, or not at all."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from relay.changes.groups import Group
from relay.changes.intake import Intake
from relay.changes.streams import Stream
from relay.changes.wire import Piece
from relay.clients.beats import Beats
from relay.clients.cursor import Cursor
from relay.clients.missed import MissedReads
from relay.clients.places import Places, Unresumable
from relay.clients.renderings import Rendered, Renderings
from relay.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Replay:
    """Everything that a client missed: `before`, and then its group's log from `position`; from
    `until` on it is up to date, and `cursor` its new place. `kind`: seq, memory or rest."""

    kind: str
    before: tuple[Piece, ...]
    position: int
    until: int
    generation: int
    cursor: str | None


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
        self._renderings = Renderings(now)
        self.kinds = Counter[str]()

    def at_once(self, presented: str, seq: int | None, group: Group) -> Replay | None:
        """What the client missed, if nothing has to be read or worked out for it; it is a member of
        the group since before the call.

        Raises:
            Unresumable: the cursor is answered by a reset.
            Unavailable: it cannot be found out now.
        """
        with self._counted():
            cursor = self._read(presented, group)
            known = self._beats.known(cursor)
            if known is False:
                raise Unresumable("epoch")
            held = self._held(cursor, seq, group) if known else None
            if held is None:
                return None
            kind, after = held
            rendered = self._renderings.at_once(group, after)
            if rendered is None:
                return None
            return self._counting(self._replay(kind, group, rendered))

    async def find(self, presented: str, seq: int | None, group: Group) -> Replay:
        """What the client missed; it is a member of the group since before the call.

        Raises:
            Unresumable: the cursor is answered by a reset.
            Unavailable: it cannot be found out now.
        """
        with self._counted():
            return self._counting(await self._find(presented, seq, group))

    @property
    def reads(self) -> int:
        """How many requests were made for resuming clients."""
        return self._missed.count

    def tick(self) -> None:
        """Lets go of what nobody asked for lately; called every second."""
        self._missed.tick()
        self._renderings.tick()

    def forget(self) -> None:
        """The database has another history."""
        self._beats.forget()
        self._missed.forget()
        self._renderings.forget()

    async def close(self) -> None:
        """Ends what is under way."""
        await self._renderings.close()
        await self._missed.close()
        await self._beats.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except Unresumable:
            self.kinds["none"] += 1
            raise

    def _counting(self, replay: Replay) -> Replay:
        self.kinds[replay.kind] += 1
        return replay

    async def _find(self, presented: str, seq: int | None, group: Group) -> Replay:
        generation = group.generation
        cursor = self._read(presented, group)
        if not await self._beats.vouch_for(cursor):
            raise Unresumable("epoch")
        _check(generation, group)
        held = self._held(cursor, seq, group)
        if held is not None:
            kind, after = held
            return self._replay(kind, group, await self._renderings.get(group, after))
        number = group.wanted.endpoint.number
        missed = await self._missed.get(cursor.snapshot, number)
        _check(generation, group)  # who waits goes on later than the read ended
        rendered = await self._renderings.get(group, missed.seqs[number], missed, cursor)
        return self._replay("rest", group, rendered)

    def _read(self, presented: str, group: Group) -> Cursor:
        cursor = self._places.read(presented, group.wanted)
        if self._intake.feed.snapshot is None or self._intake.epoch is None:
            raise Unavailable("the first catch-up has not completed")
        if cursor.epoch != self._intake.epoch:
            raise Unresumable("epoch")
        return cursor

    def _held(self, cursor: Cursor, seq: int | None, group: Group) -> tuple[str, int] | None:
        stream = self._intake.streams[group.wanted.endpoint]
        own = seq is not None and seq <= stream.seq and self._places.is_own(cursor)
        if own and seq is not None and stream.log.covers(seq):
            return "seq", seq
        remembered = self._remembered(cursor, stream)
        return None if remembered is None else ("memory", remembered)

    def _remembered(self, cursor: Cursor, stream: Stream) -> int | None:
        newest = self._intake.feed.snapshot
        if newest is None or cursor.snapshot.xmax > newest.xmax:
            return None  # of a relay that is ahead, or from the future: the database knows
        mark = self._intake.history.best(cursor.snapshot)
        if mark is None:
            return None
        seq = mark.seqs[stream.endpoint.number]
        return seq if stream.log.covers(seq) else None

    def _replay(self, kind: str, group: Group, rendered: Rendered) -> Replay:
        if not rendered.goes_on(group):
            raise Unavailable("the logs have moved on")
        return Replay(
            kind=kind,
            before=rendered.before,
            position=rendered.position,
            until=group.log.head,
            generation=rendered.generation,
            cursor=self._places.cursor(group.wanted),
        )


def _check(generation: int, group: Group) -> None:
    """Raises Unavailable when the database has had another history since then."""
    if generation != group.generation:
        raise Unavailable("the database has another history since")
