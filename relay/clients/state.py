"""What a client without a place gets first: the newest rows and all open ones, up to a position."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from relay.changes.filters import Filter
from relay.changes.records import Change
from relay.changes.wire import Piece, pieces

PIECE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class StateRow:
    """A row's frame, and whether the row is open."""

    id: int
    frame: bytes
    open: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """What a client gets first, and that is all of it or not; the log goes on from `position`."""

    rows: tuple[Piece, ...]
    complete: bool
    position: int


@dataclass(slots=True)
class State:
    """The newest rows and all open ones, by id, as of `position` of the group's log and `seq` of
    its stream.

    What follows in the log from `position` on is newer than these rows, so that a client which
    gets both sees nothing twice and nothing older after something newer. From the id `floor` on no
    row is missing; 0 when none is missing at all.
    """

    position: int
    seq: int
    generation: int
    rows: tuple[StateRow, ...]
    floor: int
    cursor: str | None
    _newest: dict[int, Cut] = field(default_factory=dict)
    _last: dict[int, Cut] = field(default_factory=dict)  # as of _last_seq
    _last_seq: int = -1

    def newest(self, count: int) -> Cut:
        """The newest `count` rows and all open ones. Who asks for the same gets the same
        objects."""
        if count not in self._newest:
            start = max(0, len(self.rows) - count)
            older = tuple(row.frame for row in self.rows[:start] if row.open)
            frames = older + tuple(row.frame for row in self.rows[start:])
            complete = len(frames) == len(self.rows) and not self.floor
            self._newest[count] = Cut(tuple(pieces(frames, PIECE_BYTES)), complete, self.position)
        return self._newest[count]

    def last(
        self,
        count: int,
        since: Mapping[int, Change],
        wanted: Filter,
        render: Callable[[Change], bytes],
        seq: int,
        head: int,
    ) -> Cut | None:
        """Exactly the newest `count` rows as of `seq` and `head`, the ends of the stream and of the
        log; `since` are the newest changes by id after its own, which `render` makes frames of.
        None when there are too few rows left from `floor` on to tell. Who asks for the same gets
        the same objects."""
        if seq != self._last_seq:
            self._last, self._last_seq = {}, seq
        if count not in self._last:
            found = self._last_rows(count, since, wanted)
            if found is None:
                return None
            chosen, complete = found
            frames = [each.frame if isinstance(each, StateRow) else render(each) for each in chosen]
            self._last[count] = Cut(tuple(pieces(frames, PIECE_BYTES)), complete, head)
        return self._last[count]

    def _last_rows(
        self, count: int, since: Mapping[int, Change], wanted: Filter
    ) -> tuple[list[StateRow | Change], bool] | None:
        here = [
            change
            for change in since.values()
            if change.record is not None and wanted.matches(change.record)
        ]
        unchanged = (row for row in reversed(self.rows) if row.id not in since)
        # One more than asked for tells whether that is all.
        candidates: list[StateRow | Change] = [*here, *islice(unchanged, count + 1)]
        candidates.sort(key=lambda each: each.id)
        chosen = candidates[-count:] if count else []
        enough = not self.floor or (
            len(chosen) == count and (not count or chosen[0].id >= self.floor)
        )
        return (chosen, len(chosen) == len(candidates) and not self.floor) if enough else None


def merge(
    read: Iterable[Change], published: Mapping[int, Change], wanted: Filter
) -> tuple[Change, ...]:
    """The rows as they are now, by id: what was `read`, and over it what was `published` meanwhile.

    A row that several reads brought counts in its newest version.
    """
    newest: dict[int, Change] = {}
    for change in (*read, *published.values()):
        held = newest.get(change.id)
        if held is None or change.version > held.version:
            newest[change.id] = change
    return tuple(
        newest[row_id]
        for row_id in sorted(newest)
        if (record := newest[row_id].record) is not None and wanted.matches(record)
    )
