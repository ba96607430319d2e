"""Where all sources meet: what the feed accepts goes to the streams."""

from collections.abc import Iterable
from typing import Final

from relay.changes.feed import Feed
from relay.changes.groups import Streams
from relay.changes.records import Change
from relay.changes.snapshot import Snapshot


class Intake:
    """The feed and the streams behind it, and the epoch that their versions belong to."""

    def __init__(self, streams: Streams) -> None:
        self.streams: Final = streams
        self.feed: Final = Feed()
        self.epoch: str | None = None

    def take(self, changes: Iterable[Change]) -> int:
        """Publishes those changes that are new, in their order, and returns how many."""
        new = [change for change in changes if self.feed.accept(change)]
        self.streams.publish(new)
        return len(new)

    def begin(self, epoch: str, snapshot: Snapshot) -> None:
        """Starts at `snapshot` of `epoch`; who held rows of another epoch starts anew."""
        if self.feed.snapshot is not None:
            self.feed.forget()
            for stream in self.streams:
                stream.start_anew()
        self.epoch = epoch
        self.feed.complete(snapshot)
