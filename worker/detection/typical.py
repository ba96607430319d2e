"""Which input explains how much of an excess: an exact decomposition that adds up.

The logarithm of the ratio is a sum of the parts' deviations from what is usual; each takes its
share of the excess by the logarithmic mean of kg and expected kg (LMDI: Ang, Energy Policy 32,
2004), so nothing is left over. What no part explains is called "other".
"""

from __future__ import annotations

from typing import Any

from worker.detection.observation import Driver
from worker.detection.window import clip

STEP = 0.02  # least step of a typical value
SETTLED = 50  # observations from which on it is the step
CLIP = 0.3  # no single event moves one further than by this logarithm times its step

Parts = tuple[tuple[str, float], ...]


class Typical:
    """The usual value of each part, as a logarithm, and how often it was seen."""

    __slots__ = ("levels",)

    def __init__(self) -> None:
        self.levels: dict[str, list[Any]] = {}

    def learn(self, parts: Parts, by_inputs: float) -> None:
        """Move the usual values towards these, see `freed`."""
        levels = self.levels
        for name, value in parts:
            value -= by_inputs
            by_inputs = 0.0
            known = levels.get(name)
            if known is None:
                levels[name] = [value, 1]
                continue
            level, count = known
            known[1] = count = count + 1
            difference = value - level
            if count > 5:
                difference = clip(difference, CLIP)
            known[0] = level + (1 / count if count < SETTLED else STEP) * difference

    def drivers(
        self, parts: Parts, by_inputs: float, log_ratio: float, excess_kg: float
    ) -> tuple[Driver, ...]:
        """Divide an excess among the parts, the largest share first."""
        mean = excess_kg / log_ratio if log_ratio else 0.0
        found, rest = [], log_ratio
        for name, value in freed(parts, by_inputs):
            known = self.levels.get(name)
            if known is not None:
                rest -= value - known[0]
                found.append(Driver(name, value - known[0], (value - known[0]) * mean))
        found.append(Driver("other", rest, rest * mean))
        return tuple(sorted(found, key=lambda driver: -driver.kg))

    def state(self) -> dict[str, Any]:
        """Give what `restore` takes."""
        return {name: list(known) for name, known in self.levels.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take what `state` gave; nothing is shared with it."""
        self.levels = {name: list(known) for name, known in state.items()}


def freed(parts: Parts, by_inputs: float) -> Parts:
    """Take what weekday and slopes explain out of the first part, the one they speak of."""
    if not parts:
        return parts
    name, value = parts[0]
    return ((name, value - by_inputs), *parts[1:])
