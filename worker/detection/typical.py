"""What is usual for each part of ln(kg / activity): its deviation explains a part of an excess."""

from __future__ import annotations

from typing import Any

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

    def deviations(self, parts: Parts, by_inputs: float) -> Parts:
        """Give how far parts lie from what is usual, as far as that is known."""
        levels = self.levels
        freed_parts = freed(parts, by_inputs)
        return tuple(
            [(name, value - levels[name][0]) for name, value in freed_parts if name in levels]
        )

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
