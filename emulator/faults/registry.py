"""Which faults are on, for how long or how often, and what each has done."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.faults.kinds import KINDS, InvalidFault, options

REMEMBERED = 100  # ended faults
HIGHEST_SECONDS = 86_400
HIGHEST_COUNT = 10_000_000


@dataclass(slots=True)
class Fault:
    """One fault. `hits` counts what it happened to: changes, sockets or requests."""

    id: int
    name: str
    options: Mapping[str, Any]
    until: float | None
    left: int | None
    hits: int = 0
    ended: bool = False

    def shown(self) -> dict[str, Any]:
        """The fault as the control endpoint shows it."""
        return {
            "id": self.id,
            "name": self.name,
            **self.options,
            "left": self.left,
            "hits": self.hits,
            "ended": self.ended,
        }


@dataclass
class Faults:
    """The faults of one emulator; every method may be called from any thread.

    `lost` counts changes that nobody was told about, by cause, without switched-on faults too.
    """

    clock: Callable[[], float] = time.monotonic
    lost: Counter[str] = field(default_factory=Counter)
    _running: dict[int, Fault] = field(default_factory=dict)
    _ended: deque[Fault] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _told: list[Callable[[], object]] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _number: int = 0

    def start(
        self, name: str, /, *, seconds: float | None = None, count: int | None = None, **given: Any
    ) -> Fault:
        """Switch a fault on: for a time, for so many hits, until stopped. Raises InvalidFault."""
        chosen = options(name, given)
        _check("seconds", seconds, HIGHEST_SECONDS)
        _check("count", count, HIGHEST_COUNT)
        if count is not None and not isinstance(count, int):
            raise InvalidFault(f"count is {count!r}; it takes a whole number")
        with self._lock:
            self._number += 1
            until = None if seconds is None else self.clock() + seconds
            fault = Fault(self._number, name, chosen, until, count)
            self._running[fault.id] = fault
        self._tell()
        return fault

    def stop(self, fault: Fault) -> None:
        """Switch it off, if it is still on."""
        with self._lock:
            self._end(fault)
        self._tell()

    def clear(self) -> None:
        """Switch everything off."""
        with self._lock:
            for fault in [*self._running.values()]:
                self._end(fault)
        self._tell()

    @contextlib.contextmanager
    def during(self, name: str, /, **given: Any) -> Iterator[Fault]:
        """Switched on within the block."""
        fault = self.start(name, **given)
        try:
            yield fault
        finally:
            self.stop(fault)

    def find(self, number: int) -> Fault | None:
        """The fault with that id, unless it ended long ago."""
        with self._lock:
            ended = next((fault for fault in self._ended if fault.id == number), None)
            return self._running.get(number, ended)

    def active(self, *names: str) -> list[Fault]:
        """Those of these names that are on now, oldest first."""
        with self._lock:
            now = self.clock()
            for fault in [*self._running.values()]:
                if fault.until is not None and fault.until <= now:
                    self._end(fault)
            return [fault for fault in self._running.values() if fault.name in names]

    def all(self) -> list[Fault]:
        """All that are remembered, those that are on last."""
        with self._lock:
            self.active()
            return [*self._ended, *self._running.values()]

    def hit(self, fault: Fault, wanted: int = 1) -> int:
        """Count up to `wanted` hits, as many as are left; how many those were."""
        with self._lock:
            if fault.ended:
                return 0
            hits = wanted if fault.left is None else min(wanted, fault.left)
            fault.hits += hits
            if fault.left is not None:
                fault.left -= hits
                if fault.left == 0 and not KINDS[fault.name].lasts:
                    self._end(fault)
        if fault.ended:
            self._tell()
        return hits

    def next_end(self) -> float | None:
        """When the first of them ends by time, on the clock."""
        with self._lock:
            ends = [fault.until for fault in self._running.values() if fault.until is not None]
            return min(ends, default=None)

    def on_change(self, tell: Callable[[], object]) -> Callable[[], None]:
        """Call `tell` whenever one starts or ends otherwise than by time, in that thread.

        What is returned ends that.
        """
        self._told.append(tell)
        return lambda: self._told.remove(tell)

    def _end(self, fault: Fault) -> None:
        if self._running.pop(fault.id, None) is not None:
            fault.ended = True
            self._ended.append(fault)

    def _tell(self) -> None:
        for tell in [*self._told]:
            tell()


def _check(name: str, value: float | None, highest: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= highest:
        raise InvalidFault(f"{name} is {value!r}; it takes a number over 0, at most {highest:g}")


def sorts() -> dict[str, str]:
    """What each fault does, by name."""
    return {name: kind.says for name, kind in KINDS.items()}
