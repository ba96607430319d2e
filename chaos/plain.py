"""Plain subscribers beside the relays: what they were told of, and so what Realtime withheld."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import NoReturn

from chaos.children import PROJECT
from chaos.ledger import Identity, Ledger, Version
from chaos.subscriber import LANES, READY
from emulator.parent_death import die_with_us

SILENT_SECONDS = 3.0
LOOK_SECONDS = 0.5
START_SECONDS = 15.0
POLL_SECONDS = 1.0


class Subscriber:
    """One of them, on one lane; its own application would not notice that it is dead, we do."""

    def __init__(self, lane: str, environment: dict[str, str]) -> None:
        self.lane = lane
        self.told: set[Identity] = set()
        self.ready = False
        self.started_at = self.told_at = 0.0
        self._environment = {"PATH": os.defpath, "PYTHONUNBUFFERED": "1", **environment}
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> NoReturn:
        """Follow; start again when it ends or is replaced."""
        while True:
            self.ready, self.started_at = False, time.monotonic()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "chaos.subscriber", self.lane),
                cwd=PROJECT,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_us(signal.SIGKILL),
            )
            try:
                await self._read()
            finally:
                self.replace()
                await self._process.wait()

    def replace(self) -> None:
        """Begin with a fresh one."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            words = line.decode().split()
            if words[0] == READY:
                self.ready, self.told_at = True, time.monotonic()
            elif len(words) == 3 and words[1].isdigit():
                self.told.add((words[0], int(words[1]), int(words[2])))
                self.told_at = time.monotonic()


class Plain:
    """One subscriber for each lane."""

    def __init__(self, environment: dict[str, str], ledger: Ledger) -> None:
        self.subscribers = [Subscriber(lane, environment) for lane in LANES]
        self._ledger = ledger

    async def run(self) -> NoReturn:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for subscriber in self.subscribers:
                tasks.create_task(subscriber.run())
        raise RuntimeError("the subscribers ended")

    async def hear(self) -> None:
        """Return when all are subscribed, or after a timeout."""
        deadline = time.monotonic() + START_SECONDS
        while not all(self._hears(each) for each in self.subscribers):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def replace_silent(self, before: float) -> None:
        """Replace those who hear nothing although something is written, and heard nothing any more
        `before` that time."""
        for each in self.subscribers:
            waited = time.monotonic() - each.started_at > START_SECONDS / 3
            if each.told_at < before and waited and not self._hears(each):
                each.replace()

    def withheld(self, versions: Iterable[Version]) -> int:
        """How many of them one of the lanes did not tell. Left out are deletions, which one lane
        tells without a version, and what was deleted before a poll could read it."""
        return sum(
            1
            for each in versions
            if any((each.table, each.id, each.version) not in s.told for s in self.subscribers)
            and each.row is not None
            and not self._gone_soon(each)
        )

    def _gone_soon(self, version: Version) -> bool:
        newest = self._ledger.newest(version.table)[version.id]
        return newest.row is None and newest.committed - version.committed < POLL_SECONDS

    def _hears(self, subscriber: Subscriber) -> bool:
        if not subscriber.ready:
            return False
        now = time.monotonic()
        written = self._ledger.committed(now - SILENT_SECONDS, now - SILENT_SECONDS / 2)
        return not written or now - subscriber.told_at < SILENT_SECONDS
