"""Versions that the live lane alone has brought. Pure.

What Realtime delivers was committed, so that reads show it a moment later. A version that no read
ever shows was made up: by somebody who may send to the relays' topic, or holds the secret key. It
would silence its row for ever, since consumers drop what is not newer.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from relay.changes.records import Change
from relay.changes.snapshot import Snapshot

MOST_KEPT: Final = 10_000
MOST_SUSPECTS: Final = 100
# Between a commit's delivery and the next read no database hands out so many transaction ids.
MOST_AHEAD: Final = 1_000_000

_Key = tuple[int, int]  # endpoint number, row id


class Suspect(NamedTuple):
    """A version that a read should have shown by now."""

    endpoint: int
    id: int
    version: int


class Unconfirmed:
    """The newest version of each row that was sent on and that no read has brought; beyond
    `most_kept` rows the oldest are not watched any more."""

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._most_kept = most_kept
        self._kept = OrderedDict[_Key, tuple[int, int]]()  # version, transaction

    def __len__(self) -> int:
        return len(self._kept)

    def lived(self, changes: Iterable[Change]) -> None:
        """The live lane brought these, and they were sent on."""
        for change in changes:
            self._kept[change.endpoint.number, change.id] = (change.version, change.tx)
            if len(self._kept) > self._most_kept:
                self._kept.popitem(last=False)

    def read(self, changes: Iterable[Change]) -> None:
        """The database showed these."""
        if not self._kept:
            return
        for change in changes:
            self.confirm(change.endpoint.number, change.id, change.version)

    def confirm(self, endpoint: int, row_id: int, version: int) -> None:
        """The database has that version of the row, or had it."""
        kept = self._kept.get((endpoint, row_id))
        if kept is not None and version >= kept[0]:
            del self._kept[endpoint, row_id]

    def suspects(self, snapshots: Mapping[int, Snapshot | None]) -> list[Suspect]:
        """Versions that the last catch-up of their endpoint, with its snapshot, should have shown.

        A row that changed again while the catch-up read may be among them: a read of that row
        decides.
        """
        found: list[Suspect] = []
        for (endpoint, row_id), (version, tx) in self._kept.items():
            snapshot = snapshots.get(endpoint)
            if snapshot is None:
                continue
            if snapshot.shows(tx) or tx > snapshot.xmax + MOST_AHEAD:
                found.append(Suspect(endpoint, row_id, version))
                if len(found) >= MOST_SUSPECTS:
                    break
        return found

    def forget(self, endpoint: int | None = None) -> None:
        """Another history of that endpoint, or of all of them."""
        for key in [key for key in self._kept if endpoint in (None, key[0])]:
            del self._kept[key]
