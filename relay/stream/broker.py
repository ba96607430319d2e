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
    """A version that reads should have shown by now."""

    endpoint: int
    id: int
    version: int


class Unconfirmed:
    """Versions that were sent and that no read has confirmed; the oldest go beyond `most_kept`."""

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._most_kept = most_kept
        self._kept = OrderedDict[_Key, tuple[int, int]]()  # version, transaction

    def __len__(self) -> int:
        return len(self._kept)

    def lived(self, changes: Iterable[Change]) -> None:
        """Watch these changes of the live lane, which were sent."""
        for change in changes:
            self._kept[change.endpoint.number, change.id] = (change.version, change.tx)
            if len(self._kept) > self._most_kept:
                self._kept.popitem(last=False)

    def read(self, changes: Iterable[Change]) -> None:
        """Confirm these changes, which the database showed."""
        if not self._kept:
            return
        for change in changes:
            self.confirm(change.endpoint.number, change.id, change.version)

    def confirm(self, endpoint: int, row_id: int, version: int) -> None:
        """Confirm one version, which the database has or had."""
        kept = self._kept.get((endpoint, row_id))
        if kept is not None and version >= kept[0]:
            del self._kept[endpoint, row_id]

    def suspects(self, snapshots: Mapping[int, Snapshot | None]) -> list[Suspect]:
        """Return versions that the last catch-up of their endpoint should have shown.

        A row that changed again meanwhile may be among them: a read of that row decides.
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
        """Drop what belongs to a former history of that endpoint, or of all."""
        for key in [key for key in self._kept if endpoint in (None, key[0])]:
            del self._kept[key]


class Source(enum.StrEnum):
    """Where a change comes from: the live lane, catch-up, or a read for clients."""

    LIVE = "live"
    CATCH_UP = "catch_up"
    READ = "read"


class Broker:
    """Publishes what is new of what the sources bring.

    Each endpoint is at a snapshot of its own, since a locked table is read later than the others.

    Attributes:
        hub: Where changes are published.
        deduplicators: Deduplicator by endpoint number.
        histories: Snapshots to resume from, by endpoint number.
        unconfirmed: What the live lane alone has brought.
        busy: Numbers of endpoints whose tables are locked.
        epoch: Identity of the database's history; None before the first catch-up.
        published, dropped: Changes by source.
    """

    def __init__(
        self,
        hub: Hub,
        observe: Callable[[Source, list[Change]], None] = lambda source, changes: None,
    ) -> None:
        self._observe = observe
        self.hub: Final = hub
        self._first_seqs = hub.seqs()
        self.deduplicators: Final = {number: Deduplicator() for number in self._first_seqs}
        self.histories: Final = {number: SnapshotHistory() for number in self._first_seqs}
        self.unconfirmed: Final = Unconfirmed()
        self.busy: frozenset[int] = frozenset()
        self.epoch: str | None = None
        self.published: Final = Counter[Source]()
        self.dropped: Final = Counter[Source]()

    @property
    def begun(self) -> bool:
        """Whether the first catch-up has completed."""
        return self.epoch is not None

    def take(self, changes: Iterable[Change], source: Source = Source.READ) -> list[Change]:
        """Publish the changes that are new, in their order, and return them."""
        offered = list(changes)
        new = [each for each in offered if self.deduplicators[each.endpoint.number].accept(each)]
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
        """Start at a snapshot of an epoch, requested at `seqs`; resets clients of another one."""
        if self.begun:
            for number in self.deduplicators:
                self.deduplicators[number].forget()
                self.histories[number].forget()
            for stream in self.hub:
                stream.start_anew()
        self.unconfirmed.forget()
        self.epoch = epoch
        self.busy = frozenset()
        for number in self.deduplicators:
            self.complete(number, snapshot, seqs)

    def complete(self, number: int, snapshot: Snapshot, seqs: Seqs) -> None:
        """Note that catch-up has brought all of an endpoint that the snapshot shows.

        Args:
            number: The endpoint's number.
            snapshot: What was read.
            seqs: Where the streams were when its first request was sent.

        Raises:
            ValueError: The snapshot is older than the last one in some respect.
        """
        dedup, seq = self.deduplicators[number], seqs[number]
        dedup.complete(snapshot)
        if not dedup.hidden_from(snapshot, seq - self._first_seqs[number]):
            self.histories[number].remember(snapshot, seq)

    def correct(self, number: int) -> None:
        """Reset an endpoint and its clients: something that was sent is not in the database."""
        self.unconfirmed.forget(number)
        self.deduplicators[number].forget_sent()
        self.histories[number].forget()
        self.hub.by_number(number).start_anew()
