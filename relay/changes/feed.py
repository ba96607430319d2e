"""Merges all sources of changes into one: each row version at most once, never an older one.

Sources bring the same changes in any order. What decides is (table, id, version): a version is
sent on when nothing as new has been sent, and a deletion is final for its id. A completed
catch-up has brought everything that its snapshot shows, so later arrivals that the snapshot
shows are stale, and their entries can be forgotten: the map holds only what is newer than it. While
no catch-up succeeds, or one is very long, the map is bounded by forgetting what was sent first:
that may then come twice, but is never lost.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Final

from relay.changes.records import Change
from relay.changes.snapshot import Snapshot

MOST_SENT: Final = 200_000


# Version, transaction, whether deleted, its number among all accepted. A plain tuple: the garbage
# collector lets go of those, and hundreds of thousands of anything else would make it stop
# everything for long.
_Sent = tuple[int, int, bool, int]


class Feed:
    """Knows what has been sent on since the last completed catch-up."""

    def __init__(self, most_sent: int = MOST_SENT) -> None:
        self._most_sent = most_sent
        self._sent = OrderedDict[tuple[int, int], _Sent]()  # in the order of sending
        self._snapshot: Snapshot | None = None
        self._reached: Snapshot | None = None  # also by pages of a catch-up that is under way
        self.accepted = 0

    @property
    def snapshot(self) -> Snapshot | None:
        """What the last completed catch-up showed; None before the first one."""
        return self._snapshot

    @property
    def reached(self) -> Snapshot | None:
        """What has been brought for good, also by a catch-up that did not complete."""
        return self._reached

    def __len__(self) -> int:
        return len(self._sent)

    def accept(self, change: Change) -> bool:
        """Whether the change is new and has to be sent on; it counts as sent from then on."""
        key = (change.endpoint.number, change.id)
        sent = self._sent.get(key)
        if sent is None:
            if self._reached is not None and self._reached.shows(change.tx):
                return False
        else:
            version, _, deleted, _ = sent
            if deleted or change.version <= version:
                return False
        self.accepted += 1
        self._sent[key] = (change.version, change.tx, change.record is None, self.accepted)
        if sent is not None:
            self._sent.move_to_end(key)
        elif len(self._sent) > self._most_sent:
            self._sent.popitem(last=False)
        return True

    def complete(self, snapshot: Snapshot) -> None:
        """A catch-up has brought everything that `snapshot` shows.

        Raises:
            ValueError: the snapshot is older than the last one in some respect.
        """
        if self._snapshot is not None and not snapshot.covers(self._snapshot):
            raise ValueError(f"snapshot {snapshot} goes behind {self._snapshot}")
        self.cover(snapshot)
        self._snapshot = snapshot

    def cover(self, snapshot: Snapshot) -> None:
        """All pages of a catch-up have brought everything that `snapshot` shows."""
        self._reached = snapshot
        for key in [key for key, (_, tx, _, _) in self._sent.items() if snapshot.shows(tx)]:
            del self._sent[key]

    def reach(self, snapshot: Snapshot) -> None:
        """A page of a catch-up has brought what `snapshot` shows, which covers the last completed
        one. Nothing is forgotten: a version that it shows may be newer than one that it does not,
        whose transaction began later."""
        self._reached = snapshot

    def hidden_from(self, snapshot: Snapshot, accepted: int) -> bool:
        """Whether one of the first `accepted` changes is not shown by the snapshot, though that was
        taken later.

        Realtime may be a moment faster than the database: it reads the log, where a transaction
        has ended before snapshots show it, for longer where the commit waits for a standby.
        """
        return any(not snapshot.shows(tx) for _, (_, tx, _, _) in self._first(accepted))

    def outdates(self, endpoint: int, versions: Mapping[int, int], accepted: int) -> bool:
        """Whether one of the first `accepted` changes is newer than rows of that endpoint which
        were read later: see `hidden_from`."""
        return any(
            number == endpoint
            and (version > versions.get(row_id, version) or (deleted and row_id in versions))
            for (number, row_id), (version, _, deleted, _) in self._first(accepted)
        )

    def forget(self) -> None:
        """Another epoch: versions and snapshots of before mean nothing."""
        self._sent.clear()
        self._snapshot = self._reached = None

    def _first(self, accepted: int) -> Iterator[tuple[tuple[int, int], _Sent]]:
        # They are in the order of sending.
        return takewhile(lambda entry: entry[1][3] <= accepted, self._sent.items())
