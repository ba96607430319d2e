"""An attack in all ways at a steady rate."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

from bench.attack.attacker import Attacker
from bench.attack.ways import SHARES, Way
from bench.pace import due

MOST_AT_ONCE: Final = 5000
FOR_EVER: Final = 10**9


class Campaign:
    """Starts attacks at a fixed rate, cycling through the ways."""

    def __init__(
        self, attacker: Attacker, per_second: float, shares: Mapping[Way, int] = SHARES
    ) -> None:
        self._attacker = attacker
        self._per_second = per_second
        self._turn = [way for way, share in shares.items() for _ in range(share)]
        attacker.random.shuffle(self._turn)
        self._begun = Counter[str]()
        self._under_way: set[asyncio.Task[None]] = set()
        self._at_once = 0
        self._left_out = 0

    async def run(self, over: asyncio.Event) -> dict[str, object]:
        """Attack until it is over; what was done.

        Raises:
            ExceptionGroup: An attack went wrong by itself.
        """
        began = time.monotonic()
        async with asyncio.TaskGroup() as attacks:
            async for count in due(FOR_EVER, self._per_second):
                if over.is_set():
                    break
                for _ in range(count):
                    self._begin(attacks)
                self._at_once = max(self._at_once, len(self._under_way))
            seconds = time.monotonic() - began
            for attack in self._under_way:
                attack.cancel()
        return {
            "seconds": seconds,
            "begun": self._begun,
            "at_once": self._at_once,
            "left_out": self._left_out,
            "unable": self._attacker.unable,
        }

    def _begin(self, attacks: asyncio.TaskGroup) -> None:
        if len(self._under_way) >= MOST_AT_ONCE:
            self._left_out += 1
            return
        way = self._turn[self._begun.total() % len(self._turn)]
        self._begun[way.__name__] += 1
        attack = attacks.create_task(_one(way, self._attacker), name=way.__name__)
        self._under_way.add(attack)
        attack.add_done_callback(self._under_way.discard)


async def _one(way: Way, attacker: Attacker) -> None:
    with contextlib.suppress(OSError, TimeoutError):  # the relay may end it when it likes
        await way(attacker)
