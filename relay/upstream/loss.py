"""Detects that the live lane loses changes. Pure: the caller brings the time.

It does when catch-up brought a version and the live lane brings neither that nor a newer one within
seconds of running time. Catch-up being first proves nothing, since it overtakes healthy rows now
and then.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from relay.stream.change import Change

LONGEST_STEP_SECONDS: Final = 2.5


class ActiveClock:
    """Clock of running time: it leaves out time in which this process stood still.

    That is: stopped by a signal, on a laptop that slept, or starved. What arrived meanwhile waits
    unread in the socket, so such time proves nothing against the sender. Steps beyond
    `LONGEST_STEP_SECONDS` between two calls do not count.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._asked_at: float | None = None

    def seconds(self, now: float) -> float:
        """Seconds since the first call."""
        if self._asked_at is not None:
            self._seconds += min(now - self._asked_at, LONGEST_STEP_SECONDS)
        self._asked_at = now
        return self._seconds

    def excuse(self, now: float) -> None:
        """Leave out the time since the last call."""
        self._asked_at = now


HEALED_SECONDS: Final = 5.0
SUSPICIOUS_SECONDS: Final = 1.0
MOST_KEPT: Final = 10_000

Key = tuple[int, int]


class LossDetector:
    """Detects losses: versions that catch-up read and the live lane never delivers."""

    def __init__(self) -> None:
        self._owed: OrderedDict[Key, tuple[int, float]] = OrderedDict()  # oldest first
        self._seen: OrderedDict[Key, int | None] = OrderedDict()
        self._active_clock = ActiveClock()
        self.total = 0

    def caught(self, changes: Iterable[Change], now: float) -> None:
        """Expect these of the live lane: they were committed after its subscription."""
        at = self._active_clock.seconds(now)
        for change in changes:
            key = (change.endpoint.number, change.id)
            if key in self._seen:
                seen = self._seen[key]
                if seen is None or seen >= change.version:
                    continue
            if len(self._owed) < MOST_KEPT or key in self._owed:
                self._owed.pop(key, None)
                self._owed[key] = (change.version, at)

    def lived(self, number: int, row_id: int, version: int | None) -> None:
        """Note a version that the live lane delivered; None for an unknown one."""
        key = (number, row_id)
        owed = self._owed.get(key)
        if owed is not None and (version is None or version >= owed[0]):
            del self._owed[key]

    def glimpsed(self, number: int, row_id: int, version: int | None) -> None:
        """Note a version that the live lane delivered incomplete: catch-up will bring it."""
        self.lived(number, row_id, version)
        self._seen[number, row_id] = version
        if len(self._seen) > MOST_KEPT:
            self._seen.popitem(last=False)

    def behind(self, now: float) -> None:
        """Excuse the live lane: the relay itself is behind in reading it.

        To be called again and again while that lasts.
        """
        self._active_clock.excuse(now)

    def suspicious(self, now: float) -> bool:
        """Return whether the live lane owes a version for longer than it usually takes."""
        return self._longest(now) >= SUSPICIOUS_SECONDS

    def due(self, now: float) -> int:
        """Return how many versions count as lost, and healed by catch-up, since the last call.

        To be called several times a second.
        """
        healed = 0
        while self._longest(now) >= HEALED_SECONDS:
            self._owed.popitem(last=False)
            healed += 1
        self.total += healed
        return healed

    def forget(self) -> None:
        """Drop expectations: the subscription ended."""
        self._owed.clear()
        self._seen.clear()

    def _longest(self, now: float) -> float:
        at = self._active_clock.seconds(now)
        return next((at - since for _, since in self._owed.values()), 0.0)


class RebuildBackoff:
    """Exponential backoff for rebuilding the live lane after losses."""

    def __init__(self, first_seconds: float = 30.0, most_seconds: float = 960.0) -> None:
        self._first = first_seconds
        self._most = most_seconds
        self._pause = first_seconds
        self._last: float | None = None

    def allows(self, now: float) -> bool:
        """Whether one may be made now; it counts as made when so."""
        if self._last is not None:
            waited = now - self._last
            if waited < self._pause:
                return False
            quiet = waited > 4 * self._pause
            self._pause = self._first if quiet else min(self._most, 2 * self._pause)
        self._last = now
        return True


class LossReport:
    """Rate limit of the log line about losses: at once, then once a minute with their sum."""

    SECONDS: Final = 60.0

    def __init__(self) -> None:
        self._untold = 0
        self._told_at: float | None = None

    def to_tell(self, healed: int, now: float) -> int:
        """Add losses; return how many to log now, 0 for none."""
        self._untold += healed
        if not self._untold or (self._told_at is not None and now - self._told_at < self.SECONDS):
            return 0
        told, self._untold, self._told_at = self._untold, 0, now
        return told


class LoadMeter:
    """Whether so much was sent on that Realtime's rate limit is the likely cause of a loss: it
    counts 100 a second over a minute, and then drops everything, which a new client only makes
    worse."""

    SECONDS: Final = 60.0
    CHANGES: Final = 3000

    def __init__(self) -> None:
        self._past: deque[tuple[float, int]] = deque()

    def note(self, now: float, total: int) -> None:
        """Note the number of changes sent so far."""
        self._past.append((now, total))
        while now - self._past[0][0] > self.SECONDS:
            self._past.popleft()

    @property
    def heavy(self) -> bool:
        """Whether it was that much within the last minute."""
        return bool(self._past) and self._past[-1][1] - self._past[0][1] >= self.CHANGES
