"""When what was published is sent: at once, or in larger pieces where much comes at once."""

from collections.abc import Callable
from typing import Final

from relay.changes.groups import Group
from relay.counts import Counts, written_at

MOST_BYTES: Final = 256 * 1024
# After a flush with so many frames as much time passes as it took, so that the rows that are there
# are read and joined: a burst then costs a few flushes. Rows that come one by one never wait.
MANY_FRAMES: Final = 8

Schedule = Callable[[float, Callable[[], None]], object]
"""Calls back after that many seconds, never at once."""


class Flusher:
    """Sends what groups have published to all who keep up, once per turn of the loop at most.

    `now` tells seconds of any clock, `clock` those since 1970.
    """

    def __init__(
        self,
        counts: Counts,
        *,
        schedule: Schedule,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._counts = counts
        self._schedule = schedule
        self._now = now
        self._clock = clock
        self._changed: dict[Group, None] = {}
        self._scheduled = False
        self._rested_at = 0.0

    def changed(self, group: Group) -> None:
        """There is something to flush."""
        self._changed[group] = None
        self._plan()

    def _plan(self) -> None:
        if self._changed and not self._scheduled:
            self._scheduled = True
            self._schedule(max(0.0, self._rested_at - self._now()), self._run)

    def _run(self) -> None:
        self._scheduled = False
        begun = self._now()
        groups, self._changed = self._changed, {}
        most = 0
        try:
            while groups:
                most = max(most, self._flush(groups.popitem()[0]))
        finally:
            self._changed |= groups
            ended = self._now()
            self._rested_at = ended + (ended - begun if most >= MANY_FRAMES else 0)
            self._plan()

    def _flush(self, group: Group) -> int:
        before, clients = group.flushed, len(group.keeping)
        frames = group.flush(MOST_BYTES)
        if frames:
            self._counts.deliveries[group.format.value] += frames * clients
            self._observe(group, before)
        for member in list(group.waiting):
            member.flushed()
        if group.flushed < group.log.head:
            self._changed[group] = None
        return frames

    def _observe(self, group: Group, before: int) -> None:
        if group.newest is not None and before < group.newest_end <= group.flushed:
            written = written_at(group.newest)
            if written is not None:
                self._counts.to_socket.observe(self._clock() - written)
