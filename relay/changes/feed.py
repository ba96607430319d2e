"""Merges all sources of changes into one: each row version at most once, never an older one.

Sources bring the same changes in any order. What decides is (table, id, version): a version is
sent on when nothing as new has been sent, and a deletion is final for its id. A completed
catch-up has brought everything that its snapshot shows, so later arrivals that the snapshot
shows are stale, and their entries can be forgotten: the map holds only what is newer than it.
"""

from dataclasses import dataclass

from relay.changes.records import Change
from relay.changes.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class _Sent:
    version: int
    tx: int
    deleted: bool


class Feed:
    """Knows what has been sent on since the last completed catch-up."""

    def __init__(self) -> None:
        self._sent: dict[tuple[int, int], _Sent] = {}
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """What the last completed catch-up showed; None before the first one."""
        return self._snapshot

    def __len__(self) -> int:
        return len(self._sent)

    def accept(self, change: Change) -> bool:
        """Whether the change is new and has to be sent on; it counts as sent from then on."""
        key = (change.endpoint.number, change.id)
        sent = self._sent.get(key)
        if sent is None:
            if self._snapshot is not None and self._snapshot.shows(change.tx):
                return False
        elif sent.deleted or change.version <= sent.version:
            return False
        self._sent[key] = _Sent(change.version, change.tx, change.record is None)
        return True

    def complete(self, snapshot: Snapshot) -> None:
        """A catch-up has brought everything that `snapshot` shows.

        Raises:
            ValueError: the snapshot is older than the last one in some respect.
        """
        if self._snapshot is not None and not snapshot.covers(self._snapshot):
            raise ValueError(f"snapshot {snapshot} goes behind {self._snapshot}")
        self._snapshot = snapshot
        self._sent = {key: sent for key, sent in self._sent.items() if not snapshot.shows(sent.tx)}

    def forget(self) -> None:
        """Another epoch: versions and snapshots of before mean nothing."""
        self._sent.clear()
        self._snapshot = None
