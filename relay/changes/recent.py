"""The last changes of an endpoint, so that what was read a moment ago can be brought up to now."""

from collections import deque
from typing import Final

from relay.changes.records import Change

MOST_CHANGES: Final = 1000
MOST_BYTES: Final = 4 * 1024 * 1024


class Recent:
    """Keeps the newest changes within `most` and, roughly, `most_bytes`; `seq` is that of the
    change before the first one."""

    def __init__(self, seq: int, most: int = MOST_CHANGES, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._changes: deque[Change] = deque()
        self._bytes = 0
        self._seq = seq  # of the newest

    def append(self, change: Change) -> None:
        """The change with the next seq."""
        self._changes.append(change)
        self._bytes += change.size()
        self._seq += 1
        while len(self._changes) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._changes.popleft().size()

    def since(self, seq: int) -> dict[int, Change] | None:
        """The newest change of each id after `seq`; None when some of them are not kept."""
        count = self._seq - seq
        if not 0 <= count <= len(self._changes):
            return None
        found: dict[int, Change] = {}
        for _, change in zip(range(count), reversed(self._changes), strict=False):
            found.setdefault(change.id, change)
        return found

    def forget(self) -> None:
        """What was kept is of another history."""
        self._changes.clear()
        self._bytes = 0
