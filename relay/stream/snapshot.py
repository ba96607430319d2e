"""PostgreSQL snapshots, and from which past ones a log can resume a client. Pure.

Everything that was sent before a catch-up's request is visible in the snapshot that it brought; one
of which that does not hold must not be remembered. So what the snapshot does not show follows in
the log after where it was THEN; where it is when the answer was processed would be too far.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What `pg_current_snapshot()` returned: all below `xmax` but the `running` ones is visible."""

    xmin: int
    xmax: int
    running: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The snapshot written as `xmin:xmax:running,running`.

        Raises:
            ValueError: The text is no snapshot.
        """
        xmin, xmax, running = text.split(":")
        found = cls(int(xmin), int(xmax), frozenset(int(tx) for tx in running.split(",") if tx))
        if not 0 < found.xmin <= found.xmax:
            raise ValueError(f"no snapshot: {text[:100]}")
        return found

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, sorted(self.running)))}"

    def shows(self, tx: int) -> bool:
        """Whether what the transaction wrote is visible, provided that it committed."""
        return tx < self.xmax and tx not in self.running

    def covers(self, other: "Snapshot") -> bool:
        """Whether everything that `other` shows is visible here too."""
        return self.xmax >= other.xmax and not any(other.shows(tx) for tx in self.running)

    def reached(self, upto: "Snapshot", tx: int) -> "Snapshot":
        """Return what is covered on the way from here to `upto` once all before `tx` was read.

        Reads are ordered by transaction.
        """
        if tx <= self.xmax:
            running = frozenset(each for each in self.running if each >= tx or each in upto.running)
            return Snapshot(min(running, default=self.xmax), self.xmax, running)
        running = frozenset(each for each in upto.running if each < tx)
        return Snapshot(min(running, default=tx), tx, running)

    def narrowed(self, most_running: int) -> "Snapshot":
        """Return a snapshot with at most that many running transactions, which shows less.

        It shows nothing from the first transaction on that it cannot list.
        """
        if len(self.running) <= most_running:
            return self
        listed = sorted(self.running)[: most_running + 1]
        xmax = listed.pop()
        return Snapshot(min(self.xmin, xmax), xmax, frozenset(listed))


def common(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Return the intersection of the snapshots, of which there is one at least."""
    found = list(snapshots)
    xmax = min(snapshot.xmax for snapshot in found)
    running = frozenset(tx for snapshot in found for tx in snapshot.running if tx < xmax)
    return Snapshot(min(running, default=xmax), xmax, running)


MOST_MARKS: Final = 4096

Seqs = Mapping[int, int]
"""The seq of the newest change of each endpoint, by its number."""


@dataclass(frozen=True, slots=True)
class Mark:
    """All that `snapshot` does not show comes after `seq`."""

    snapshot: Snapshot
    seq: int


class SnapshotHistory:
    """The snapshots of an endpoint's completed catch-ups, each showing all that the ones before
    show."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []

    def __len__(self) -> int:
        return len(self._marks)

    def remember(self, snapshot: Snapshot, seq: int) -> None:
        """Note a completed catch-up whose request was sent when the log was at `seq`."""
        if self._marks and self._marks[-1].seq == seq:
            return  # the earlier one stands for the same changes and serves more cursors
        self._marks.append(Mark(snapshot, seq))
        if len(self._marks) > MOST_MARKS:
            del self._marks[: MOST_MARKS // 2]

    def best(self, snapshot: Snapshot) -> Mark | None:
        """Return the newest mark that `snapshot` covers; None if there is none."""
        # A snapshot that covers a mark covers all marks before it.
        covered = bisect_left(
            self._marks, True, key=lambda mark: not snapshot.covers(mark.snapshot)
        )
        return self._marks[covered - 1] if covered else None

    def forget(self) -> None:
        """Drop everything: the epoch is another one."""
        self._marks.clear()
