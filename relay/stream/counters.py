"""Counters and latency histograms, incremented once per batch and never per client. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from relay.stream.broker import Source
from relay.stream.change import Change

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Histogram:
    """How many observations fell up to each of `BOUNDS`, in seconds."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Add an observation; one below zero, where clocks differ, counts as zero."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(BOUNDS, seconds)] += times
        self.sum += seconds * times

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds with the number of observations up to them."""
        found, total = [], 0
        for bound, count in zip((*map(str, map(float, BOUNDS)), "+Inf"), self._counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Counters:
    """Counters since the start.

    Latencies begin at a row's `changed_at`, the time of the write by the database's clock: that is
    before the commit by as long as the transaction went on, and off by what the clocks differ.
    """

    def __init__(self) -> None:
        self.resets: Final = Counter[str]()
        self.deliveries: Final = Counter[str]()
        self.to_relay: Final = {source: Histogram() for source in Source}
        self.to_socket: Final = Histogram()

    def arrived(self, source: Source, changes: Iterable[Change], now: float) -> None:
        """New changes were published at `now`, in seconds since 1970."""
        histogram = self.to_relay[source]
        for change in changes:
            written = written_at(change)
            if written is not None:
                histogram.observe(now - written)


def written_at(change: Change) -> float | None:
    """The row's `changed_at` in seconds since 1970; None for a deletion, which has none."""
    try:
        return datetime.fromisoformat(change.changed_at or "").timestamp()
    except ValueError:
        return None
