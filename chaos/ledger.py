"""What the writers know to be committed: every version of every row. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TABLES = ("hotspots", "alerts", "recommendations")

Row = Mapping[str, str]  # the columns that clients can filter on
Identity = tuple[str, int, int]  # table, id, version


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a row; `row` is None for a deletion. Its commit was `sent` and is known to have
    `committed` at these times, in seconds of a monotonic clock: others may have seen it from the
    first one on."""

    table: str
    id: int
    version: int
    row: Row | None
    sent: float
    committed: float


class Ledger:
    """Everything that was committed, in the order in which that became known."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[int, dict[int, Version]]] = {name: {} for name in TABLES}
        self._newest: dict[str, dict[int, Version]] = {name: {} for name in TABLES}
        self._live: dict[str, dict[int, Version]] = {name: {} for name in TABLES}
        self._order: list[Version] = []
        self._times: list[float] = []
        # Versions that nobody needs to get: replaced by the same transaction, or never committed.
        self.passing: set[Identity] = set()

    def __len__(self) -> int:
        return len(self._order)

    def commit(self, versions: Iterable[Version]) -> None:
        """A transaction is known to be committed; those of one row may come in any order."""
        for each in versions:
            self._versions[each.table].setdefault(each.id, {})[each.version] = each
            self._order.append(each)
            self._times.append(each.committed)
            newest = self._newest[each.table]
            if each.id not in newest or newest[each.id].version < each.version:
                newest[each.id] = each
                if each.row is None:
                    self._live[each.table].pop(each.id, None)
                else:
                    self._live[each.table][each.id] = each

    def newest(self, table: str) -> Mapping[int, Version]:
        """The newest version of each row there ever was, deletions included."""
        return self._newest[table]

    def live(self, table: str) -> Mapping[int, Version]:
        """The newest version of each row that is there."""
        return self._live[table]

    def version(self, table: str, row_id: int, version: int) -> Version | None:
        """That version, if it is known."""
        return self._versions[table].get(row_id, {}).get(version)

    def knows(self, table: str, row_id: int, version: int) -> bool:
        """Whether that version was ever written, be it for the time of its transaction."""
        identity = (table, row_id, version)
        return self.version(*identity) is not None or identity in self.passing

    def between(self, table: str, row_id: int, after: int, upto: int) -> list[Version]:
        """The known versions above `after` up to `upto`, in their order."""
        known = self._versions[table].get(row_id, {})
        numbers = range(after + 1, upto + 1)
        return [found for number in numbers if (found := known.get(number)) is not None]

    def committed(self, start: float, end: float) -> list[Version]:
        """What became known from `start` on and before `end`."""
        return self._order[bisect_left(self._times, start) : bisect_left(self._times, end)]
