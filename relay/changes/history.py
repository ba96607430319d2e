"""Which past snapshots a client of an endpoint can be resumed from with what its log holds. Pure.

Everything that was sent on before a catch-up's request was sent is visible in the snapshot that it
brought; one of which that does not hold must not be remembered. So what the snapshot does not show
follows in the log after where it was THEN; where it is when the answer has been worked off would
be too far.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from relay.changes.snapshot import Snapshot

MOST_MARKS: Final = 4096

Seqs = Mapping[int, int]
"""The seq of the newest change of each endpoint, by its number."""


@dataclass(frozen=True, slots=True)
class Mark:
    """All that `snapshot` does not show comes after `seq`."""

    snapshot: Snapshot
    seq: int


class History:
    """The snapshots of an endpoint's completed catch-ups, each showing all that the ones before
    show."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []

    def __len__(self) -> int:
        return len(self._marks)

    def remember(self, snapshot: Snapshot, seq: int) -> None:
        """A catch-up completed whose request was sent when the log was at `seq`."""
        if self._marks and self._marks[-1].seq == seq:
            return  # the earlier one stands for the same changes and serves more cursors
        self._marks.append(Mark(snapshot, seq))
        if len(self._marks) > MOST_MARKS:
            del self._marks[: MOST_MARKS // 2]

    def best(self, snapshot: Snapshot) -> Mark | None:
        """The newest mark that shows nothing which `snapshot` does not show."""
        low, high = 0, len(self._marks)
        while low < high:  # who covers a mark covers all before it
            middle = (low + high) // 2
            if snapshot.covers(self._marks[middle].snapshot):
                low = middle + 1
            else:
                high = middle
        return self._marks[low - 1] if low else None

    def forget(self) -> None:
        """Another epoch: snapshots of before mean nothing."""
        self._marks.clear()
