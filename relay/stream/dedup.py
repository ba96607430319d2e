"""Deduplication: all sources of an endpoint become one, with each row version at most once.

Sources bring the same changes in any order. What decides is (id, version), and a deletion is a
version like any other: a change is accepted when nothing as new has been. A completed catch-up has
brought everything that its snapshot shows, so later arrivals that the snapshot shows are stale, and
their entries are dropped: the map holds only what is newer. While no catch-up succeeds, or one is
very long, the map is bounded by dropping the oldest entries: those changes may come twice, but are
never lost.

Realtime may be faster than the database: it reads the write-ahead log, where a transaction has
ended before snapshots show it, for long where the commit waits for a standby. So whatever was
accepted since the last catch-up may be missing from a read, and is kept to be merged into it.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from relay.stream.change import Change
from relay.stream.snapshot import Snapshot

MOST_SENT: Final = 100_000
MOST_UNSHOWN_BYTES: Final = 10 * 1024 * 1024

# Version, transaction, its number among all accepted. A plain tuple: the garbage collector lets go
# of those, and hundreds of thousands of anything else would make it stop everything for long.
_Sent = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Transactions:
    """A range of transaction ids, both ends included."""

    first: int
    last: int

    def shown_by(self, snapshot: Snapshot) -> bool:
        """Return whether the snapshot shows all of them."""
        return snapshot.shows(self.last) and not any(
            self.first <= tx <= self.last for tx in snapshot.running
        )


class Deduplicator:
    """The newest version of each row that was accepted since the last completed catch-up.

    Args:
        most_sent: Rows to remember.
        most_unshown_bytes: Roughly, bytes of changes to keep for merging into reads.

    Attributes:
        reached: The snapshot read so far, also by a catch-up that did not complete.
        unkept: Transactions of changes that no catch-up has shown and `unshown` lacks, since they
            were too many; a read has to show them by itself. None when it lacks nothing.
        accepted: How many changes were accepted so far.
    """

    def __init__(
        self, most_sent: int = MOST_SENT, most_unshown_bytes: int = MOST_UNSHOWN_BYTES
    ) -> None:
        self._most_sent = most_sent
        self._most_unshown_bytes = most_unshown_bytes
        self._sent = OrderedDict[int, _Sent]()  # in the order of sending
        self._forgotten: Transactions | None = None  # of what had to leave _sent
        self._unshown = OrderedDict[int, Change]()  # in the same order
        self._unshown_bytes = 0
        self.unkept: Transactions | None = None  # of what had to leave _unshown
        self._snapshot: Snapshot | None = None
        self.reached: Snapshot | None = None
        self.accepted = 0

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot of the last completed catch-up; None before the first."""
        return self._snapshot

    def __len__(self) -> int:
        return len(self._sent)

    def accept(self, change: Change) -> bool:
        """Return whether the change is new; if so it counts as sent."""
        key = change.id
        sent = self._sent.get(key)
        if sent is None:
            if self.reached is not None and self.reached.shows(change.tx):
                return False
        elif change.version <= sent[0]:
            return False
        self.accepted += 1
        self._sent[key] = (change.version, change.tx, self.accepted)
        if sent is not None:
            self._sent.move_to_end(key)
        elif len(self._sent) > self._most_sent:
            _, (_, tx, _) = self._sent.popitem(last=False)
            self._forgotten = _extended(self._forgotten, tx)
        self._keep(key, change)
        return True

    def complete(self, snapshot: Snapshot) -> None:
        """Note that a catch-up has brought everything that the snapshot shows.

        Raises:
            ValueError: The snapshot is older than the last one in some respect.
        """
        if self._snapshot is not None and not snapshot.covers(self._snapshot):
            raise ValueError(f"snapshot {snapshot} goes behind {self._snapshot}")
        self.cover(snapshot)
        self._snapshot = snapshot

    def cover(self, snapshot: Snapshot) -> None:
        """Note that all pages of a catch-up have brought everything that `snapshot` shows."""
        self.reached = snapshot
        for key in [key for key, (_, tx, _) in self._sent.items() if snapshot.shows(tx)]:
            del self._sent[key]
        for key in [key for key, change in self._unshown.items() if snapshot.shows(change.tx)]:
            self._unshown_bytes -= self._unshown.pop(key).size()
        if self._forgotten is not None and self._forgotten.shown_by(snapshot):
            self._forgotten = None
        if self.unkept is not None and self.unkept.shown_by(snapshot):
            self.unkept = None

    def reach(self, snapshot: Snapshot) -> None:
        """Note that a page of a catch-up has brought what `snapshot` shows.

        Entries are kept: a version that it shows may be newer than one that it does not, whose
        transaction began later.
        """
        if self.reached is None or snapshot.covers(self.reached):
            self.reached = snapshot

    def hidden_from(self, snapshot: Snapshot, accepted: int) -> bool:
        """Return whether the later snapshot may not show one of the first `accepted` changes."""
        if self._forgotten is not None and not self._forgotten.shown_by(snapshot):
            return True
        sent_then = takewhile(lambda entry: entry[2] <= accepted, self._sent.values())
        return any(not snapshot.shows(tx) for _, tx, _ in sent_then)

    def unshown(self) -> dict[int, Change]:
        """Return by id the newest sent changes that a read beginning now may not show.

        See also `unkept`.
        """
        return dict(self._unshown)

    def forget(self) -> None:
        """Drop everything: the database has another epoch."""
        self.forget_sent()
        self._snapshot = self.reached = None

    def forget_sent(self) -> None:
        """Drop what was sent, which was wrong; what catch-up has reached stays."""
        self._sent.clear()
        self._unshown.clear()
        self._unshown_bytes = 0
        self._forgotten = self.unkept = None

    def _keep(self, key: int, change: Change) -> None:
        older = self._unshown.pop(key, None)
        if older is not None:
            self._unshown_bytes -= older.size()
        self._unshown[key] = change
        self._unshown_bytes += change.size()
        while self._unshown_bytes > self._most_unshown_bytes:
            _, first = self._unshown.popitem(last=False)
            self._unshown_bytes -= first.size()
            self.unkept = _extended(self.unkept, first.tx)


def _extended(known: Transactions | None, tx: int) -> Transactions:
    if known is None:
        return Transactions(tx, tx)
    return Transactions(min(known.first, tx), max(known.last, tx))
