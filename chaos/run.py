"""One run: the schedule worked off on the stage, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from chaos.clients import Rows
from chaos.faults import ACTS
from chaos.holdings import Lost, lost_events, lost_rows
from chaos.schedule import Planned, Use
from chaos.stage import Stage, watched
from chaos.verdict import Evidence, Verdict, judge

READY_SECONDS = 90.0  # three times the longest pause before a client reconnects
QUIET_SECONDS = 2.0  # the writers go on so long after the last fault
LOOK_SECONDS = 0.5
REVIVE_SECONDS = 1.0
PROGRESS_SECONDS = 15.0
Say = Callable[[str], None]


class Run:
    """Runs the planned faults on a stage; `say` is called with the progress."""

    def __init__(self, stage: Stage, say: Say) -> None:
        self._stage = stage
        self._say = say
        self._began = time.monotonic()
        self._alone = asyncio.Lock()
        self._pressure = Pressure()
        self.uses: list[Use] = []

    async def work_off(self, planned: Sequence[Planned], asked: Mapping[str, int]) -> Verdict:
        """Use every fault at its time, let everybody get what is missing, and judge."""
        self._began = time.monotonic()
        parts = {"reviving": self._revive(), "progress": self._progress()}
        async with watched(parts), asyncio.TaskGroup() as tasks:
            for each in planned:
                await asyncio.sleep(max(0.0, self._began + each.start - time.monotonic()))
                tasks.create_task(self._use(each), name=each.kind.name)
        await asyncio.sleep(QUIET_SECONDS)
        return await self.conclude(asked)

    async def conclude(self, asked: Mapping[str, int]) -> Verdict:
        """Stop writing, let everybody get what is missing, and judge."""
        stage = self._stage
        async with stage.writers.paused():
            lost = await self._drained()
            return judge(
                Evidence(
                    seconds=time.monotonic() - self._began,
                    clients=len(stage.clients),
                    relays=len(stage.relays),
                    bound=stage.size.bound,
                    ledger=stage.ledger,
                    incidents=stage.incidents,
                    arrivals=stage.arrivals,
                    uses=self.uses,
                    lost=lost,
                    in_doubt=stage.writers.in_doubt,
                    waiting=self._pressure.share(),
                    withheld=stage.plain.withheld,
                    asked=asked,
                )
            )

    async def _use(self, planned: Planned) -> None:
        async with contextlib.AsyncExitStack() as stack:
            if planned.kind.alone:  # one of the sort may take longer than it was planned
                await stack.enter_async_context(self._alone)
            use = Use(planned, time.monotonic())
            self.uses.append(use)
            await stack.enter_async_context(self._covering(planned.kind.outage))
            use.done = await ACTS[planned.kind.name](self._stage, planned.seconds, planned.options)
            use.end = time.monotonic()
        if planned.kind.epoch:
            self._note_history(time.monotonic() + self._stage.size.bound)
        self._tell(_use_in_words(use, len(self._stage.ledger.committed(use.start, use.end))))

    @contextlib.asynccontextmanager
    async def _covering(self, outage: bool) -> AsyncIterator[None]:
        """What takes the database away covers changes until it can be read again."""
        if not outage:
            yield
            return
        outages = self._stage.outages
        window = outages.begin(time.monotonic())
        yield
        await self._stage.project.reads()
        outages.end(window, time.monotonic())

    def _note_history(self, at: float) -> None:
        """By then every relay knows that the database has another history."""
        for client in self._stage.clients:
            if isinstance(client.format, Rows):
                client.format.history_at = at

    async def _drained(self) -> list[Lost]:
        """Return what clients lack some time after all reconnected and writing stopped."""
        await self._stage.all_ready(READY_SECONDS)
        deadline = time.monotonic() + self._stage.size.drain
        while time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            if not any(self._lost()):
                return []
        return list(self._lost())

    def _lost(self) -> Iterator[Lost]:
        ledger = self._stage.ledger
        for client in self._stage.clients:
            held = client.format.application.held
            if isinstance(client.format, Rows):
                history_at = client.format.history_at
                since = history_at if client.format.opened_at < history_at else 0.0
                yield from lost_rows(client.name, client.wanted, held, ledger, since)
            else:
                yield from lost_events(client.name, client.wanted, held, ledger)

    async def _revive(self) -> NoReturn:
        """Plain subscribers that are silent because of a fault that is over are replaced, so that
        the next ones find somebody to withhold from."""
        while True:
            await asyncio.sleep(REVIVE_SECONDS)
            now = time.monotonic()
            began = [
                use.start for use in self.uses if use.planned.kind.withholds and use.until > now
            ]
            self._stage.plain.replace_silent(before=min(began, default=now))

    async def _progress(self) -> NoReturn:
        told = 0
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            stage = self._stage
            for words in stage.incidents.words[told:]:
                self._tell(words)
            told = len(stage.incidents.words)
            ready = sum(client.ready for client in stage.clients)
            self._tell(
                f"{len(stage.ledger)} changes committed, {ready} of {len(stage.clients)} clients up"
                f" to date, {stage.arrivals.count} deliveries,"
                f" {stage.incidents.violations().total()} violations, {stage.arrivals.late} late"
            )

    def _tell(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._began:7.1f}  {text}")


def _use_in_words(use: Use, committed: int) -> str:
    planned = use.planned
    options = "".join(f" {name}={value}" for name, value in planned.options.items())
    effect = "" if use.done else ", without effect"
    return f"{planned.kind.name}{options}: {use.end - use.start:.1f} s, {committed} changes{effect}"


SOURCE = Path("/proc/pressure/cpu")


class Pressure:
    """Since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = _waited()

    def share(self) -> float | None:
        """Share of the time in which a task waited for a processor; None if unknown."""
        now = _waited()
        if now is None or self._before is None:
            return None
        return min(1.0, (now - self._before) / (time.monotonic() - self._began))


def _waited() -> float | None:
    try:
        found = re.search(r"some .*total=(\d+)", SOURCE.read_text())
    except OSError:
        return None
    return int(found[1]) / 1_000_000 if found else None
