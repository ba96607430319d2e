"""How long changes take to reach the clients. Pure: the caller brings the time."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from chaos.application import Taken
from chaos.ledger import Identity, Ledger, Version
from chaos.subscriptions import Subscription


@dataclass
class Outages:
    """When a change has to arrive at the latest, given the times at which changes cannot be read.

    A fault that takes the database or its REST interface away covers what was committed before it
    is over: the bound counts from its end, and from the end of the next one that began within the
    bound. Faults of Realtime cover nothing.

    Args:
        bound: Seconds that a change may take otherwise.
        recovery: Seconds that the relays need in addition after an outage.
    """

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


KEPT = 2000
SLOW_SECONDS = 0.5  # quicker ones are counted and not looked at more closely


@dataclass(frozen=True, slots=True, order=True)
class Delay:
    """A version that took so many seconds, and who waited for it."""

    seconds: float
    version: Version = field(compare=False)
    client: str = field(compare=False)
    at: float = field(compare=False)


@dataclass
class Arrivals:
    """Counts all, and keeps the slowest ones."""

    ledger: Ledger
    outages: Outages
    count: int = 0
    late: int = 0
    slowest: list[Delay] = field(default_factory=list)
    _unknown: set[Identity] = field(default_factory=set)

    def took(
        self,
        client: str,
        wanted: Subscription,
        taken: Taken,
        ready_at: float,
        now: float,
        *,
        ends: bool,
    ) -> None:
        """A client that has had all that it missed since `ready_at` takes a version.

        A version that is skipped took as long as the newer one that stands for it. `ends`: the
        client is told when a row leaves its filter.
        """
        self.count += 1
        table = wanted.table
        if self.ledger.version(table, taken.id, taken.version) is None:
            self._unknown.add((table, taken.id, taken.version))  # its commit is not known yet
        before = self.ledger.version(table, taken.id, taken.after)
        held = before is not None and _matches(before, wanted)
        versions = self.ledger.between(table, taken.id, taken.after, taken.version)
        for version in owed(versions, wanted, ready_at, held=held, ends=ends):
            since = max(version.committed, ready_at)
            if now - since < SLOW_SECONDS:
                continue
            seconds = now - self.outages.counts_from(since)
            if seconds < SLOW_SECONDS:
                continue
            self.late += seconds > self.outages.bound
            insort(self.slowest, Delay(seconds, version, client, now))
            if len(self.slowest) > KEPT:
                del self.slowest[0]

    def worst(self, start: float, end: float) -> float:
        """Seconds that the slowest of the versions committed in that time took."""
        found = [delay.seconds for delay in self.slowest if start <= delay.version.committed <= end]
        return max(found, default=0.0)

    def never_committed(self) -> list[Identity]:
        """What arrived and is not in the ledger even now, nor among what a writer saw fail."""
        return sorted(each for each in self._unknown if not self.ledger.knows(*each))


def owed(
    versions: Sequence[Version], wanted: Subscription, ready_at: float, *, held: bool, ends: bool
) -> Iterator[Version]:
    """Those of a row's versions that a client has to get: what matches, and what ends that.

    Of what was there before it was ready that is only the last; what was being committed then may
    have been there. Bare rows owe less: nothing of the
    time before, and nothing that a row was before it left the filter for a while, since its end is
    not told.
    """
    before = sum(version.sent <= ready_at for version in versions)
    if not ends:
        known = sum(version.committed <= ready_at for version in versions)
        yield from _last_matching(versions[known:], wanted)
        return
    for version in versions[max(0, before - 1) :]:
        matches = _matches(version, wanted)
        if matches or held:
            yield version
        held = matches


def _last_matching(versions: Sequence[Version], wanted: Subscription) -> Iterator[Version]:
    return takewhile(lambda version: _matches(version, wanted), reversed(versions))


def _matches(version: Version, wanted: Subscription) -> bool:
    return version.row is not None and wanted.matches(version.row)
