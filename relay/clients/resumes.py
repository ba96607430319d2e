"""Decides how a client with a cursor goes on: from the logs, from the database, or not at all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from relay.changes.groups import Group
from relay.changes.intake import Intake
from relay.changes.wire import Piece
from relay.clients.beats import Beats
from relay.clients.cursor import Cursor
from relay.clients.missed import MissedReads
from relay.clients.places import Places, Unresumable
from relay.clients.renderings import Renderings
from relay.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Replay:
    """Everything that a client missed: `before`, and then its group's log from `position`; from
    `until` on it is up to date, and `cursor` its new place. `kind`: seq, memory or rest."""

    kind: str
    before: Iterator[Piece]
    position: int
    until: int
    cursor: str | None


class Resumes:
    """Answers to cursors; what many present is worked out once."""

    def __init__(self, intake: Intake, places: Places, beats: Beats, missed: MissedReads) -> None:
        self._intake = intake
        self._places = places
        self._beats = beats
        self._missed = missed
        self._renderings = Renderings()
        self.kinds = Counter[str]()

    def at_once(self, presented: str, group: Group) -> Replay | None:
        """What the client missed, if nothing has to be read for it; it is a member of the group
        since before the call.

        Raises:
            Unresumable: the cursor is answered by a reset.
            Unavailable: it cannot be found out now.
        """
        with self._counted():
            cursor = self._read(presented, group)
            known = self._beats.known(cursor)
            if known is False:
                raise Unresumable("epoch")
            return self._held(cursor, group) if known else None

    async def find(self, presented: str, group: Group) -> Replay:
        """What the client missed; it is a member of the group since before the call.

        Raises:
            Unresumable: the cursor is answered by a reset.
            Unavailable: it cannot be found out now.
        """
        with self._counted():
            return await self._find(presented, group)

    @property
    def reads(self) -> int:
        """How many requests were made for resuming clients."""
        return self._missed.count

    def tick(self) -> None:
        """Lets go of what nobody asked for lately; called every second."""
        self._missed.tick()

    def forget(self) -> None:
        """The database has another history."""
        self._beats.forget()
        self._missed.forget()
        self._renderings.forget()

    async def close(self) -> None:
        """Ends what is under way."""
        await self._missed.close()
        await self._beats.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except Unresumable:
            self.kinds["none"] += 1
            raise

    async def _find(self, presented: str, group: Group) -> Replay:
        generation = group.generation
        cursor = self._read(presented, group)
        if not await self._beats.vouch_for(cursor):
            raise Unresumable("epoch")
        _check(generation, group)
        held = self._held(cursor, group)
        if held is not None:
            return held
        number = group.wanted.endpoint.number
        missed = await self._missed.get(cursor.snapshot, number)
        _check(generation, group)  # who waits goes on later than the read ended
        if not group.log.covers(missed.seqs[number]):
            raise Unresumable("overflow")  # more came while it was read than the log holds
        before = self._renderings.missed(group, missed, cursor.snapshot)
        return self._replay("rest", group, missed.seqs[number], before)

    def _read(self, presented: str, group: Group) -> Cursor:
        cursor = self._places.read(presented, group.wanted)
        if not self._intake.begun:
            raise Unavailable("the first catch-up has not completed")
        if cursor.epoch != self._intake.epoch:
            raise Unresumable("epoch")
        return cursor

    def _held(self, cursor: Cursor, group: Group) -> Replay | None:
        seq, kind = cursor.seq, "seq"
        if not (self._places.is_own(cursor) and group.log.covers(seq)):
            remembered = self._remembered(cursor, group)
            if remembered is None:
                return None
            seq, kind = remembered, "memory"
        return self._replay(kind, group, seq)

    def _remembered(self, cursor: Cursor, group: Group) -> int | None:
        number = group.wanted.endpoint.number
        newest = self._intake.feeds[number].snapshot
        if newest is None or cursor.snapshot.xmax > newest.xmax:
            return None  # of a relay that is ahead, or from the future: the database knows
        mark = self._intake.histories[number].best(cursor.snapshot)
        return mark.seq if mark is not None and group.log.covers(mark.seq) else None

    def _replay(
        self, kind: str, group: Group, seq: int, before: Iterator[Piece] | None = None
    ) -> Replay:
        self.kinds[kind] += 1
        return Replay(
            kind=kind,
            before=before or iter(()),
            position=group.log.after(seq),
            until=group.log.head,
            cursor=self._places.cursor(group.wanted),
        )


def _check(generation: int, group: Group) -> None:
    """Raises Unavailable when the database has had another history since then."""
    if generation != group.generation:
        raise Unavailable("the database has another history since")
