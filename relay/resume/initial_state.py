"""The initial state of a new client: the newest rows and all open ones, as of a log position."""

import time
import weakref
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count, islice
from typing import Final, NamedTuple

from relay.stream.change import Change
from relay.stream.encoding import (
    PIECE_BYTES,
    Compression,
    FrameCompressor,
    Piece,
    StreamCompressor,
    apart,
    pieces,
)
from relay.stream.filters import Filter
from relay.stream.log import Overflow

MOST_ROWS: Final = 1000


MOST_BYTES: Final = 24 * 1024 * 1024  # of all states and of what is made of them
MOST_SLICES: Final = 8  # of one state
PROTECTED_SECONDS: Final = 15.0
_OVERHEAD_BYTES: Final = 500  # of what is kept, beside its frames


class StateRow(NamedTuple):
    """A row, whether it is open, and its frame."""

    id: int
    open: bool
    frame: bytes


class Kept:
    """Pieces that count for a budget while they are referenced; None once they were evicted.

    Args:
        pieces: What is kept.
        used: Called with each use, and with how many bytes more are kept since the last one.
    """

    __slots__ = ("__weakref__", "_compressed", "_compressors", "_used", "pieces", "readers")

    def __init__(self, pieces: tuple[Piece, ...], used: Callable[[int], None]) -> None:
        self.pieces: tuple[Piece, ...] | None = pieces
        self.readers: int | None = None  # in the middle of it; None before the first one
        self._used = used
        # Each between its first piece and the last.
        self._compressors: dict[Compression, StreamCompressor | FrameCompressor] = {}
        self._compressed: dict[Compression, list[Piece]] = {}

    def use(self) -> tuple[Piece, ...]:
        """All pieces.

        Raises:
            Overflow: They had to make room.
        """
        if self.pieces is None:
            raise Overflow
        self._used(0)
        return self.pieces

    def __iter__(self) -> Iterator[Piece]:
        """Each piece when it is asked for.

        Raises:
            Overflow: The rest had to make room.
        """
        number = 0
        with self._reading():
            while number < len(self.use()):
                yield self.use()[number]  # without a reference to the others meanwhile
                number += 1

    def compressed(self, how: Compression) -> Iterator[Piece]:
        """The same, compressed. Each piece is compressed when it is asked for first, so that no
        client holds up the others, and once for all of them.

        Raises:
            Overflow: The rest had to make room.
        """
        number = 0
        with self._reading():
            while number < len(pieces := self.use()):
                if number == len(self._compressed.setdefault(how, [])):
                    self._compress(pieces[number], how)
                if number == len(pieces) - 1:
                    self._compressors.pop(how, None)
                del pieces
                yield self._compressed[how][number]
                number += 1

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self.readers = (self.readers or 0) + 1
        try:
            yield
        finally:
            self.readers -= 1

    def make_room(self) -> None:
        """Let go of everything."""
        self.pieces = None
        self._compressors.clear()
        self._compressed.clear()

    def _compress(self, piece: Piece, how: Compression) -> None:
        compressor = self._compressors.get(how)
        if compressor is None:
            compressor = self._compressors[how] = how.compressor()
        found = compressor.compress(piece)
        self._compressed[how].append(found)
        self._used(len(found.data))


class _Entry(NamedTuple):
    """What is kept, its bytes, and until when it makes room last if somebody reads it."""

    kept: weakref.ref[Kept]
    size: int
    protected_until: float


class StateBudget:
    """Budget in bytes for states and their slices: the least recently used are evicted.

    Clients in the middle of an evicted one start over. So that slow ones do not make each other do
    that without end, a new state which is being read makes room last for `PROTECTED_SECONDS`.

    Args:
        most_bytes: The budget, which is kept whatever is being read.
        now: Seconds of a monotonic clock.
    """

    def __init__(
        self, most_bytes: int = MOST_BYTES, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.most_bytes: Final = most_bytes
        self._now = now
        self._serials = count()
        self._kept = OrderedDict[int, _Entry]()
        self.size = 0

    def keep(self, pieces: tuple[Piece, ...], more: int = 0, *, protected: bool = False) -> Kept:
        """Keep the pieces, and count `more` bytes that are kept because of them."""
        serial = next(self._serials)
        size = _OVERHEAD_BYTES + more + sum(len(piece.data) for piece in pieces)
        kept = Kept(pieces, partial(self._use, serial))
        until = self._now() + PROTECTED_SECONDS if protected else 0.0
        self._kept[serial] = _Entry(weakref.ref(kept, lambda _: self._let_go(serial)), size, until)
        self.size += size
        self._make_room()
        return kept

    def room(self) -> int:
        """Return the bytes that a new state may have without making room of a protected one."""
        now = self._now()
        held = (entry.size for entry in self._kept.values() if _is_protected(entry, now))
        return self.most_bytes - sum(held)

    def _use(self, serial: int, more: int) -> None:
        self._kept.move_to_end(serial)
        if more:
            entry = self._kept[serial]
            self._kept[serial] = entry._replace(size=entry.size + more)
            self.size += more
            self._make_room()

    def _make_room(self) -> None:
        while self.size > self.most_bytes and len(self._kept) > 1:
            now = self._now()
            others = islice(self._kept.items(), len(self._kept) - 1)
            free = (serial for serial, entry in others if not _is_protected(entry, now))
            self._let_go(next(free, next(iter(self._kept))))

    def _let_go(self, serial: int) -> None:
        entry = self._kept.pop(serial, None)
        if entry is None:
            return
        self.size -= entry.size
        kept = entry.kept()
        if kept is not None:
            kept.make_room()


def _is_protected(entry: _Entry, now: float) -> bool:
    kept = entry.kept() if now < entry.protected_until else None
    return kept is not None and kept.readers != 0


class StateSlice(NamedTuple):
    """Rows that a client gets first, all of them if `complete`; then the log from `position`."""

    rows: Kept
    complete: bool
    position: int


class InitialState:
    """The newest rows and all open ones, by id, as of `position` of the group's log and `seq` of
    its stream.

    What follows in the log from `position` on is newer than these rows, so that a client which
    gets both sees nothing twice and nothing older after something newer. From the id `floor` on no
    row is missing; 0 when none is missing at all. Of rows that are not open it keeps the newest
    `most`; unless it is `whole`, it was read without the open rows below the floor.
    """

    def __init__(
        self,
        rows: Iterable[StateRow],
        *,
        most: int,
        whole: bool,
        position: int,
        seq: int,
        generation: int,
        floor: int,
        cursor: str | None,
        budget: StateBudget,
    ) -> None:
        found = list(rows)
        start = max(0, len(found) - most)
        if not all(row.open for row in islice(found, start)):
            floor = max(floor, found[start].id if most else found[-1].id + 1)
            found = [row for row in islice(found, start) if row.open] + found[start:]
        self.whole: Final = whole
        self.position: Final = position
        self.seq: Final = seq
        self.generation: Final = generation
        self.floor: Final = floor
        self.cursor: Final = cursor
        self._budget = budget
        self._ids = array("q", (row.id for row in found))
        parts = tuple(pieces((row.frame for row in found), PIECE_BYTES))
        self.size: Final = sum(len(part.data) for part in parts)
        self._rows = budget.keep(parts, len(found) * self._ids.itemsize, protected=True)
        self._last: OrderedDict[int, StateSlice] = OrderedDict()  # as of _last_seq
        self._last_seq = -1

    @property
    def retained(self) -> bool:
        """Whether its rows are still kept."""
        return self._rows.pieces is not None

    def all(self) -> StateSlice:
        """Return all of it; every call returns the same objects."""
        return StateSlice(self._rows, not self.floor, self.position)

    def rows(self) -> Iterator[tuple[int, bytes]]:
        """The ids and frames of all rows, the newest first.

        Raises:
            Overflow: It had to make room.
        """
        parts = reversed(self._rows.use())
        frames = (frame for part in parts for frame in reversed([*apart(part.data)]))
        return zip(reversed(self._ids), frames, strict=True)

    def last(
        self,
        count: int,
        since: Mapping[int, Change],
        wanted: Filter,
        render: Callable[[Change], bytes],
        seq: int,
        head: int,
    ) -> StateSlice | None:
        """Return exactly the newest `count` rows; None if too few are known from `floor` on.

        Equal calls return the same objects.

        Args:
            count: Number of rows.
            since: The newest changes by id after `self.seq`.
            wanted: The filter.
            render: Encodes a change as a frame.
            seq: End of the stream.
            head: End of the log.

        Raises:
            Overflow: It had to make room.
        """
        if seq != self._last_seq:
            self._last, self._last_seq = OrderedDict(), seq
        found = self._last.get(count)
        if found is None or found.rows.pieces is None:
            chosen = self._last_rows(count, since, wanted)
            if chosen is None:
                return None
            rows, complete = chosen
            frames = (row if isinstance(row, bytes) else render(row) for row in rows)
            kept = self._budget.keep(tuple(pieces(frames, PIECE_BYTES)))
            found = self._last[count] = StateSlice(kept, complete, head)
            if len(self._last) > MOST_SLICES:
                self._last.popitem(last=False)
        return found

    def _last_rows(
        self, count: int, since: Mapping[int, Change], wanted: Filter
    ) -> tuple[list[bytes | Change], bool] | None:
        here = [
            (change.id, change)
            for change in since.values()
            if change.record is not None and wanted.matches(change.record)
        ]
        unchanged = (row for row in self.rows() if row[0] not in since)
        # One more than asked for tells whether that is all.
        candidates: list[tuple[int, bytes | Change]] = [*here, *islice(unchanged, count + 1)]
        candidates.sort(key=lambda each: each[0])
        chosen = candidates[-count:] if count else []
        enough = not self.floor or (
            len(chosen) == count and (not count or chosen[0][0] >= self.floor)
        )
        complete = len(chosen) == len(candidates) and not self.floor
        return ([row for _, row in chosen], complete) if enough else None


def merge(
    read: Iterable[Change], published: Mapping[int, Change], wanted: Filter
) -> Iterator[Change]:
    """Yield the rows as they are now, by id: what was `read`, and over it what was `published`
    meanwhile.

    A row that several reads brought counts in its newest version.
    """
    newest: dict[int, Change] = {}
    for change in (*read, *published.values()):
        held = newest.get(change.id)
        if held is None or change.version > held.version:
            newest[change.id] = change
    for row_id in sorted(newest):
        change = newest[row_id]
        if change.record is not None and wanted.matches(change.record):
            yield change
