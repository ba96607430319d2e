"""PostgreSQL snapshots: which transactions were visible at a moment."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


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
            ValueError: the text is no snapshot.
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
        """What has been read of the way from here to `upto`, ordered by transaction, when all
        before `tx` has been."""
        if tx <= self.xmax:
            return self._without({each for each in self.running if each < tx} - upto.running)
        running = frozenset(each for each in upto.running if each < tx)
        return Snapshot(min(running, default=tx), tx, running)

    def _without(self, finished: set[int] | frozenset[int]) -> "Snapshot":
        running = self.running - finished
        return Snapshot(min(running, default=self.xmax), self.xmax, running)

    def narrowed(self, most_running: int) -> "Snapshot":
        """A snapshot with that many running transactions at most, which shows less: nothing from
        the first one on that it cannot list."""
        if len(self.running) <= most_running:
            return self
        listed = sorted(self.running)[: most_running + 1]
        xmax = listed.pop()
        return Snapshot(min(self.xmin, xmax), xmax, frozenset(listed))


def common(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The snapshot that shows what all of these show, of which there is one at least."""
    found = list(snapshots)
    xmax = min(snapshot.xmax for snapshot in found)
    running = frozenset(tx for snapshot in found for tx in snapshot.running if tx < xmax)
    return Snapshot(min(running, default=xmax), xmax, running)
