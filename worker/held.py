"""The keys that a scan holds in memory between its batches.

Under the lease nobody else writes detectors, so what a batch has stored need not be read for the
next one: that was a third of a scan's processor time. What people change, episodes and words, comes
with each claim. A key is taken out while it is judged and put back when its commit has succeeded;
whatever goes wrong on the way, it is read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from worker.events import Key
from worker.watched import WatchedKey

MOST_KEYS = 2000  # of some 25 kB each


class HeldKeys:
    """Keys as one lease has stored them, those that were used last."""

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        self._keys: dict[Key, WatchedKey] = {}
        self._written: set[Key] = set()  # under this lease: a claim leaves out their state

    def take(self, keys: Iterable[Key]) -> dict[Key, WatchedKey] | None:
        """Take these keys out, as far as they are held; None when one has to be read again."""
        taken: dict[Key, WatchedKey] = {}
        complete = True
        for key in set(keys):
            held = self._keys.pop(key, None)
            if held is not None:
                taken[key] = held
            elif key in self._written:
                complete = False
        return taken if complete else None

    def put(self, keys: Mapping[Key, WatchedKey]) -> None:
        """Hold keys that have just been stored."""
        for watched in keys.values():
            watched.stored()
        self._keys.update(keys)
        self._written.update(keys)
        for key in list(self._keys)[: -self._most]:
            del self._keys[key]

    def forget(self, key: Key) -> None:
        """Let go of a key that this lease has written otherwise."""
        self._keys.pop(key, None)
        self._written.add(key)
