"""From the events of one batch to everything that has to be committed with it.

Events are judged one after the other, in order of arrival, and alerts belong to events: so the
outcome does not depend on how the events were divided into batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.baseline import Baseline
from worker.episodes import Change, Episode, Judged, advance
from worker.events import Event, Implausible, Key, UnusableEvent
from worker.kilograms.calculate import Prediction
from worker.predictions import Outcome
from worker.recommend import recommend
from worker.severity import Thresholds

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """What a batch is judged against: baselines and open episodes of its keys."""

    baselines: Mapping[Key, Baseline] = field(default_factory=dict)
    episodes: Mapping[Key, Episode] = field(default_factory=dict)

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> State:
        """Read the answer of `claim_events` or `batch_state`."""
        episodes = [Episode.from_row(row) for row in answer["episodes"]]
        return cls(
            {_key(row): Baseline.from_row(row) for row in answer["baselines"]},
            {episode.key: episode for episode in episodes},
        )


def _key(row: Mapping[str, Any]) -> Key:
    return Key(row["entity"], row["entity_type"], row["event_type"])


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
    state: State,
    thresholds: Thresholds,
) -> Row:
    """Give the argument `result` of `commit_batch`, but for its suppliers.

    `outcomes` has one entry per event, in the same order.
    """
    result = _Result(state, thresholds)
    for each in set_aside:
        result.set_aside(each)
    for event, outcome in zip(events, outcomes, strict=True):
        if isinstance(outcome, UnusableEvent):
            result.set_aside(Failure(event.id, str(outcome), dead=True))
        elif isinstance(outcome, Implausible):
            result.set_aside(Held(event.id, outcome))
        else:
            result.take(event, outcome)
    return result.rows()


class _Result:
    """The rows of one batch while they are collected."""

    def __init__(self, state: State, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._known = state.baselines
        self._open = dict(state.episodes)
        self._baselines: dict[Key, Baseline] = {}
        self._episodes: list[Episode] = []
        self._refs: dict[Key, int] = {}  # open episodes that are in _episodes
        self._events: list[int] = []
        self._failed: list[Row] = []
        self._quarantined: list[Row] = []
        self._predictions: list[Row] = []
        self._alerts: list[Row] = []
        self._recommendations: list[Row] = []

    def rows(self) -> Row:
        return {
            "events": self._events,
            "failed": self._failed,
            "quarantined": self._quarantined,
            "predictions": self._predictions,
            "baselines": [baseline.row(key) for key, baseline in self._baselines.items()],
            "episodes": [
                {"ref": ref, **episode.row()} for ref, episode in enumerate(self._episodes)
            ],
            "alerts": self._alerts,
            "recommendations": self._recommendations,
        }

    def set_aside(self, each: SetAside) -> None:
        if isinstance(each, Failure):
            self._failed.append(each.row())
        else:
            self._quarantined.append(each.why.row(each.event_id))

    def take(self, event: Event, prediction: Prediction) -> None:
        key = event.key
        baseline = self._baselines.get(key) or self._known.get(key) or Baseline()
        hot = False
        if not baseline.ready:
            baseline = baseline.with_sample(prediction.co2_kg)
        else:
            judged = self._judged(event, prediction, baseline)
            hot = judged.severity is not None
            baseline = baseline.with_hot() if hot else baseline.with_normal(prediction.co2_kg)
            self._advance(event, judged, baseline.normal_streak)
        self._baselines[key] = baseline
        self._events.append(event.id)
        self._predictions.append(
            {
                "event_id": event.id,
                **key._asdict(),
                **prediction.row(),
                "hotspot": hot,
            }
        )

    def _judged(self, event: Event, prediction: Prediction, baseline: Baseline) -> Judged:
        median = baseline.median
        severity = self._thresholds.severity(prediction.co2_kg, median)
        return Judged(event.id, prediction.co2_kg, median, severity)

    def _advance(self, event: Event, judged: Judged, normal_streak: int) -> None:
        key = event.key
        episode, change = advance(self._open.get(key), key, judged, normal_streak)
        if episode is None or change is None:
            return
        ref = self._store(episode)
        if change is Change.RESOLVED:
            del self._open[key], self._refs[key]
        else:
            self._open[key] = episode
        if change is not Change.WORSENED:
            self._alert(ref, episode, change)
        if change is Change.OPENED:
            self._recommend(ref, event, judged)

    def _store(self, episode: Episode) -> int:
        ref = self._refs.get(episode.key)
        if ref is None:
            ref = self._refs[episode.key] = len(self._episodes)
            self._episodes.append(episode)
        else:
            self._episodes[ref] = episode
        return ref

    def _alert(self, ref: int, episode: Episode, change: Change) -> None:
        level = "info" if change is Change.RESOLVED else episode.severity.wire
        text = _message(episode, change)
        self._alerts.append({"ref": ref, "kind": change.value, "level": level, "message": text})

    def _recommend(self, ref: int, event: Event, judged: Judged) -> None:
        self._recommendations.extend(
            {
                "ref": ref,
                "action": proposal.action,
                "co2_reduction": proposal.co2_reduction,
                "root_cause": proposal.root_cause,
                "source": proposal.source,
            }
            for proposal in recommend(event, judged.predicted, judged.baseline)
        )


def _message(episode: Episode, change: Change) -> str:
    entity, kind = episode.key.entity, episode.key.event_type
    above = f"{episode.percent_above:.1f}%"
    match change:
        case Change.RESOLVED:
            return f"{entity} is back to its {kind} baseline; the peak was {above} above"
        case Change.ESCALATED:
            return f"{entity} is now {above} above its {kind} baseline"
        case _:
            return f"{entity} exceeded its {kind} baseline by {above}"
