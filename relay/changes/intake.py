"""Where all sources meet: what the feed accepts goes to the streams."""

import enum
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from relay.changes.feed import Feed
from relay.changes.history import History, Seqs
from relay.changes.records import Change
from relay.changes.snapshot import Snapshot
from relay.changes.streams import Streams


class Source(enum.StrEnum):
    """Where changes come from: the live lane, catch-up, or a read for clients."""

    LIVE = "live"
    CATCH_UP = "catch_up"
    READ = "read"


class Intake:
    """The feed and the streams behind it, and the epoch that their versions belong to; `observe`
    is told what each source brought first."""

    def __init__(
        self,
        streams: Streams,
        observe: Callable[[Source, list[Change]], None] = lambda source, changes: None,
    ) -> None:
        self._observe = observe
        self.streams: Final = streams
        self.feed: Final = Feed()
        self.history: Final = History()
        self.epoch: str | None = None
        self._first_seqs = sum(streams.seqs().values())
        self.published: Final = Counter[Source]()
        self.dropped: Final = Counter[Source]()

    def take(self, changes: Iterable[Change], source: Source = Source.READ) -> list[Change]:
        """Publishes those changes that are new, in their order, and returns them."""
        offered = list(changes)
        new = [change for change in offered if self.feed.accept(change)]
        self.streams.publish(new)
        self.published[source] += len(new)
        self.dropped[source] += len(offered) - len(new)
        self._observe(source, new)
        return new

    def begin(self, epoch: str, snapshot: Snapshot, seqs: Seqs) -> None:
        """Starts at `snapshot` of `epoch`, which was asked for at `seqs`; who held rows of another
        epoch starts anew."""
        if self.feed.snapshot is not None:
            self.feed.forget()
            self.history.forget()
            for stream in self.streams:
                stream.start_anew()
        self.epoch = epoch
        self.complete(snapshot, seqs)

    def complete(self, snapshot: Snapshot, seqs: Seqs) -> None:
        """A catch-up has brought everything that `snapshot` shows; its first request was sent when
        the streams were at `seqs`.

        Raises:
            ValueError: the snapshot is older than the last one in some respect.
        """
        self.feed.complete(snapshot)
        if not self.feed.hidden_from(snapshot, sum(seqs.values()) - self._first_seqs):
            self.history.remember(snapshot, seqs)
