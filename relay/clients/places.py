"""The cursors that this relay hands out, and the reading of those that clients present."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from relay.changes.filters import Filter
from relay.changes.history import Seqs
from relay.changes.intake import Intake
from relay.changes.snapshot import Snapshot
from relay.clients.cursor import Cursor, InvalidCursor, Signer, bound

MOST_SIGNED: Final = 1000


class _Place(NamedTuple):
    """What a cursor says of a moment, whatever the filter."""

    snapshots: Mapping[int, Snapshot]
    epoch: str
    instance: str
    beat: int
    issued: int
    seqs: Seqs


@dataclass(slots=True)
class Identity:
    """This process: its instance and the newest beat that the database has confirmed."""

    instance: str
    beat: int = 0

    def renew(self) -> None:
        """The database has another history: cursors of before are another relay's."""
        self.instance, self.beat = str(uuid.uuid4()), 0


class Unresumable(Exception):
    """The cursor is answered by a reset with this `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


class Places:
    """Cursors for the last completed catch-up, bound to this instance and its confirmed beat.

    `clock` tells the seconds since 1970; a cursor is good for `seconds`.
    """

    def __init__(
        self,
        secret: str,
        identity: Identity,
        intake: Intake,
        *,
        clock: Callable[[], float],
        seconds: float,
    ) -> None:
        self._signer: Final = Signer(secret)
        self._identity: Final = identity
        self._intake: Final = intake
        self._clock: Final = clock
        self._seconds: Final = seconds
        self._signed: dict[Filter, tuple[_Place, str]] = {}  # many come at the same time

    def cursor(self, wanted: Filter) -> str | None:
        """Where clients of that filter are who have had all that was published; None before the
        first catch-up and heartbeat."""
        here = self._here()
        return None if here is None else self._cursor(here, wanted)

    def cursors(self) -> Callable[[Filter], str | None]:
        """What tells the cursor for a filter as of now, also later."""
        here = self._here()
        return lambda wanted: None if here is None else self._cursor(here, wanted)

    def _here(self) -> _Place | None:
        epoch, feeds = self._intake.epoch, self._intake.feeds
        if epoch is None or self._identity.beat == 0:
            return None
        return _Place(
            {number: feed.snapshot for number, feed in feeds.items() if feed.snapshot is not None},
            epoch,
            self._identity.instance,
            self._identity.beat,
            int(self._clock()),
            self._intake.streams.seqs(),
        )

    def _cursor(self, here: _Place, wanted: Filter) -> str:
        signed = self._signed.get(wanted)
        if signed is not None and signed[0] == here:
            return signed[1]
        text = self._signer.sign(
            Cursor(
                snapshot=here.snapshots[wanted.endpoint.number],
                epoch=here.epoch,
                instance=here.instance,
                beat=here.beat,
                endpoint=wanted.endpoint.name,
                filter=bound(wanted),
                issued=here.issued,
                seq=here.seqs[wanted.endpoint.number],
            )
        )
        if len(self._signed) >= MOST_SIGNED:
            self._signed.clear()
        self._signed[wanted] = here, text
        return text

    def read(self, presented: str, wanted: Filter) -> Cursor:
        """The presented cursor, which this relay or another one with the same key handed out for
        that filter.

        Raises:
            Unresumable: it is invalid, a mismatch, or expired.
        """
        try:
            cursor = self._signer.read(presented)
        except InvalidCursor:
            raise Unresumable("invalid") from None
        if (cursor.endpoint, cursor.filter) != (wanted.endpoint.name, bound(wanted)):
            raise Unresumable("mismatch")
        if self._clock() - cursor.issued > self._seconds:
            raise Unresumable("expired")
        return cursor

    def is_own(self, cursor: Cursor) -> bool:
        """Whether this process handed it out, so that it knows what `seq` means."""
        return cursor.instance == self._identity.instance and cursor.beat <= self._identity.beat
