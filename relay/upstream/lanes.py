"""Which of Realtime's two lanes to listen on. Pure: the caller brings the time.

Broadcast is 250 times as fast, but needs our triggers, a function of Realtime's and a policy; and
either lane may fall silent while the other one works. Whenever lanes change catch-up reads what
came in between, so nothing is missed.
"""

import enum
from typing import Final

FIRST_PAUSE_SECONDS: Final = 60.0
LONGEST_PAUSE_SECONDS: Final = 900.0


class Lane(enum.StrEnum):
    """How changes arrive live."""

    BROADCAST = "broadcast"
    POSTGRES_CHANGES = "postgres_changes"


AUTO: Final = "auto"


class Lanes:
    """The lane that is wanted; `mode` is auto or the name of one."""

    def __init__(self, mode: str) -> None:
        self._only = None if mode == AUTO else Lane(mode)
        self._pause = FIRST_PAUSE_SECONDS
        self._broadcast_from = 0.0  # until then it is not tried

    def wanted(self, now: float) -> Lane:
        """The one to listen on."""
        if self._only is not None:
            return self._only
        return Lane.BROADCAST if now >= self._broadcast_from else Lane.POSTGRES_CHANGES

    def unproven(self, lane: Lane, now: float) -> None:
        """The lane did not prove itself, or lost changes: the other one is for a while the better
        one, for longer each time."""
        if lane is Lane.BROADCAST:
            self._broadcast_from = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        else:
            self._broadcast_from = now

    def proven(self, lane: Lane) -> None:
        """The lane works."""
        if lane is Lane.BROADCAST:
            self._pause = FIRST_PAUSE_SECONDS
