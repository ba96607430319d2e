"""One key under watch: a pure fold over its events and over what people say, in order of arrival.

Its detectors judge; the one episode that people see follows from all of them; what is no alarm
becomes a notice. Nothing but the key's own events, words and closings decides, so that the past can
be folded anew.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.detection import observation as detected
from worker.detection.observation import DAY, Rules, Standing, Status
from worker.detection.reason import counted, unit_of
from worker.detection.series import (
    ABANDONED_DAYS,
    Detectors,
    Finding,
    Identity,
    Reading,
)
from worker.episodes import (
    Change,
    Episode,
    Figures,
    Resolution,
    Transition,
    rule_of,
    shown,
)
from worker.events import Key

RECENT_DAYS = 7  # an opening that is older than this is history and told only if it lasts
REOPENED_DAYS = 30  # after the end of an episode, within which the next one is the same problem
ACCEPTED_DAYS = 60  # within which a period that shows the accepted level is accepted as well
ACCEPTED_MARGIN = 0.1  # in logarithm, by which it may lie above
GAPS = 15  # of event time between events that are remembered
REGULAR_FROM = 8  # gaps from which on a key counts as reporting regularly
SILENT_GAPS, SILENT_DAYS = 5, 3.0  # median gaps, and days at least, after which it is silent
CLOSING_DAYS = 7.0  # beyond the grace, after which the watch for silence closes days


@dataclass(slots=True)
class Moment:
    """An event as the key sees it: when it was, in epoch seconds, and on the tenant's clock."""

    event_id: int
    time: float
    offset: float = 0.0  # local time minus UTC, seconds


@dataclass(frozen=True, slots=True)
class Notice:
    """What is no alarm, and worth a line."""

    kind: str  # quality, no_data, data_again, improved, new_normal, superseded
    message: str
    event_id: int | None = None
    time: float | None = None  # epoch seconds of the event


@dataclass(slots=True)
class Outcome:
    """What one step of the fold led to; `unit_fault` is told when the event is in another unit."""

    findings: list[Finding] = field(default_factory=list)
    changes: list[Transition] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    unit_fault: str | None = None

    @property
    def hot(self) -> bool:
        """Say whether the event itself is hot."""
        if not self.findings:
            return False
        first = self.findings[0]
        return first.verdict.hot and first.period is None


class WatchedKey:
    """The detectors of a key, its open episode, and how regularly it reports."""

    def __init__(
        self,
        key: Key,
        *,
        detectors: Mapping[Identity, Mapping[str, Any]] | None = None,
        state: Mapping[str, Any] | None = None,
        episode: Episode | None = None,
    ) -> None:
        state = state or {}
        self.key = key
        self.detectors = Detectors(detectors)
        self.episode = episode
        self.newest: float = state.get("newest", 0.0)  # epoch seconds
        self.offset: float = state.get("offset", 0.0)
        self.gaps: list[int] = list(state.get("gaps", ()))
        self.silent: bool = state.get("silent", False)
        # Of the newest event that was part of a hotspot, on the tenant's clock.
        self.marked_at: float = state.get("marked_at", 0.0)
        self.withheld: bool = state.get("withheld", False)  # a period that events had told
        self.ended_at: float = state.get("ended_at", 0.0)  # event time of the last end
        # When a person has accepted what, as the logarithm of its level.
        self.accepted: tuple[float, float] | None = state.get("accepted") and (
            state["accepted"][0],
            state["accepted"][1],
        )

    def state(self) -> dict[str, Any]:
        """Give what the constructor takes, beside the detectors and the episode."""
        return {
            "newest": self.newest,
            "offset": self.offset,
            "gaps": list(self.gaps),
            "silent": self.silent,
            "marked_at": self.marked_at,
            "withheld": self.withheld,
            "ended_at": self.ended_at,
            "accepted": None if self.accepted is None else list(self.accepted),
        }

    def stored(self) -> None:
        """Note that everything is stored as it is now."""
        self.detectors.stored()

    # Steps of the fold

    def take(self, moment: Moment, reading: Reading, rules: Rules, clock: float) -> Outcome:
        """Judge one event; `clock` in epoch seconds tells history from news."""
        outcome = Outcome()
        if self.episode is not None:
            self._abandon(moment.time, outcome)
        self._note_time(moment, outcome, clock)
        outcome.findings = self.detectors.take(reading, rules)
        for finding in outcome.findings:
            self._follow(finding, moment, rules, clock, outcome)
        return outcome

    def hear(self, word: str) -> Outcome:
        """Take what a person says of the key: accepted, rejected, ignored, resolved or reset."""
        outcome = Outcome()
        if word == "reset":
            self.detectors.reset()
            self.accepted = None
            self._end(Resolution.SUPERSEDED, outcome, self.newest)
            return outcome
        if word == "accepted":
            levels = [standing.level for standing in self.detectors.holding().values()]
            self.accepted = (self.newest, max(levels)) if levels else self.accepted
        self.detectors.hear(word)
        if word == "accepted":
            self._end(Resolution.NEW_NORMAL, outcome, self.newest)
        elif word in ("ignored", "resolved"):
            self.episode = None  # its row says so already
            self.ended_at = self.newest
        return outcome

    def reconcile(self) -> Outcome:
        """Make detectors and the stored episode agree, whoever has changed the row meanwhile."""
        outcome = Outcome()
        holding = self.detectors.holding()
        if holding and self.episode is None and not self.withheld:
            self.detectors.hear("resolved")
        elif self.episode is not None and not holding:
            self._end(Resolution.SUPERSEDED, outcome, self.newest)
        return outcome

    def wants_rebuild(self) -> str:
        """Say why the past has to be folded anew, empty when it has not."""
        if self.detectors.disordered:
            return "events came out of order while it was warming"
        return "history came after newer events" if self.detectors.has_history() else ""

    def pass_silence(self, now: float, rules: Rules) -> Outcome:
        """Do what is due at a time without events, in epoch seconds."""
        outcome = Outcome()
        until = now + self.offset - (CLOSING_DAYS + 1) * DAY
        moment = Moment(0, now, self.offset)
        outcome.findings = self.detectors.close(until, rules)
        for finding in outcome.findings:
            self._follow(finding, moment, rules, now, outcome)
        self._abandon(now, outcome)
        if (silent_at := self._silent_at()) is not None and now >= silent_at:
            self.silent = True
            text = f"no {self.key.event_type} events for {_days(now - self.newest)}"
            outcome.notices.append(Notice("no_data", text, time=self.newest))
        return outcome

    def due_at(self) -> float | None:
        """Give the time in epoch seconds at which `pass_silence` has something to do, if ever."""
        times = [self._silent_at()]
        if (closing := self.detectors.first_open_day_ends()) is not None:
            times.append(closing - self.offset + (CLOSING_DAYS + 1) * DAY)
        if self.episode is not None and (last := self.detectors.holders_newest()) is not None:
            times.append(last - self.offset + self._abandoned_seconds() + 1)
        return min((time for time in times if time is not None), default=None)

    # What follows from a finding

    def _follow(
        self, finding: Finding, moment: Moment, rules: Rules, clock: float, outcome: Outcome
    ) -> None:
        verdict = finding.verdict
        if verdict.silent and verdict.marked and finding.period is None:
            self.marked_at = max(self.marked_at, finding.time)
        if verdict.change is None and verdict.standing is None and verdict.why is None:
            return  # as nearly always
        if verdict.status is Status.UNUSABLE:
            self._unusable(finding, moment, outcome)
            return
        time = moment.time if finding.period is None else finding.time - moment.offset
        if verdict.change is detected.Change.IMPROVED:
            outcome.notices.append(self._improved(finding, moment.event_id, time))
        elif verdict.change in (detected.Change.RESOLVED, detected.Change.NEW_NORMAL):
            self._let_end(finding, verdict.change, outcome, time)
        elif verdict.standing is not None:
            self._show(finding, time, rules, clock, outcome)

    def _show(
        self, finding: Finding, time: float, rules: Rules, clock: float, outcome: Outcome
    ) -> None:
        """Open the episode, or show in it what this finding adds."""
        standing = finding.verdict.standing
        if standing is None:
            return
        if finding.period is None and finding.verdict.marked:
            self.marked_at = max(self.marked_at, finding.time)
        if self.episode is None:
            opens = finding.verdict.change is detected.Change.OPENED
            if opens and self._was_accepted(finding, standing, time):
                self.detectors.judge_of(finding.identity).accept()
                return
            if self._was_told(finding) or not (opens or finding.verdict.marked):
                self.withheld = True
                return
            self.withheld = False
            recent = time >= clock - RECENT_DAYS * DAY
            again = bool(self.ended_at) and time - self.ended_at <= REOPENED_DAYS * DAY
            figures = Figures.of(finding, standing, rules.thresholds)
            found = shown(self.key, finding, standing, time, figures)
            self.episode = found._replace(announced=recent, reopens=again)
            change = Change.REOPENED if again else Change.OPENED
            outcome.changes.append(Transition(self.episode, change, time, recent))
            return
        former = episode = self.episode
        if finding.verdict.marked or finding.verdict.change is detected.Change.OPENED:
            episode = self._merged(former, finding, standing, time, rules)
        elif finding.identity.series == former.series and standing.recovering != former.recovering:
            episode = former._replace(recovering=standing.recovering)
        severity = standing.severity
        if severity < former.severity:  # unless another detector sees it worse
            # This one may have let go since: one event can close several days.
            others = self.detectors.holding()
            others.pop(finding.identity, None)
            severity = max([severity, *(each.severity for each in others.values())])
        # What was held back before the figures that are shown does not make them worse.
        severity = min(severity, episode.peak_severity)
        if severity != episode.severity:
            episode = episode._replace(severity=severity)
        self.episode = episode
        if episode == former:
            return
        told = former.announced
        change = Change.UPDATED
        if severity > former.severity:
            change = Change.ESCALATED
            told = told or time >= clock - RECENT_DAYS * DAY
        elif severity < former.severity:
            change = Change.DEESCALATED
        outcome.changes.append(Transition(self.episode, change, time, told))

    def _was_accepted(self, finding: Finding, standing: Standing, time: float) -> bool:
        """Say whether a period shows what a person has accepted of the events."""
        if finding.period is None or self.accepted is None:
            return False
        since, level = self.accepted
        return time - since <= ACCEPTED_DAYS * DAY and standing.level <= level + ACCEPTED_MARGIN

    def _was_told(self, finding: Finding) -> bool:
        """Say whether a period shows what a hotspot of its events has told already.

        It is told when it goes on without them.
        """
        return finding.period is not None and self.marked_at >= finding.period.since * DAY

    def _merged(
        self, former: Episode, finding: Finding, standing: Standing, time: float, rules: Rules
    ) -> Episode:
        """Show the worse of both figures; what has happened since is the sum of it."""
        same_series = finding.identity.series == former.series
        excess_kg, recovering = standing.excess_kg, standing.recovering
        if not same_series:
            excess_kg = max(former.excess_kg, excess_kg)
            recovering = former.recovering and recovering
        last_seen_at = max(former.last_seen_at, time)
        figures = Figures.of(finding, standing, rules.thresholds)
        if figures.rank > former.rank:
            return shown(self.key, finding, standing, time, figures)._replace(
                occurred_at=former.occurred_at,
                last_seen_at=last_seen_at,
                excess_kg=excess_kg,
                recovering=recovering,
                announced=former.announced,
                reopens=former.reopens,
                id=former.id,
                version=former.version,
            )
        reason, rule = former.reason, former.rule
        if same_series:
            reason, rule = counted(reason, standing, finding.time), rule_of(finding, standing)
        return former._replace(
            reason=reason,
            last_seen_at=last_seen_at,
            excess_kg=excess_kg,
            rule=rule,
            recovering=recovering,
        )

    def _let_end(
        self, finding: Finding, change: detected.Change, outcome: Outcome, time: float
    ) -> None:
        """End the episode when no other detector holds it open."""
        new_normal = change is detected.Change.NEW_NORMAL
        if new_normal:
            unit = unit_of(finding.identity.basis)
            usual = self.detectors.judge_of(finding.identity).usual() or 0.0
            text = f"{usual:.3g} kg per {unit} has lasted and is the new normal"
            outcome.notices.append(Notice("new_normal", text, finding.event_id, time))
            if finding.period is None:
                self.detectors.accept_periods(finding.identity)
                if (standing := finding.verdict.standing) is not None:
                    self.accepted = (time, standing.level)
        holding = self.detectors.holding()
        if not holding:
            self.withheld = False
            why = Resolution.NEW_NORMAL if new_normal else Resolution.RECOVERED
            self._end(why, outcome, time)
        elif self.episode is not None:  # what is left may be less bad
            former = self.episode
            severity = max(each.severity for each in holding.values())
            if severity < former.severity:
                self.episode = former._replace(severity=severity)
                told = former.announced
                outcome.changes.append(Transition(self.episode, Change.DEESCALATED, time, told))

    def _end(self, why: Resolution, outcome: Outcome, time: float) -> None:
        self.ended_at = time if why is Resolution.RECOVERED else 0.0
        if self.episode is not None:
            ended = self.episode.resolved(why)
            outcome.changes.append(Transition(ended, Change.RESOLVED, time, ended.announced))
            self.episode = None

    def _abandon(self, time: float, outcome: Outcome) -> None:
        """Give up an episode whose holders have had no event for long."""
        if self.episode is None or (newest := self.detectors.holders_newest()) is None:
            return
        without = time + self.offset - newest
        if without <= ABANDONED_DAYS * DAY or without <= self._abandoned_seconds():
            return
        self.detectors.let_go()
        text = f"no event of the same kind for {_days(self._abandoned_seconds())}: not pursued"
        outcome.notices.append(Notice("superseded", text, self.episode.event_id, time))
        self._end(Resolution.SUPERSEDED, outcome, time)

    def _unusable(self, finding: Finding, moment: Moment, outcome: Outcome) -> None:
        why = finding.verdict.why or "value"
        if finding.verdict.change is detected.Change.QUALITY:
            text = f"{QUALITY.get(why, why)}; such events are not judged"
            outcome.notices.append(Notice("quality", text, moment.event_id, moment.time))
        if why == "unit" and finding.period is None:
            outcome.unit_fault = (
                f"{_weight(finding.kg)} CO2e are more than 50 times, or less than a 50th, of what "
                "this supplier's work usually costs: is it another unit?"
            )

    def _improved(self, finding: Finding, event_id: int, time: float) -> Notice:
        usual = self.detectors.judge_of(finding.identity).usual() or 0.0
        unit = unit_of(finding.identity.basis)
        return Notice("improved", f"now usually {usual:.3g} kg per {unit}", event_id, time)

    # How regularly it reports

    def _note_time(self, moment: Moment, outcome: Outcome, clock: float) -> None:
        if moment.time > self.newest:
            if self.newest:
                self.gaps.append(round(moment.time - self.newest))
                if len(self.gaps) > GAPS:
                    del self.gaps[0]
            self.newest, self.offset = moment.time, moment.offset
        if not self.silent:
            return
        self.silent = False
        if (silent_at := self._silent_at()) is not None and clock >= silent_at:
            self.silent = True  # late events of the past do not end a silence that goes on
            return
        text = f"{self.key.event_type} events are there again"
        outcome.notices.append(Notice("data_again", text, moment.event_id, moment.time))

    def _gap(self) -> float:
        return statistics.median(self.gaps) if self.gaps else 0.0

    def _silent_at(self) -> float | None:
        if self.silent or len(self.gaps) < REGULAR_FROM:
            return None
        return self.newest + max(SILENT_GAPS * self._gap(), SILENT_DAYS * DAY)

    def _abandoned_seconds(self) -> float:
        """A supplier that reports once a month has not stopped after a month."""
        return max(ABANDONED_DAYS * DAY, SILENT_GAPS * self._gap())


QUALITY = {
    "zero": "five events in a row have no kg at all",
    "value": "five events in a row have kg that are no numbers",
    "activity": "five events in a row have an activity that is not above zero",
    "stuck": "the meter has repeated its value eight times",
    "unit": "five events in a row seem to be in another unit: fix the source, or reset this key",
}


def _weight(kg: float) -> str:
    """Give so many kg with the three digits that a scale shows, from a thousand on in tonnes."""
    value, unit = (kg / 1000, "t") if kg >= 1000 else (kg, "kg")
    return f"{float(f'{value:.3g}'):,.12g} {unit}"


def _days(seconds: float) -> str:
    days = seconds / DAY
    return f"{days:.0f} days" if days >= 2 else f"{seconds / 3600:.0f} hours"
