"""Whether the database still knows the relay that handed a cursor out, as of that cursor's beat.

A restored image of the disk keeps its epoch, but the heartbeat rows in it are older than the
cursors that were handed out since.
"""

from collections.abc import Callable
from typing import Final

from relay.clients.cursor import Cursor
from relay.clients.flights import Flights
from relay.clients.places import Places
from relay.upstream.rest import Rest

MOST_INSTANCES: Final = 1000
DOUBT_SECONDS: Final = 1.0


class Beats:
    """The beats of other relays as they were read last."""

    def __init__(self, rest: Rest, places: Places, now: Callable[[], float]) -> None:
        self._rest = rest
        self._places = places
        self._now = now
        self._read: dict[str, tuple[int, float]] = {}  # beat, and when that was
        self._flights = Flights[str, int]("beat of")

    def known(self, cursor: Cursor) -> bool | None:
        """Whether the row of the cursor's relay is there and not below the cursor's beat; None when
        that has to be read."""
        if self._places.is_own(cursor):
            return True
        beat, at = self._read.get(cursor.instance, (-1, -DOUBT_SECONDS))
        if beat < cursor.beat and self._now() - at >= DOUBT_SECONDS:
            return None
        return beat >= cursor.beat

    async def vouch_for(self, cursor: Cursor) -> bool:
        """What `known` tells, after a read where it takes one.

        Raises:
            Unavailable: it cannot be read now.
        """
        known = self.known(cursor)
        if known is not None:
            return known
        beat = await self._flights.join(cursor.instance, lambda: self._beat(cursor.instance))
        return beat >= cursor.beat

    def forget(self) -> None:
        """The database has another history."""
        self._read = {}

    async def close(self) -> None:
        """Ends the reads under way."""
        await self._flights.close()

    async def _beat(self, instance: str) -> int:
        kept = self._read
        found = await self._rest.beat(instance)
        beat = -1 if found is None else found
        if len(kept) >= MOST_INSTANCES:
            kept.clear()
        kept[instance] = beat, self._now()  # nobody asks there if all was forgotten meanwhile
        return beat
