"""What is compared: servers that send each row to all their clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from bench import usage

Publish = Callable[[int, float], Awaitable[None]]
Deliveries = Callable[[], Awaitable[int]]


@dataclass(frozen=True)
class Server:
    """A running contestant.

    `pid` and what descends from it are the processes whose use counts, `options` tell the load
    generator how to subscribe, `publish` sends so many rows at that rate (0: all at once).
    `deliveries` is what the server itself has counted, where it does.
    """

    port: int
    pid: int
    publish: Publish
    options: tuple[str, ...] = ()
    deliveries: Deliveries | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """Its processes, as they are now."""
        return usage.family(self.pid)


class Contestant(Protocol):
    """One that can be started; `joins` when it puts several rows into one write."""

    @property
    def name(self) -> str:
        """Its name in the tables."""

    @property
    def joins(self) -> bool:
        """Whether a burst of many rows costs it little more than one of few."""

    def lacking(self) -> str | None:
        """What has to be installed before it can run; None when nothing has."""

    def running(self) -> AbstractAsyncContextManager[Server]:
        """It, ready for clients, until the block ends."""
