"""The broker: all sources meet here; what the deduplicator accepts goes to the hub.

Versions that the live lane alone has brought are watched. What Realtime delivers was committed, so
that reads show it a moment later; a version that no read ever shows was forged, by somebody who may
send to the topic of the relays or holds the secret key. It would silence its row for ever, since
consumers drop what is not newer.
"""

import enum
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from relay.stream.change import Change
from relay.stream.dedup import Deduplicator
from relay.stream.hub import Hub
from relay.stream.snapshot import Seqs, Snapshot, SnapshotHistory

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


class Source(enum.StrEnum):
    """Where changes come from: the live lane, catch-up, or a read for clients."""

    LIVE = "live"
    CATCH_UP = "catch_up"
    READ = "read"


class Broker:
    """The feeds and the streams behind them, and the epoch that their versions belong to; `observe`
    is told what each source brought first.

    Each endpoint has a place of its own in the database, since a table that is locked is read later
    than the others: `feeds` and `histories` are by endpoint number, `busy` has those that wait.
    """

    def __init__(
        self,
        hub: Hub,
        observe: Callable[[Source, list[Change]], None] = lambda source, changes: None,
    ) -> None:
        self._observe = observe
        self.hub: Final = hub
        self._first_seqs = hub.seqs()
        self.feeds: Final = {number: Deduplicator() for number in self._first_seqs}
        self.histories: Final = {number: SnapshotHistory() for number in self._first_seqs}
        self.unconfirmed: Final = Unconfirmed()
        self.busy: frozenset[int] = frozenset()
        self.epoch: str | None = None
        self.published: Final = Counter[Source]()
        self.dropped: Final = Counter[Source]()

    @property
    def begun(self) -> bool:
        """Whether there was a first catch-up."""
        return self.epoch is not None

    def take(self, changes: Iterable[Change], source: Source = Source.READ) -> list[Change]:
        """Publishes those changes that are new, in their order, and returns them."""
        offered = list(changes)
        new = [change for change in offered if self._accept(change)]
        if source is Source.LIVE:
            self.unconfirmed.lived(new)
        else:
            self.unconfirmed.read(offered)
        self.hub.publish(new)
        self.published[source] += len(new)
        self.dropped[source] += len(offered) - len(new)
        self._observe(source, new)
        return new

    def begin(self, epoch: str, snapshot: Snapshot, seqs: Seqs) -> None:
        """Starts at `snapshot` of `epoch`, which was asked for at `seqs`; who held rows of another
        epoch starts anew."""
        if self.begun:
            for number in self.feeds:
                self.feeds[number].forget()
                self.histories[number].forget()
            for stream in self.hub:
                stream.start_anew()
        self.unconfirmed.forget()
        self.epoch = epoch
        self.busy = frozenset()
        for number in self.feeds:
            self.complete(number, snapshot, seqs)

    def complete(self, number: int, snapshot: Snapshot, seqs: Seqs) -> None:
        """A catch-up has brought everything of an endpoint that `snapshot` shows; its first request
        was sent when the streams were at `seqs`.

        Raises:
            ValueError: the snapshot is older than the last one in some respect.
        """
        feed, seq = self.feeds[number], seqs[number]
        feed.complete(snapshot)
        if not feed.hidden_from(snapshot, seq - self._first_seqs[number]):
            self.histories[number].remember(snapshot, seq)

    def correct(self, number: int) -> None:
        """Something that was sent on is not in the database: the endpoint begins anew, with what
        the database shows, and so do its clients."""
        self.unconfirmed.forget(number)
        self.feeds[number].forget_sent()
        self.histories[number].forget()
        self.hub.by_number(number).start_anew()

    def _accept(self, change: Change) -> bool:
        return self.feeds[change.endpoint.number].accept(change)
