"""How long this process has been running, without the time in which it stood still: stopped by a
signal, on a laptop that slept, or starved. What arrived meanwhile waits unread in the socket, so
such time proves nothing against who sent it. Pure: the caller brings the time."""

from typing import Final

LONGEST_STEP_SECONDS: Final = 2.5


class Awake:
    """Has to be asked more often than each `LONGEST_STEP_SECONDS`: what is beyond that between
    two times does not count."""

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
        """What has gone by since the last call does not count."""
        self._asked_at = now
