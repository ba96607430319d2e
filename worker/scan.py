"""One scan: claim, predict, judge and commit, batch after batch, until nothing is pending."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from worker.advice import Advisor
from worker.database import Database, Lease
from worker.detection.observation import Rules
from worker.errors import BatchGone, EpisodeChanged, LeaseLost, WorkerError
from worker.findings import Findings
from worker.held import HeldKeys
from worker.judge import judge, read_events
from worker.kilograms.calculate import Prediction
from worker.kilograms.energy import Basis
from worker.predictions import Outcome, Predictor
from worker.readings import Reader
from worker.rebuild import Passes
from worker.recompute import Recomputer
from worker.suppliers import Suppliers

logger = logging.getLogger(__name__)

MAX_BATCH_BYTES = 1_000_000
CONFLICTS_IN_A_ROW = 10  # so many mean a defect, not a busy person
# A start under way when told to stop: its answer would come by then, a lease without one runs out.
LAST_START_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class ScanOptions:
    """How to scan: the holder names this process, times are in seconds."""

    holder: UUID
    lease_seconds: int
    batch_events: int
    rules: Rules
    predictor: Predictor
    truck_classes: Sequence[tuple[str, Decimal]]
    recomputer: Recomputer
    reader: Reader
    basis: Basis
    wall: Callable[[], float] | None  # epoch seconds; None: the newest event time is the clock
    advisor: Advisor = field(default_factory=Advisor)  # read at the start of each scan

    def passes(self, database: Database, held: HeldKeys) -> Passes:
        """Give the passes that a scan makes beside its batches."""
        return Passes(
            database=database,
            lease_seconds=self.lease_seconds,
            rules=self.rules,
            wall=self.wall,
            reader=self.reader,
            held=held,
            advisor=self.advisor,
        )


@dataclass(slots=True)
class Summary:
    """What a scan did. `outcome` is done, idle, held, lost or stopped."""

    outcome: str
    scan: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    detail: str = ""

    @property
    def routine(self) -> bool:
        """Whether it changed nothing that anybody would look for in a log."""
        changed = any(
            self.counts[name] for name in ("failed", "quarantined", "opened", "resolved", "alerts")
        )
        return self.outcome in ("idle", "held", "done") and not changed

    def __str__(self) -> str:
        match self.outcome:
            case "idle":
                return "nothing to do"
            case "held":
                return f"another scan is running: {self.detail}"
            case "stopped" if self.scan is None:
                return "stopped before a scan began"
        counts = " ".join(f"{name}={self.counts[name]}" for name in COUNTED)
        text = f"scan {self.scan} {self.outcome}: {counts} seconds={self.seconds:.1f}"
        if number := self.counts["quarantined"]:
            text += (
                f"; {number} implausible events are held, see `python -m worker quarantine list`"
            )
        if number := self.counts["country_assumed"]:
            text += (
                f"; {number} events without a country are computed with the world's average grid, "
                "set GRID_COUNTRY"
            )
        return text


COUNTED = (
    "events",
    "quarantined",
    "failed",
    "predictions",
    "opened",
    "updated",
    "resolved",
    "alerts",
    "notices",
    "recommendations",
    "recomputed",
    "rebuilt",
)


async def scan(database: Database, plan: ScanOptions, reason: str, stop: asyncio.Event) -> Summary:
    """Work off what is pending; after `stop` is set the batch in flight is still committed.

    Raises Unavailable or Rejected after giving the lease back where that is possible.
    """
    began = time.monotonic()
    answer = await _started(database, plan, reason, stop)
    if answer is None:
        return Summary("stopped")
    if answer["status"] == "held":
        detail = f"{answer['holder']} has the lease until {answer['until']}"
        return Summary("held", detail=detail)
    if answer["status"] == "idle":
        return Summary("idle")
    lease = Lease(plan.holder, answer["token"])
    summary = Summary("done", answer["scan"], Counter(dict.fromkeys(COUNTED, 0)))
    try:
        rules = await database.select("advice_rules", "id", enabled=True)
        plan = replace(plan, advisor=Advisor.of(rules, plan.basis))
        if await plan.recomputer.run(database, lease, plan.lease_seconds, summary.counts, stop):
            summary.outcome = await _work_off(database, plan, lease, summary.counts, stop)
        else:
            summary.outcome = "stopped"
    except LeaseLost as exc:
        logger.warning("scan %s ends: %s", summary.scan, exc)
        summary.outcome = "lost"
        return summary
    except WorkerError as exc:
        await _give_back(database, lease, summary.counts, str(exc))
        raise
    finally:
        summary.seconds = time.monotonic() - began
    error = (
        "stopped on request; the rest is left to the next scan"
        if summary.outcome == "stopped"
        else None
    )
    await _finish(database, lease, summary.counts, error)
    return summary


async def _started(
    database: Database, plan: ScanOptions, reason: str, stop: asyncio.Event
) -> dict[str, Any] | None:
    """Start a scan; None when `stop` is set while that is still being tried."""
    starting = asyncio.ensure_future(database.start_scan(plan.holder, plan.lease_seconds, reason))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({starting}, timeout=LAST_START_SECONDS)
        return starting.result() if starting.done() else None
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)


async def _work_off(
    database: Database, plan: ScanOptions, lease: Lease, counts: Counter[str], stop: asyncio.Event
) -> str:
    conflicts = 0
    held = HeldKeys()
    passes = plan.passes(database, held)
    rebuilds_wanted = True  # another scan, or a person, may have asked for some
    while not stop.is_set():
        # A past is folded anew before the next batch that may touch its key.
        if rebuilds_wanted and await passes.rebuild(lease, counts, drained=False):
            continue
        rebuilds_wanted = False
        claimed = await database.claim_events(
            lease, plan.lease_seconds, plan.batch_events, MAX_BATCH_BYTES
        )
        counts["quarantined"] += claimed["quarantined"]  # for their size, unread
        if claimed["batch"] is None:
            return await _settle(database, passes, lease, counts, stop)
        try:
            committed = await _commit(database, plan, lease, claimed, held)
            counts.update(committed)
            rebuilds_wanted = bool(committed["rebuilds"])
            conflicts = 0
        except BatchGone:
            conflicts += 1
            if conflicts >= CONFLICTS_IN_A_ROW:
                raise
    return "stopped"


async def _settle(
    database: Database, passes: Passes, lease: Lease, counts: Counter[str], stop: asyncio.Event
) -> str:
    """Do what waits for the end of the queue."""
    while await passes.rebuild(lease, counts, drained=True):
        if stop.is_set():
            return "stopped"
    await passes.look_after_silence(lease, counts)
    cooldown = passes.rules.cooldown_seconds
    counts.update(await database.announce_open_episodes(lease, passes.now(), cooldown))
    return "done"


async def _commit(
    database: Database, plan: ScanOptions, lease: Lease, claimed: dict[str, Any], held: HeldKeys
) -> dict[str, int]:
    """Judge and commit a batch, again as often as somebody changes its episodes meanwhile."""
    events, set_aside = read_events(claimed["events"])
    suppliers = Suppliers(claimed["suppliers"], plan.truck_classes)
    outcomes = await plan.predictor.predict(events, suppliers)
    state, known = claimed, held.take(event.key for event in events)
    if known is None:
        state = await database.batch_state(claimed["batch"])
    for _ in range(CONFLICTS_IN_A_ROW):
        now = None if plan.wall is None else plan.wall()
        findings = Findings(state, plan.rules, now, known, plan.advisor)
        result = judge(events, outcomes, set_aside, findings, plan.reader)
        result["suppliers"] = suppliers.rows()
        try:
            counts = await database.commit_batch(lease, claimed["batch"], result)
        except EpisodeChanged as exc:
            logger.info("judging again: %s", exc)
            state, known = await database.batch_state(claimed["batch"]), None
            continue
        held.put(findings.watched())
        return counts | {"country_assumed": _without_country(outcomes)}
    raise BatchGone(f"batch {claimed['batch']}: its episodes keep changing")


def _without_country(outcomes: Sequence[Outcome]) -> int:
    return sum(
        isinstance(outcome, Prediction) and "country_assumed" in outcome.flags
        for outcome in outcomes
    )


async def _finish(
    database: Database, lease: Lease, counts: Counter[str], error: str | None
) -> None:
    try:
        await database.finish_scan(lease, counts, error)
    except LeaseLost:
        # Everything is committed. The lease ran out meanwhile, or this is the repetition of a call
        # whose answer was lost.
        logger.debug("the lease was gone at the end of the scan")


async def _give_back(database: Database, lease: Lease, counts: Counter[str], error: str) -> None:
    """Finish a failed scan if the database still answers; else the lease runs out by itself."""
    try:
        await _finish(database, lease, counts, error[:500])
    except WorkerError as exc:
        logger.warning("the scan could not be ended: %s", exc)
