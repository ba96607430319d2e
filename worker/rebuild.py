"""Folding the past of a key anew, in order of event time, and watching for silence.

Both are passes without events of a batch, under the lease: what they lead to is committed once,
however often the commit is repeated.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.advice import Advisor
from worker.database import Database, Lease
from worker.detection.observation import Rules
from worker.detection.series import Finding, Reading
from worker.episodes import Change, Episode, Resolution, Transition
from worker.errors import EpisodeChanged
from worker.events import Event, Implausible, Key, UnusableEvent
from worker.findings import Findings, compared, key_of, period_rows, seconds
from worker.held import HeldKeys
from worker.readings import Kilograms, Reader, day_of
from worker.watched import RECENT_DAYS, Moment, Notice, Outcome, WatchedKey

logger = logging.getLogger(__name__)

PAGE = 1000  # events that are read at once
KEYS = 100  # silent keys that are looked at at once
CONFLICTS = 10


@dataclass(frozen=True, kw_only=True)
class Passes:
    """How passes are made. `wall` gives epoch seconds, None when event time is the clock."""

    database: Database
    lease_seconds: int
    rules: Rules
    wall: Callable[[], float] | None
    reader: Reader
    held: HeldKeys
    advisor: Advisor

    def now(self) -> float | None:
        """Give the wall clock's time in epoch seconds, None when event time is the clock."""
        return None if self.wall is None else self.wall()

    async def rebuild(self, lease: Lease, counts: Counter[str], *, drained: bool) -> bool:
        """Fold one key anew that waits for it; False when there is none."""
        named = await self.database.next_rebuild(lease, self.lease_seconds, drained)
        if named["key"] is None:
            return False
        key = key_of(named["key"])
        for _ in range(CONFLICTS):
            rows = await self._folded(lease, key)
            rows["settled" if named["settled"] else "rebuilt"] = [key._asdict()]
            try:
                counts.update(await self.database.commit_pass(lease, str(uuid.uuid4()), rows))
            except EpisodeChanged as exc:
                logger.info("key is folded anew again entity=%r cause=%r", key.entity, str(exc))
                continue
            self.held.forget(key)
            counts["rebuilt"] += 1
            logger.info(
                "key folded anew entity=%r event_type=%s reason=%r",
                key.entity,
                key.event_type,
                named["reason"],
            )
            return True
        raise EpisodeChanged(f"the episode of {key.entity} keeps changing")

    async def _folded(self, lease: Lease, key: Key) -> dict[str, list[Any]]:
        """Fold the whole past of a key and give the rows to write."""
        fold: Fold | None = None
        async for page in self._pages(lease, key):
            if fold is None:
                fold = Fold(key, page["inputs"], self.rules)
                state = page["state"]
            # Page by page, since a long past would not fit into one commit. Interrupted, the
            # whole key is folded again.
            usual = [
                {
                    "event_id": moment.event_id,
                    "day": day_of(self.reader.day(moment)),
                    **dict(zip(("expected_kg", "spread"), compared(findings), strict=True)),
                }
                for moment, findings in fold.take(self._read(page["events"]))
            ]
            await self.database.store_expectations(lease, self.lease_seconds, usual)
        if fold is None:
            raise RuntimeError("there is always a first page")
        findings = Findings(state, self.rules, self.now(), advisor=self.advisor)
        stored = next((Episode.from_row(row) for row in state["episodes"]), None)
        clock = self.now() or seconds(state["clock"]) or 0.0
        findings.replace(key, fold.finished(), settled(fold.watched, stored, clock))
        findings.periods += fold.periods
        rows = findings.rows()
        rows["heard"] += [word["id"] for word in state["inputs"]]
        rows["replayed"] = fold.replayed
        return rows

    def _read(self, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Moment, Reading]]:
        """Read stored events with their kilograms; those of the first rule are computed anew."""
        found = []
        for row in rows:
            if row["prediction"]["method"] is None:
                continue
            try:
                event = Event.from_row(row["event"])
                moment = self.reader.moment(event)
            except (UnusableEvent, Implausible, ValueError):
                continue  # it was readable once: the columns mean something else now
            kilograms = Kilograms.from_row(row["prediction"])
            found.append((moment, self.reader.reading(event, kilograms, moment)))
        return found

    async def _pages(self, lease: Lease, key: Key) -> AsyncIterator[Mapping[str, Any]]:
        after_time, after_id = None, 0
        while True:
            page = await self.database.past_of_key(
                lease, self.lease_seconds, key, after_time, after_id, PAGE
            )
            yield page
            if len(page["events"]) < PAGE:
                return
            last = page["events"][-1]["event"]
            after_time, after_id = last["timestamp"], last["id"]

    async def look_after_silence(self, lease: Lease, counts: Counter[str]) -> None:
        """Tell of keys that have fallen silent, close their days, hear what people say."""
        seen: set[Key] = set()
        for _ in range(CONFLICTS * KEYS):
            state = await self.database.due_keys(lease, self.lease_seconds, self.now(), KEYS)
            due = [key for row in state["due"] if (key := key_of(row)) not in seen]
            now = seconds(state["now"])
            if not due or now is None:
                return
            findings = Findings(state, self.rules, self.now(), advisor=self.advisor)
            for key in due:
                findings.pass_silence(key, now)
            try:
                counts.update(
                    await self.database.commit_pass(lease, str(uuid.uuid4()), findings.rows())
                )
            except EpisodeChanged as exc:
                logger.info("looking after silence again: %s", exc)
                continue
            for key in due:
                self.held.forget(key)
            seen.update(due)


class Fold:
    """The past of one key on its way through its detectors, with what people said replayed."""

    def __init__(self, key: Key, inputs: Sequence[Mapping[str, Any]], rules: Rules) -> None:
        self.watched = WatchedKey(key)
        self.watched.detectors.anew = True
        self._rules = rules
        self._inputs: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for said in inputs:
            self._inputs[said["after_event"] or 0].append(said)
        self._newest = 0.0
        self.replayed = [said["id"] for said in inputs]
        self.periods: list[dict[str, Any]] = []  # as rows

    def take(
        self, past: Sequence[tuple[Moment, Reading]]
    ) -> Iterator[tuple[Moment, Sequence[Finding]]]:
        """Take the next events, in order of event time, and give what was found of each."""
        for moment, reading in past:
            self._newest = max(self._newest, moment.time)
            findings = self.watched.take(moment, reading, self._rules, self._newest).findings
            self.periods += period_rows(self.watched.key, findings)
            yield moment, findings
            for said in self._inputs.pop(moment.event_id, ()):
                self._hear(said)

    def finished(self) -> WatchedKey:
        """Give the key after everything; what was said after an event that is gone comes last."""
        for said in sorted((s for many in self._inputs.values() for s in many), key=_order):
            self._hear(said)
        self._inputs.clear()
        return self.watched

    def _hear(self, said: Mapping[str, Any]) -> None:
        if said["kind"] == "silence":
            outcome = self.watched.pass_silence(seconds(said["at"]) or 0.0, self._rules)
            self.periods += period_rows(self.watched.key, outcome.findings)
        else:
            self.watched.hear(said["kind"])


def _order(said: Mapping[str, Any]) -> int:
    number: int = said["id"]
    return number


def settled(folded: WatchedKey, stored: Episode | None, clock: float) -> Outcome:
    """Compare the episode of the fold with the stored one, and say what is to be written.

    Open in both: the stored row goes on, without an alert. Open in the table alone: it is
    superseded, with a notice. Open in the fold alone: it is opened, with one alert where it is news
    (`clock` in epoch seconds) or lasts until everything is worked off.
    """
    outcome = Outcome()
    found = folded.episode
    if found is not None and stored is not None:
        folded.episode = found.with_id_of(stored)
        outcome.changes.append(
            Transition(folded.episode, Change.UPDATED, found.last_seen_at, False)
        )
    elif stored is not None:
        ended = stored.resolved(Resolution.SUPERSEDED)
        outcome.changes.append(
            Transition(ended, Change.RESOLVED, stored.last_seen_at, stored.announced)
        )
        text = "its past, folded anew, does not show it any more"
        outcome.notices.append(Notice("superseded", text, stored.event_id, stored.occurred_at))
    elif found is not None:
        recent = found.last_seen_at >= clock - RECENT_DAYS * 86_400
        folded.episode = found.as_new(recent=recent)
        change = Change.REOPENED if found.reopens else Change.OPENED
        outcome.changes.append(Transition(folded.episode, change, found.last_seen_at, recent))
    return outcome
