"""A bounded window of integers that also knows its order."""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from bisect import bisect_left, insort
from collections.abc import Iterable

# Logarithms are kept as whole steps of 0.01 %: sums, medians and JSON are exact.
STEP = 1e-4


def clip(value: float, most: float) -> float:
    """Give the value, or `most` or -`most` where it lies beyond."""
    if value > most:
        return most
    return value if value > -most else -most


class Window:
    """The last `size` values in steps of STEP, oldest first in `values`, sorted in `ordered`."""

    __slots__ = ("ordered", "size", "values")

    def __init__(self, size: int, values: Iterable[int] = ()) -> None:
        self.size = size
        self.values = list(values)
        self.ordered = sorted(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def push(self, logarithm: float) -> None:
        """Round the logarithm to the grid and take it; the oldest goes when the window is full."""
        value, values, ordered = round(logarithm / STEP), self.values, self.ordered
        values.append(value)
        insort(ordered, value)
        if len(values) > self.size:
            del ordered[bisect_left(ordered, values.pop(0))]

    def replace(self, values: Iterable[int]) -> None:
        """Forget what is held and hold these, oldest first."""
        self.values = list(values)
        self.ordered = sorted(self.values)

    def median(self) -> float:
        """Give the median as a logarithm. Raises IndexError when the window is empty."""
        ordered = self.ordered
        count = len(ordered)
        return (ordered[(count - 1) // 2] + ordered[count // 2]) * STEP / 2


def packed(values: list[int]) -> str:
    """Give integers as text: base64 of 32 bits each, little-endian. JSON of them takes ten times
    as long, here and in the database."""
    return b64encode(_little_endian(array("i", values)).tobytes()).decode("ascii")


def unpacked(text: str) -> list[int]:
    """Give the integers of `packed`."""
    return _little_endian(array("i", b64decode(text))).tolist()


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
