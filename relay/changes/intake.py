"""Where all sources meet: what the feed accepts goes to the streams."""

from collections.abc import Iterable
from typing import Final

from relay.changes.feed import Feed
from relay.changes.groups import Streams
from relay.changes.history import History, Seqs
from relay.changes.records import Change
from relay.changes.snapshot import Snapshot


class Intake:
    """The feed and the streams behind it, and the epoch that their versions belong to."""

    def __init__(self, streams: Streams) -> None:
        self.streams: Final = streams
        self.feed: Final = Feed()
        self.history: Final = History()
        self.epoch: str | None = None

    def take(self, changes: Iterable[Change]) -> list[Change]:
        """Publishes those changes that are new, in their order, and returns them."""
        new = [change for change in changes if self.feed.accept(change)]
        self.streams.publish(new)
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
        self.history.remember(snapshot, seqs)
