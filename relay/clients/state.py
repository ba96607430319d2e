"""What a client without a place gets first: the newest rows and all open ones, up to a position."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from relay.changes.filters import Filter
from relay.changes.records import Change
from relay.changes.wire import Piece, pieces

PIECE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class StateRow:
    """A row's frame, and whether the row is open."""

    frame: bytes
    open: bool


@dataclass(slots=True)
class State:
    """The newest rows and all open ones, oldest first, as of `position` of the group's log.

    What follows in the log from `position` on is newer than these rows, so that a client which
    gets both sees nothing twice and nothing older after something newer.
    """

    position: int
    generation: int
    rows: tuple[StateRow, ...]
    more: bool
    cursor: str | None
    _cuts: dict[tuple[int, bool], tuple[tuple[Piece, ...], bool]] = field(default_factory=dict)

    def newest(self, count: int, *, with_open: bool) -> tuple[tuple[Piece, ...], bool]:
        """The newest `count` rows (and all open ones), and whether nothing is left out. Who asks
        for the same gets the same objects."""
        cut = (count, with_open)
        if cut not in self._cuts:
            start = max(0, len(self.rows) - count)
            older = tuple(row.frame for row in self.rows[:start] if with_open and row.open)
            frames = older + tuple(row.frame for row in self.rows[start:])
            complete = len(frames) == len(self.rows) and not self.more
            self._cuts[cut] = tuple(pieces(frames, PIECE_BYTES)), complete
        return self._cuts[cut]


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
