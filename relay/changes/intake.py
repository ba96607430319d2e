"""Where all sources meet: what the feed of an endpoint accepts goes to its stream."""

import enum
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from relay.changes.feed import Feed
from relay.changes.history import History, Seqs
from relay.changes.records import Change
from relay.changes.snapshot import Snapshot
from relay.changes.streams import Streams
from relay.changes.unconfirmed import Unconfirmed


class Source(enum.StrEnum):
    """Where changes come from: the live lane, catch-up, or a read for clients."""

    LIVE = "live"
    CATCH_UP = "catch_up"
    READ = "read"


class Intake:
    """The feeds and the streams behind them, and the epoch that their versions belong to; `observe`
    is told what each source brought first.

    Each endpoint has a place of its own in the database, since a table that is locked is read later
    than the others: `feeds` and `histories` are by endpoint number, `busy` has those that wait.
    """

    def __init__(
        self,
        streams: Streams,
        observe: Callable[[Source, list[Change]], None] = lambda source, changes: None,
    ) -> None:
        self._observe = observe
        self.streams: Final = streams
        self._first_seqs = streams.seqs()
        self.feeds: Final = {number: Feed() for number in self._first_seqs}
        self.histories: Final = {number: History() for number in self._first_seqs}
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
        self.streams.publish(new)
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
            for stream in self.streams:
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
        self.streams.by_number(number).start_anew()

    def _accept(self, change: Change) -> bool:
        return self.feeds[change.endpoint.number].accept(change)
