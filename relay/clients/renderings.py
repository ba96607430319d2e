"""What the logs and reads hold for resuming clients, put into their format once for all of them."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from relay.changes.deflate import deflated
from relay.changes.filters import Filter
from relay.changes.frames import filtered
from relay.changes.groups import Group
from relay.changes.wire import Piece, pieces
from relay.clients.cursor import Cursor
from relay.clients.flights import Flights
from relay.clients.missed import Missed
from relay.clients.places import Unresumable
from relay.clients.state import PIECE_BYTES

CHUNK_FRAMES: Final = 500
KEEP_SECONDS: Final = 30.0
MOST_KEPT: Final = 64


@dataclass(slots=True)
class Rendered:
    """`before`, after which the group's log goes on from `position`."""

    before: tuple[Piece, ...]
    position: int
    generation: int
    used_at: float = 0.0

    def goes_on(self, group: Group) -> bool:
        """Whether the log still holds what comes after."""
        return self.generation == group.generation and self.position >= group.log.tail


# The group and its generation, the seq after which its log goes on, a snapshot if read.
Key = tuple[Group, int, int, str]


class Renderings:
    """Those that were asked for lately, and those under way."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: dict[Key, Rendered] = {}
        self._flights = Flights[Key, Rendered]("replay")

    def at_once(self, group: Group, seq: int, cursor: Cursor | None = None) -> Rendered | None:
        """Everything after `seq`, and before that what was read for `cursor`; None when it has to
        be worked out."""
        if cursor is None and group.log.covers(seq):
            return Rendered((), group.log.after(seq), group.generation)
        kept = self._kept.get(_key(group, seq, cursor))
        if kept is None or not kept.goes_on(group):
            return None
        kept.used_at = self._now()
        return kept

    async def get(
        self, group: Group, seq: int, missed: Missed | None = None, cursor: Cursor | None = None
    ) -> Rendered:
        """The same, worked out if need be; with `cursor`, what was `missed` is what was read for
        it.

        Raises:
            Unresumable: the logs do not hold it any more.
        """
        found = self.at_once(group, seq, cursor)
        if found is None:
            key = _key(group, seq, cursor)
            generation = group.generation  # that of `seq`, also when it changes before the start
            found = await self._flights.join(
                key, lambda: self._render(group, generation, seq, missed, cursor)
            )
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = found
        return found

    def tick(self) -> None:
        """Lets go of what nobody asked for lately; called every second."""
        least = self._now() - KEEP_SECONDS
        self._kept = {key: each for key, each in self._kept.items() if each.used_at >= least}

    def forget(self) -> None:
        """The database has another history."""
        self._kept.clear()

    async def close(self) -> None:
        """Ends what is under way."""
        await self._flights.close()

    async def _render(
        self,
        group: Group,
        generation: int,
        seq: int,
        missed: Missed | None,
        cursor: Cursor | None,
    ) -> Rendered:
        before: list[bytes] = []
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
        if not group.log.covers(seq):
            raise Unresumable("overflow")  # more came while it was read than the log holds
        frames = map(deflated, before) if group.compressed else before
        return Rendered(
            tuple(pieces(frames, PIECE_BYTES)), group.log.after(seq), generation, self._now()
        )


def _key(group: Group, seq: int, cursor: Cursor | None) -> Key:
    return group, group.generation, seq, str(cursor.snapshot) if cursor is not None else ""


def _wanted(events: Iterable[bytes], wanted: Filter) -> Iterable[bytes]:
    return events if wanted.is_everything else filtered(events, wanted)
