"""Catch-up: reads from the database what changed since the last run, and loses nothing.

Rules: once at start, which only takes the snapshot to begin from; then every `period` seconds from
beginning to beginning while the live lane is proven, every second while it is not or owes
something, and at once when asked (the database having been away, the lane proves itself anew); but
never for more than half of the time, unless one takes longer than a period. Each run pages up to
the snapshot of its first page; one that fails on the way is continued from there. Its snapshot
becomes that of cursors as soon as a beat vouches for it, which is written when the run brought
something, and now and then. A table that is locked is left behind, and read by itself from then on
until it has caught up. The loop ends only when it is cancelled.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, Protocol

from relay.errors import KeyRefused, Unavailable
from relay.logs import FailureLog
from relay.stream.broker import Broker, Source, Suspect
from relay.stream.change import BY_NUMBER, Change
from relay.stream.snapshot import Seqs, Snapshot, common
from relay.upstream.heartbeat import Heartbeat
from relay.upstream.loss import LossDetector
from relay.upstream.rest import PAGE, Page, Rest
from relay.upstream.state import UpstreamStatus

logger = logging.getLogger(__name__)

UNPROVEN_SECONDS: Final = 1.0
# Incomplete live rows ask for a run each; a flood of them must not turn into a flood of requests.
LEAST_PAUSE_SECONDS: Final = 0.02
CHUNK_ROWS: Final = 250
# A page is parsed in one go, in 10 ms a thousand rows, while everybody waits. Only a backlog is
# worth large ones, which cost less for each row.
SMALL_PAGES, SMALL_PAGE = 8, 200
# Cursors grow old: clients are given newer ones also when nothing happens.
QUIET_SECONDS: Final = 20.0


class CatchUpListener(Protocol):
    """Callbacks of catch-up into the rest of the relay."""

    def snapshot_moved(self) -> None:
        """Handle a completed run with a newer snapshot."""

    def history_changed(self) -> None:
        """Handle another history of the database, such as a restored backup."""

    def live_contradicted(self) -> None:
        """Handle a live lane that brought what the database does not have."""


class CatchUp:
    """Runs changes_since, publishes what it returns, and notifies the listener."""

    def __init__(
        self,
        rest: Rest,
        broker: Broker,
        upstream: UpstreamStatus,
        loss_detector: LossDetector,
        heartbeat: Heartbeat,
        listener: CatchUpListener,
        *,
        period: float,
        now: Callable[[], float],
    ) -> None:
        self._rest = rest
        self._broker = broker
        self._upstream = upstream
        self._loss_detector = loss_detector
        self._heartbeat = heartbeat
        self._period = period
        self._now = now
        self._listener = listener
        self._requested = asyncio.Event()
        self._completed_at = now()
        self._completed_seqs: Seqs = {}
        self._told_busy: set[int] = set()
        self._failures = FailureLog(now)

    def request(self) -> None:
        """Trigger a run at once, or one more when one is under way."""
        self._requested.set()

    async def run(self) -> NoReturn:
        """Run until cancelled."""
        while True:
            self._requested.clear()
            began_at = self._now()
            await self._try()
            took = self._now() - began_at
            await asyncio.sleep(LEAST_PAUSE_SECONDS)
            # One that had much to read is soon followed by the next: more came meanwhile.
            rest = min(took, self._period)
            while (left := began_at + max(self._pause(), took + rest) - self._now()) > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(UNPROVEN_SECONDS, left)):
                        await self._requested.wait()
                        break

    async def once(self) -> None:
        """Run once, completely.

        Raises:
            Unavailable: A request failed or was answered by something else than the primary.
        """
        sent_at, seqs = self._now(), self._broker.hub.seqs()
        before = self._snapshots()
        if not self._broker.begun or self._heartbeat.went_back:
            await self._begin(seqs)
        else:
            await self._read_all(seqs)
            await self._check_live()
        busy = [BY_NUMBER[number] for number in self._broker.busy]
        self._upstream.catch_up.completed(sent_at, busy, self._now())
        if self._snapshots() != before:
            self._listener.snapshot_moved()

    async def _begin(self, seqs: Seqs) -> None:
        first = await self._rest.changes_since(None, epoch=None, page=1)
        if self._broker.begun:
            self._start_anew(first, seqs, "its heartbeat row has gone back")
            return
        if not await self._heartbeat.vouch():
            self._heartbeat.disown()
        self._broker.begin(first.epoch, first.snapshot, seqs)
        self._note_completed()

    async def _read_all(self, seqs: Seqs) -> None:
        # Tables that were locked are behind the others, and may be still.
        behind = sorted(self._broker.busy)
        together = sorted(self._broker.deduplicators.keys() - self._broker.busy)
        locked: set[int] = set()
        for numbers in filter(None, (together, *([number] for number in behind))):
            if not await self._read(numbers, seqs, locked):
                return
        self._note_busy(locked)

    async def _read(self, numbers: Sequence[int], seqs: Seqs, locked: set[int]) -> bool:
        """Read the changes of these endpoints, and add those with locked tables to `locked`.

        Returns:
            False if the database has another history.
        """
        reading = {number: self._broker.deduplicators[number] for number in numbers}
        since = common(dedup.reached for dedup in reading.values() if dedup.reached is not None)
        debtor = self._upstream.debtor(numbers)
        upto: Snapshot | None = None
        after, more, pages = (0, 0, 0), True, 0
        while more:
            pages += 1
            page = await self._rest.changes_since(
                since,
                epoch=self._broker.epoch,
                upto=upto,
                after=after,
                page=SMALL_PAGE if pages <= SMALL_PAGES else PAGE,
                tables=reading,
            )
            if page.reset is not None:
                self._start_anew(page, seqs, page.reset)
                return False
            upto, after, more = page.snapshot, page.after, page.more
            for number in page.busy & reading.keys():
                del reading[number]
                locked.add(number)
            for dedup in reading.values():
                if dedup.reached is not None and not upto.covers(dedup.reached):
                    text = f"changes_since went back from {dedup.reached} to {upto}: the primary?"
                    raise Unavailable(text)
            if not reading:
                return True
            if more:
                self._upstream.catch_up.read(len(page.changes), self._now())
            await self._take(page.changes, debtor)
            for dedup in reading.values():
                dedup.reach(since.reached(upto, after[0]))
        if upto is None:
            return True
        for dedup in reading.values():
            dedup.cover(upto)
        if self._worth_a_beat():
            if await self._heartbeat.vouch():
                for number in reading:
                    self._broker.complete(number, upto, seqs)
                self._note_completed()
            elif self._heartbeat.went_back:
                await self._begin(seqs)
                return False
        return True

    async def _check_live(self) -> None:
        """Verify versions that the live lane alone has brought, and correct forged ones."""
        snapshots = {number: dedup.reached for number, dedup in self._broker.deduplicators.items()}
        by_endpoint: dict[int, list[Suspect]] = {}
        for suspect in self._broker.unconfirmed.suspects(snapshots):
            by_endpoint.setdefault(suspect.endpoint, []).append(suspect)
        for number, suspects in by_endpoint.items():
            if number in self._broker.busy:
                continue
            endpoint = BY_NUMBER[number]
            versions = await self._rest.versions(endpoint, [suspect.id for suspect in suspects])
            for suspect in suspects:
                self._broker.unconfirmed.confirm(number, suspect.id, versions.get(suspect.id, 0))
            wrong = [each for each in suspects if versions.get(each.id, 0) < each.version]
            if wrong:
                logger.error(
                    "live lane contradicts the database, forged? Its clients start anew"
                    " endpoint=%s id=%d live_version=%d database_version=%s",
                    endpoint.name,
                    wrong[0].id,
                    wrong[0].version,
                    versions.get(wrong[0].id),
                )
                self._broker.correct(number)
                self._listener.live_contradicted()

    def _note_busy(self, locked: set[int]) -> None:
        long = self._broker.busy & locked  # a lock between two statements is met once
        for number in long - self._told_busy:
            logger.warning("table is locked, its changes wait table=%s", BY_NUMBER[number].name)
        for number in self._told_busy - locked:
            logger.info("table can be read again table=%s", BY_NUMBER[number].name)
        self._told_busy = (self._told_busy & locked) | long
        self._broker.busy = frozenset(locked)

    def _snapshots(self) -> dict[int, Snapshot | None]:
        return {number: dedup.snapshot for number, dedup in self._broker.deduplicators.items()}

    def _worth_a_beat(self) -> bool:
        moved = self._broker.hub.seqs() != self._completed_seqs
        return moved or self._now() - self._completed_at >= QUIET_SECONDS

    def _note_completed(self) -> None:
        self._completed_at = self._now()
        self._completed_seqs = self._broker.hub.seqs()

    async def _take(self, changes: Sequence[Change], debtor: float | None) -> None:
        # A page at once would keep live changes waiting.
        for start in range(0, len(changes), CHUNK_ROWS):
            new = self._broker.take(changes[start : start + CHUNK_ROWS], Source.CATCH_UP)
            if debtor is not None and debtor == self._upstream.live.subscribed_at:
                self._loss_detector.caught(new, self._now())
            await asyncio.sleep(0)

    def _start_anew(self, page: Page, seqs: Seqs, why: str) -> None:
        logger.warning(
            "the database cannot tell what changed, clients start anew cause=%r epoch=%s former=%s",
            why,
            page.epoch,
            self._broker.epoch,
        )
        self._heartbeat.went_back = False
        self._broker.begin(page.epoch, page.snapshot, seqs)
        self._note_completed()
        self._listener.history_changed()

    async def _try(self) -> None:
        before = self._upstream.catch_up.trouble
        try:
            await self.once()
        except Unavailable as exc:
            self._upstream.catch_up.failed(str(exc), refused=isinstance(exc, KeyRefused))
            if self._failures.failed(str(exc)):
                logger.warning("catch-up fails, retrying error=%r", str(exc))
        else:
            self._failures.worked()
            if before is not None:
                logger.info("catch-up works again")
                # What took the database away takes Realtime's connections to it as well, and says
                # nothing: until a beat has come back, catch-up has to bring what it loses.
                if self._upstream.live.subscribed_at is not None:
                    self._upstream.live.unproven("the database was away, nothing has come since")
                    self._heartbeat.remind()

    def _pause(self) -> float:
        now = self._now()
        proven = self._upstream.live.proven(now) and not self._loss_detector.suspicious(now)
        if proven and self._upstream.catch_up.trouble is None and not self._broker.busy:
            return self._period
        return min(self._period, UNPROVEN_SECONDS)
