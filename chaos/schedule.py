"""Which fault when: worked out from a seed before the run. Pure.

First one after the other, each alone and with a pause to recover in; then in rounds, each of which
has all of them in another order, several at a time. In a run that is long enough each comes three
times at least, by construction; in a shorter one as many as there is time for.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.catalog import KINDS, Kind, Options

LEAD_SECONDS = 4.0
PAUSE_SECONDS = 4.0  # after each one that is alone
GAP_SECONDS = 1.0  # between those of one lane
SETTLE_SECONDS = 12.0
LANES = 3
ALONE_SHARE = 0.6  # of a run that is too short for each of them
LONGEST_SHARE = 0.2  # of the run, for one fault


@dataclass(frozen=True)
class Planned:
    """One use of a fault, in seconds from the beginning of the run."""

    start: float
    seconds: float
    kind: Kind
    options: Options

    @property
    def end(self) -> float:
        """When it ends."""
        return self.start + self.seconds


def plan(seed: int, seconds: float, kinds: Mapping[str, Kind] = KINDS) -> list[Planned]:
    """What a run of so many seconds does, in the order of the beginnings."""
    chance = random.Random(seed)
    last = seconds - SETTLE_SECONDS
    names = sorted(kinds)
    chance.shuffle(names)
    planned: list[Planned] = []
    now = LEAD_SECONDS
    whole = sum(_longest(kinds[name], seconds) + PAUSE_SECONDS for name in names)
    until = last if whole < 0.4 * last else ALONE_SHARE * last
    for name in names:
        use = _use(chance, kinds[name], now, seconds)
        if use.end + PAUSE_SECONDS > until:
            continue
        planned.append(use)
        now = use.end + PAUSE_SECONDS
    planned += _overlapping(chance, kinds, now, last, seconds)
    return sorted(planned, key=lambda use: use.start)


def _overlapping(
    chance: random.Random, kinds: Mapping[str, Kind], begin: float, last: float, seconds: float
) -> list[Planned]:
    planned: list[Planned] = []
    free = [begin] * LANES
    alone_free = begin
    while True:
        names = sorted(kinds)
        chance.shuffle(names)
        fitted = False
        for name in names:
            lane = min(range(LANES), key=lambda number: free[number])
            kind = kinds[name]
            start = max(free[lane], alone_free if kind.alone else 0.0)
            use = _use(chance, kind, start + chance.uniform(0, GAP_SECONDS), seconds)
            if use.end > last:
                continue
            planned.append(use)
            fitted = True
            free[lane] = use.end + GAP_SECONDS
            if kind.alone:
                alone_free = use.end + PAUSE_SECONDS
        if not fitted:
            return planned


def _use(chance: random.Random, kind: Kind, start: float, seconds: float) -> Planned:
    shortest, longest = kind.seconds
    lasts = min(chance.uniform(shortest, longest), max(LONGEST_SHARE * seconds, 2.0))
    return Planned(round(start, 2), round(lasts, 2), kind, kind.choose(chance))


def _longest(kind: Kind, seconds: float) -> float:
    return min(kind.seconds[1], max(LONGEST_SHARE * seconds, 2.0))


def alone(planned: Sequence[Planned]) -> set[str]:
    """The faults that come at least once without any other beside them."""
    return {
        use.kind.name
        for use in planned
        if not any(
            other is not use and other.start < use.end and use.start < other.end
            for other in planned
        )
    }


def uses(planned: Sequence[Planned]) -> dict[str, int]:
    """How often each fault comes."""
    found: dict[str, int] = {}
    for use in planned:
        found[use.kind.name] = found.get(use.kind.name, 0) + 1
    return found


AFTER_SECONDS = 2.0  # what comes of a fault may come as long after its end


@dataclass
class Use:
    """One use; times in seconds of the run's clock. `done`: it met something."""

    planned: Planned
    start: float
    end: float = float("inf")
    done: bool = False

    @property
    def until(self) -> float:
        """Up to when things are counted as of this fault."""
        return self.end + AFTER_SECONDS
