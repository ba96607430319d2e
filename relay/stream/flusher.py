"""Schedules flushes: at once for single changes, in larger batches under load."""

from collections.abc import Callable
from typing import Final

from relay.stream.counters import Counters, written_at
from relay.stream.hub import Stream

# A step costs some 8 us for each client, and as much again for each 12 KiB that it gets.
STEP_BYTES: Final = 4 * 1024 * 1024
CLIENT_BYTES: Final = 12 * 1024
# The loop is held for no longer than this and one step; what is left follows in its next turn.
HOLD_SECONDS: Final = 0.01
# After a round with so many frames as much time passes as it took, so that the rows that are there
# are read and joined: a burst then costs a few rounds. Rows that come one by one never wait.
MANY_FRAMES: Final = 8

Schedule = Callable[[float, Callable[[], None]], object]
"""Calls back after that many seconds, never at once."""


class Flusher:
    """Sends what streams have published to the subscribers that are caught up, in rounds.

    Args:
        counts: Where deliveries and latencies are counted.
        schedule: Calls back after some seconds, never at once.
        now: Seconds of a monotonic clock.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        counts: Counters,
        *,
        schedule: Schedule,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._counts = counts
        self._schedule = schedule
        self._now = now
        self._clock = clock
        self._changed: dict[Stream, None] = {}
        self._sending: dict[Stream, int] = {}  # whose rounds are under way, and where they began
        self._delivered: set[Stream] = set()  # those of which a client got something
        self._scheduled = False
        self._taken = 0.0  # seconds for these rounds
        self._frames = 0  # that a client got in one of them at most
        self._rested_at = 0.0

    def changed(self, stream: Stream) -> None:
        """Schedule a flush of the stream."""
        self._changed[stream] = None
        self._plan()

    def _plan(self) -> None:
        if self._scheduled or not (self._sending or self._changed):
            return
        self._scheduled = True
        rest = 0.0 if self._sending else max(0.0, self._rested_at - self._now())
        self._schedule(rest, self._run)

    def _run(self) -> None:
        self._scheduled = False
        begun = self._now()
        if not self._sending:
            self._sending = {stream: stream.flushed for stream in self._changed}
            self._changed, self._taken, self._frames = {}, 0.0, 0
        try:
            self._send_until(begun + HOLD_SECONDS)
        finally:
            ended = self._now()
            self._taken += ended - begun
            self._rested_at = ended + (self._taken if self._frames >= MANY_FRAMES else 0)
            self._plan()

    def _send_until(self, time: float) -> None:
        while self._sending:
            stream = next(iter(self._sending))
            sent = stream.send(STEP_BYTES, CLIENT_BYTES)
            if sent is None:
                self._round_is_over(stream, self._sending.pop(stream))
            else:
                self._counts.deliveries[sent.format.value] += sent.frames * sent.clients
                self._frames = max(self._frames, sent.frames)
                self._delivered.add(stream)
            if self._now() >= time:
                return

    def _round_is_over(self, stream: Stream, began: int) -> None:
        for member in list(stream.waiting):
            member.flushed()
        if stream.flushed < stream.log.head:
            self._changed[stream] = None
        delivered = stream in self._delivered
        self._delivered.discard(stream)
        if delivered and stream.newest is not None and began < stream.newest_end <= stream.flushed:
            written = written_at(stream.newest)
            if written is not None:
                self._counts.to_socket.observe(self._clock() - written)
