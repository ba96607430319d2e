"""From the events of one batch to everything that has to be committed with it.

Events are judged one after the other, in order of arrival, and alerts belong to events: so the
outcome does not depend on how the events were divided into batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.events import Event, Implausible, UnusableEvent
from worker.findings import Findings, compared
from worker.kilograms.calculate import Prediction
from worker.predictions import Columns, Outcome
from worker.readings import Kilograms, Reader

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that cannot be worked off; a dead one is not tried again."""

    event_id: int
    error: str
    dead: bool

    def row(self) -> Row:
        return {"event_id": self.event_id, "error": self.error, "dead": self.dead}


@dataclass(frozen=True, slots=True)
class Held:
    """An event that is quarantined, and why."""

    event_id: int
    why: Implausible


SetAside = Failure | Held


def read_events(rows: Sequence[Mapping[str, Any]]) -> tuple[list[Event], list[SetAside]]:
    """Split rows of `events_normalized` into usable events, in their order, and others."""
    events: list[Event] = []
    set_aside: list[SetAside] = []
    for row in rows:
        try:
            events.append(Event.from_row(row))
        except UnusableEvent as exc:
            set_aside.append(Failure(row["id"], str(exc), dead=True))
        except Implausible as exc:
            set_aside.append(Held(row["id"], exc))
    return events, set_aside


def judge(
    events: Sequence[Event],
    outcomes: Sequence[Outcome],
    set_aside: Sequence[SetAside],
    findings: Findings,
    reader: Reader,
) -> Row:
    """Give the argument `result` of `commit_batch`, but for its suppliers.

    `outcomes` has one entry per event, in the same order. `findings` holds what the events are
    judged against, and afterwards what they led to.
    """
    result = _Result(findings, reader)
    for each in set_aside:
        result.set_aside(each)
    for event, outcome in zip(events, outcomes, strict=True):
        if isinstance(outcome, Prediction):
            result.take(event, outcome)
        elif isinstance(outcome, Implausible):
            result.set_aside(Held(event.id, outcome))
        else:
            result.set_aside(Failure(event.id, str(outcome), dead=True))
    return result.rows()


class _Result:
    """The rows of one batch while they are collected."""

    def __init__(self, findings: Findings, reader: Reader) -> None:
        self._findings = findings
        self._reader = reader
        self._events: list[int] = []
        self._failed: list[Row] = []
        self._quarantined: list[Row] = []
        self._computed = Columns()

    def rows(self) -> Row:
        return {
            "events": self._events,
            "failed": self._failed,
            "quarantined": self._quarantined,
            "computed": self._computed.parts(),
            **self._findings.rows(),
        }

    def set_aside(self, each: SetAside) -> None:
        if isinstance(each, Failure):
            self._failed.append(each.row())
        else:
            self._quarantined.append(each.why.row(each.event_id))

    def take(self, event: Event, prediction: Prediction) -> None:
        try:
            moment = self._reader.moment(event)
        except ValueError as exc:
            self.set_aside(Failure(event.id, str(exc), dead=True))
            return
        key = event.key
        reading = self._reader.reading(event, Kilograms.of(prediction), moment)
        judged = self._findings.take(key, moment, reading, (event, prediction))
        if event.released:
            self._findings.want_rebuild(key, "an event was released from quarantine")
        elif judged.unit_fault is not None:
            why = Implausible("history", judged.unit_fault, "predicted_co2", prediction.co2_kg)
            self.set_aside(Held(event.id, why))
            return
        self._events.append(event.id)
        day = self._reader.day(moment)
        usual = compared(judged.findings)
        self._computed.add(event, key, prediction, day, judged.hot, usual)
