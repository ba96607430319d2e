"""Resumes a client from its cursor: from the log, from the database, or not at all.

A restored disk image keeps its epoch, but its heartbeat rows are older than the cursors issued
since: so the beat of the relay that issued a cursor has to be known.

A replay is lazy: each piece is rendered when the client has taken the one before, so that a client
that leaves costs nothing more. It is rendered in the chunks of the backfill, kept within one
budget, so that clients that ask for the same share them.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from relay.errors import Unavailable
from relay.resume.backfill import Backfill, Backfills, Chunk, SingleFlight
from relay.resume.cursor import Cursor, CursorIssuer, Unresumable
from relay.stream.broker import Broker
from relay.stream.encoding import PIECE_BYTES, Piece, deflated, filtered, pieces
from relay.stream.filters import Filter
from relay.stream.hub import Group
from relay.stream.snapshot import Snapshot
from relay.upstream.rest import Rest

MOST_INSTANCES: Final = 1000
DOUBT_SECONDS: Final = 1.0


class PeerBeats:
    """Cache of other relays' heartbeats."""

    def __init__(self, rest: Rest, issuer: CursorIssuer, now: Callable[[], float]) -> None:
        self._rest = rest
        self._issuer = issuer
        self._now = now
        self._read: dict[str, tuple[int, float]] = {}  # beat, and when that was
        self._single_flight = SingleFlight[str, int]("beat of")

    def known(self, cursor: Cursor) -> bool | None:
        """Return whether the heartbeat of the cursor's relay reaches the cursor's beat.

        None if it has to be read first.
        """
        if self._issuer.is_own(cursor):
            return True
        beat, at = self._read.get(cursor.instance, (-1, -DOUBT_SECONDS))
        if beat < cursor.beat and self._now() - at >= DOUBT_SECONDS:
            return None
        return beat >= cursor.beat

    async def vouch_for(self, cursor: Cursor) -> bool:
        """Return what `known` does, reading the heartbeat if needed.

        Raises:
            Unavailable: It cannot be read now.
        """
        known = self.known(cursor)
        if known is not None:
            return known
        beat = await self._single_flight.join(cursor.instance, lambda: self._beat(cursor.instance))
        return beat >= cursor.beat

    def forget(self) -> None:
        """Drop everything: the history is another one."""
        self._read = {}

    async def close(self) -> None:
        await self._single_flight.close()

    async def _beat(self, instance: str) -> int:
        kept = self._read
        found = await self._rest.beat(instance)
        beat = -1 if found is None else found
        if len(kept) >= MOST_INSTANCES:
            kept.clear()
        kept[instance] = beat, self._now()  # nobody asks there if all was forgotten meanwhile
        return beat


MOST_BYTES: Final = 16 * 1024 * 1024
_OVERHEAD_BYTES: Final = 200

Pieces = tuple[Piece, ...]
# Filter, whether frames are compressed, serial of the chunk, and for whom if not for everybody.
_Key = tuple[Filter, bool, int, Snapshot | None]

_NOTHING: Final = (Piece(b"", 0),)  # so that others get their turn


class RenderCache:
    """Cache of rendered chunks."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept = OrderedDict[_Key, Pieces]()
        self.size = 0  # in bytes

    def missed(self, group: Group, missed: Backfill, since: Snapshot) -> Iterator[Piece]:
        """Yield what the group gets of a backfill and `since` does not show.

        A chunk with nothing for the group gives an empty piece, so that others get their turn.

        Raises:
            Overflow: The rest had to make room for other reads.
        """
        number, index = group.wanted.endpoint.number, 0
        while index < len(chunks := missed.of(number)):
            yield from self._rendered(group, missed, chunks[index], since)
            index += 1

    def forget(self) -> None:
        """The database has another history."""
        self._kept.clear()
        self.size = 0

    def _rendered(self, group: Group, missed: Backfill, chunk: Chunk, since: Snapshot) -> Pieces:
        # Most chunks are the same for everybody: `since` shows nothing that is in them.
        own = None if chunk.least_tx >= since.xmax else since
        key = (group.wanted, group.form.compressed, chunk.serial, own)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        events = chunk.events(since, missed.newer[group.wanted.endpoint.number])
        found = self._kept[key] = _joined(group, events)
        self.size += _size(found)
        while self.size > self._most_bytes:
            self.size -= _size(self._kept.popitem(last=False)[1])
        return found


def _joined(group: Group, events: Iterable[bytes]) -> Pieces:
    wanted = events if group.wanted.is_everything else filtered(events, group.wanted)
    frames = map(deflated, wanted) if group.form.compressed else wanted
    return tuple(pieces(frames, PIECE_BYTES)) or _NOTHING


def _size(made: Pieces) -> int:
    return _OVERHEAD_BYTES + sum(len(piece.data) for piece in made)


@dataclass(frozen=True, slots=True)
class Replay:
    """What a client missed.

    Attributes:
        kind: Where it was found: seq, memory or rest.
        before: Pieces read from the database.
        position: Position of the log to continue from.
        until: Position from which on the client is up to date.
        cursor: The cursor that it has then.
    """

    kind: str
    before: Iterator[Piece]
    position: int
    until: int
    cursor: str | None


class Resumer:
    """Resolves cursors to replays."""

    def __init__(
        self, broker: Broker, issuer: CursorIssuer, beats: PeerBeats, missed: Backfills
    ) -> None:
        self._broker = broker
        self._issuer = issuer
        self._beats = beats
        self._missed = missed
        self._render_cache = RenderCache()
        self.kinds = Counter[str]()

    def at_once(self, presented: str, group: Group) -> Replay | None:
        """Return what the client missed if nothing has to be read; None otherwise.

        The client has to be in its group before the call.

        Raises:
            Unresumable: The cursor is answered by a reset.
            Unavailable: It cannot be found out now.
        """
        with self._counted():
            cursor = self._read(presented, group)
            known = self._beats.known(cursor)
            if known is False:
                raise Unresumable("epoch")
            return self._held(cursor, group) if known else None

    async def find(self, presented: str, group: Group) -> Replay:
        """Return what the client missed; it has to be in its group before the call.

        Raises:
            Unresumable: The cursor is answered by a reset.
            Unavailable: It cannot be found out now.
        """
        with self._counted():
            generation = group.stream.generation
            cursor = self._read(presented, group)
            if not await self._beats.vouch_for(cursor):
                raise Unresumable("epoch")
            group.stream.check(generation)
            held = self._held(cursor, group)
            if held is not None:
                return held
            number = group.wanted.endpoint.number
            missed = await self._missed.get(cursor.snapshot, number)
            group.stream.check(generation)  # who waits goes on later than the read ended
            if not group.log.covers(missed.seqs[number]):
                raise Unresumable("overflow")  # more came while it was read than the log holds
            before = self._render_cache.missed(group, missed, cursor.snapshot)
            return self._replay("rest", group, missed.seqs[number], before)

    @property
    def reads(self) -> int:
        """Requests made for resuming clients."""
        return self._missed.count

    def tick(self) -> None:
        """Drop reads that were not used lately; called every second."""
        self._missed.tick()

    def forget(self) -> None:
        """The database has another history."""
        self._beats.forget()
        self._missed.forget()
        self._render_cache.forget()

    async def close(self) -> None:
        """End what is under way."""
        await self._missed.close()
        await self._beats.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except Unresumable:
            self.kinds["none"] += 1
            raise

    def _read(self, presented: str, group: Group) -> Cursor:
        cursor = self._issuer.read(presented, group.wanted)
        if not self._broker.begun:
            raise Unavailable("the first catch-up has not completed")
        if cursor.epoch != self._broker.epoch:
            raise Unresumable("epoch")
        return cursor

    def _held(self, cursor: Cursor, group: Group) -> Replay | None:
        seq, kind = cursor.seq, "seq"
        if not (self._issuer.is_own(cursor) and group.log.covers(seq)):
            remembered = self._remembered(cursor, group)
            if remembered is None:
                return None
            seq, kind = remembered, "memory"
        return self._replay(kind, group, seq)

    def _remembered(self, cursor: Cursor, group: Group) -> int | None:
        number = group.wanted.endpoint.number
        newest = self._broker.deduplicators[number].snapshot
        if newest is None or cursor.snapshot.xmax > newest.xmax:
            return None  # of a relay that is ahead, or from the future: the database knows
        mark = self._broker.histories[number].best(cursor.snapshot)
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
            cursor=self._issuer.cursor(group.wanted),
        )
