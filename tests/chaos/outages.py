"""When a change has to be there at the latest. Pure.

A fault that takes the database or its REST interface away covers what was committed before it is
over: the bound counts from its end, and from the end of the next one that began within the bound.
Whatever Realtime does covers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outages:
    """The times at which changes could not be read, in the order of their beginnings; `bound` is
    how long a change may take otherwise, `recovery` what the relays need more after an outage."""

    bound: float
    recovery: float
    _windows: list[list[float]] = field(default_factory=list)

    def begin(self, now: float) -> list[float]:
        """An outage begins; pass what is returned to `end`."""
        window = [now, float("inf")]
        self._windows.append(window)
        return window

    def end(self, window: list[float], now: float) -> None:
        """It is over."""
        window[1] = now

    def counts_from(self, since: float) -> float:
        """From when on the time of a change counts that could have been sent at `since`."""
        found = since
        for start, end in self._windows:
            if end >= since and start <= found + self.bound and end + self.recovery > found:
                found = end + self.recovery
        return found
