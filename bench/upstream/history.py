"""What the stand-in database holds, and which part of it a reader has not seen. Pure.

Transactions commit one after the other, so no snapshot has any that was running.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import islice

from bench.rows import ENTITIES, Row, entity

EPOCH = "7361894025548311.00000001"
FIRST_TX = 1000
HOTSPOTS = 1
MOST_PAGE = 5000

After = tuple[int, int, int]  # transaction, table, id: the last entry of the page before


@dataclass(frozen=True, slots=True)
class Page:
    """Rows that `snapshot` shows; `reset` names why there are none when `since` means nothing."""

    snapshot: str
    rows: list[Row]
    more: bool
    reset: str | None = None


@dataclass
class History:
    """All rows that were committed, and the relays' beats."""

    rows: list[Row] = field(default_factory=list)
    beats: dict[str, int] = field(default_factory=dict)
    next_tx: int = FIRST_TX

    def commit(self, count: int, t: int, written: float) -> list[Row]:
        """`count` new rows, written by one transaction."""
        first, tx = len(self.rows), self._begin()
        new = [Row(first + index, t, tx, written) for index in range(count)]
        self.rows += new
        return new

    def beat(self, instance: str, beat: int) -> None:
        """A relay wrote its row, in a transaction like any other."""
        self._begin()
        self.beats[instance] = beat

    def snapshot(self) -> str:
        """Everything committed so far is visible."""
        return f"{self.next_tx}:{self.next_tx}:"

    def since(
        self, since: str | None, epoch: str | None, upto: str | None, after: After, page: int
    ) -> Page:
        """One page of what `upto` shows and `since` does not, in order of (tx, table, id)."""
        low = 1 if since is None else _xmax(since)
        shown = upto or self.snapshot()
        top = _xmax(shown)
        if epoch is not None and epoch != EPOCH:
            return Page(self.snapshot(), [], more=False, reset="epoch")
        if max(low, top) > self.next_tx:
            return Page(self.snapshot(), [], more=False, reset="future")
        size = min(max(page, 1), MOST_PAGE)
        start = max(self._at(low), self._behind(after))
        found = self.rows[start : min(start + size, self._at(top))]
        return Page(shown, found, more=len(found) == size)

    def newest(
        self, count: int, below: int | None, entities: frozenset[str] | None = None
    ) -> list[Row]:
        """The rows with the highest ids under `below`, the highest first; those of these entities,
        if any are given."""
        end = len(self.rows) if below is None else max(0, min(below - 1, len(self.rows)))
        if entities is None or entities >= frozenset(ENTITIES):
            return self.rows[max(0, end - count) : end][::-1]
        if entities.isdisjoint(ENTITIES):
            return []
        found = (row for row in reversed(self.rows[:end]) if entity(row.n) in entities)
        return list(islice(found, count))

    def _begin(self) -> int:
        self.next_tx += 1
        return self.next_tx - 1

    def _at(self, tx: int) -> int:
        return bisect_left(self.rows, tx, key=lambda row: row.tx)

    def _behind(self, after: After) -> int:
        tx, table, row_id = after
        last = row_id if table == HOTSPOTS else (0 if table < HOTSPOTS else MOST_ID)
        return bisect_left(self.rows, (tx, last + 1), key=lambda row: (row.tx, row.id))


MOST_ID = 2**62


def _xmax(snapshot: str) -> int:
    return int(snapshot.split(":")[1])
