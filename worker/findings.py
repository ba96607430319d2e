"""What detectors find, collected as the rows that one commit writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from worker.advice import Advisor
from worker.detection.observation import JUDGED, LATE, UNUSABLE, Rules, Verdict
from worker.detection.periods import Period, PeriodSeries
from worker.detection.series import Finding, Identity, Reading
from worker.episodes import Change, Episode, Resolution, Transition
from worker.events import Event, Key
from worker.kilograms.calculate import Prediction
from worker.readings import day_of
from worker.watched import Moment, Outcome, WatchedKey

Row = dict[str, Any]
NO_ADVICE = Advisor()
IDENTITY = ("series", "method", "basis", "country")


class Findings:
    """Keys under watch, loaded from an answer of the database, and what became of them.

    `answer` is that of `keys_state`. `wall` is the time in epoch seconds, None when a key's newest
    event time is its clock. `held` keys are known already: of them the answer tells no more than
    what people have changed.
    """

    def __init__(
        self,
        answer: Mapping[str, Any],
        rules: Rules,
        wall: float | None,
        held: Mapping[Key, WatchedKey] | None = None,
        advisor: Advisor = NO_ADVICE,
    ) -> None:
        self._rules = rules
        self._wall = wall
        self._held = held or {}
        self._stored = _by_key(answer)
        self._rebuilding = set(keys_of(answer.get("rebuilds", ())))
        self._watched: dict[Key, WatchedKey] = {}
        self._outcomes = _Rows(advisor)
        self._rebuilds: dict[Key, str] = {}
        self.periods: list[Row] = []

    def take(
        self,
        key: Key,
        moment: Moment,
        reading: Reading,
        computed: tuple[Event, Prediction] | None = None,
    ) -> Outcome:
        """Judge an event of a key; `computed` is what advice recomputes it from."""
        watched = self._watched.get(key) or self.key(key)
        clock = self._wall
        if clock is None:
            clock = watched.newest if watched.newest > moment.time else moment.time
        former = watched.episode
        outcome = watched.take(moment, reading, self._rules, clock)
        if outcome.changes or outcome.notices:
            self._outcomes.add(key, outcome, former, computed)
        if outcome.findings and outcome.findings[-1].period is not None:
            self.periods += period_rows(key, outcome.findings)
        return outcome

    def want_rebuild(self, key: Key, reason: str) -> None:
        """Ask for the folding anew of a key's past, once this is committed."""
        self._rebuilds[key] = reason

    def pass_silence(self, key: Key, now: float) -> None:
        """Do what is due for a key at a time without events, and keep that it was done."""
        watched = self.key(key)
        due = watched.due_at()
        if due is not None and due <= now:
            former = watched.episode
            outcome = watched.pass_silence(now, self._rules)
            self._outcomes.add(key, outcome, former)
            self.periods += period_rows(key, outcome.findings)
            self._outcomes.inputs.append({**key._asdict(), "at": text(now)})

    def key(self, key: Key) -> WatchedKey:
        """Give a key under watch, loaded once, with what has been said of it since."""
        watched = self._watched.get(key)
        if watched is None:
            stored = self._stored.get(key) or _Stored()
            watched = self._watched[key] = self._held.get(key) or stored.watched(key)
            watched.episode = stored.episode
            for word in stored.inputs:
                self._outcomes.add(key, watched.hear(word["kind"]), stored.episode)
                self._outcomes.heard.append(word["id"])
            if key not in self._rebuilding:  # detectors and episode may disagree until then
                self._outcomes.add(key, watched.reconcile(), stored.episode)
        return watched

    def watched(self) -> dict[Key, WatchedKey]:
        """Give the keys that were judged, as they are once this is committed."""
        return self._watched

    def replace(self, key: Key, folded: WatchedKey, rows: Outcome) -> None:
        """Put a key that was folded anew in the place of the stored one."""
        self._watched[key] = folded
        stored = self._stored.get(key) or _Stored()
        self._outcomes.add(key, rows, stored.episode)

    def rows(self) -> dict[str, Any]:
        """Give the parts of the argument of `commit_batch` and `commit_pass` that are found."""
        keys = list(self._watched.values())
        wanted = {w.key: reason for w in keys if (reason := w.wants_rebuild())} | self._rebuilds
        return {
            "anew": [watched.key._asdict() for watched in keys if watched.detectors.anew],
            "keys": [_key_row(watched) for watched in keys],
            "detectors": [row for watched in keys for row in _detector_rows(watched)],
            "periods": self.periods,
            "rebuilds": [{**key._asdict(), "reason": reason} for key, reason in wanted.items()],
            "now": text(self._wall),
            "cooldown_seconds": self._rules.cooldown_seconds,
            **self._outcomes.parts(),
        }


class _Rows:
    """Episodes, alerts and notices of one commit, by the refs that tie them together."""

    def __init__(self, advisor: Advisor) -> None:
        self._advisor = advisor
        self._episodes: list[Episode] = []
        self._refs: dict[Key, int] = {}  # open episodes that are in _episodes
        self._alerts: list[Row] = []
        # By ref, of episodes whose figures changed: what advice is given on at the end.
        self._advised: dict[int, tuple[Episode, tuple[Event, Prediction] | None]] = {}
        self._notices: list[Row] = []
        self.inputs: list[Row] = []
        self.heard: list[int] = []

    def add(
        self,
        key: Key,
        outcome: Outcome,
        former: Episode | None,
        computed: tuple[Event, Prediction] | None = None,
    ) -> None:
        """Take what one step of a key led to, by an event where one is given.

        `former` is the open episode of before. Advice is given anew when the figures change.
        """
        for transition in outcome.changes:
            ref = self._change(transition)
            episode, change = transition.episode, transition.change
            if change is Change.RESOLVED:
                former = None
                continue
            if change.opens or _figures(episode) != _figures(former):
                self._advised[ref] = episode, computed
            former = episode
        self._notices += [
            {
                **key._asdict(),
                "kind": notice.kind,
                "message": notice.message,
                "event_id": notice.event_id or None,
                "occurred_at": text(notice.time),
            }
            for notice in outcome.notices
        ]

    def _change(self, transition: Transition) -> int:
        episode, change = transition.episode, transition.change
        ref = self._refs.get(episode.key)
        if ref is None:
            ref = self._refs[episode.key] = len(self._episodes)
            self._episodes.append(episode)
        else:
            self._episodes[ref] = episode
        if change is Change.RESOLVED:
            del self._refs[episode.key]
        if change is not Change.UPDATED and transition.told:
            self._alerts.append(
                {
                    "ref": ref,
                    "kind": change.value,
                    "level": "info" if change is Change.RESOLVED else episode.severity.wire,
                    "message": _message(episode, change),
                    "reason": _reason(episode, change),
                    "occurred_at": text(transition.time),
                }
            )
        return ref

    def parts(self) -> dict[str, list[Any]]:
        """Give them as the commit takes them."""
        return {
            "inputs": self.inputs,
            "heard": self.heard,
            "notices": self._notices,
            "episodes": [
                {"ref": ref, **episode.row()} for ref, episode in enumerate(self._episodes)
            ],
            "alerts": self._alerts,
            "advised": list(self._advised),
            "recommendations": [
                {"ref": ref, **advice.row()}
                for ref, shown in self._advised.items()
                for advice in self._advisor.advise(*shown)
            ],
        }


def _figures(episode: Episode | None) -> tuple[Any, ...]:
    """Give what the savings of an episode follow from."""
    if episode is None:
        return ()
    return episode.event_id, episode.predicted_co2, episode.baseline_co2, episode.drivers


class _Stored:
    """What the database holds of one key."""

    def __init__(self) -> None:
        self.state: Mapping[str, Any] | None = None
        self.detectors: dict[Identity, Mapping[str, Any]] = {}
        self.episode: Episode | None = None
        self.inputs: list[Mapping[str, Any]] = []

    def watched(self, key: Key) -> WatchedKey:
        return WatchedKey(key, detectors=self.detectors, state=self.state, episode=self.episode)


def _by_key(answer: Mapping[str, Any]) -> dict[Key, _Stored]:
    found: dict[Key, _Stored] = {}

    def of(row: Mapping[str, Any]) -> _Stored:
        return found.setdefault(key_of(row), _Stored())

    for row in answer["keys"]:
        of(row).state = row["state"]
    for row in answer["detectors"]:
        identity = Identity(*(row[name] for name in IDENTITY))
        of(row).detectors[identity] = row["state"]
    for row in answer["episodes"]:
        of(row).episode = Episode.from_row(row)
    for row in answer["inputs"]:
        of(row).inputs.append(row)
    return found


def _key_row(watched: WatchedKey) -> Row:
    return {
        **watched.key._asdict(),
        "newest_at": text(watched.newest or None),
        "due_at": text(watched.due_at()),
        "late": watched.detectors.late,
        "state": watched.state(),
    }


def _detector_rows(watched: WatchedKey) -> list[Row]:
    rows = []
    for identity, used in watched.detectors.changed().items():
        judge = used.detector if isinstance(used, PeriodSeries) else used
        rows.append(
            {
                **watched.key._asdict(),
                **dict(zip(IDENTITY, identity, strict=True)),
                "learned": judge.learned,
                "usual": judge.usual(),
                "spread": judge.spread.scale().body,
                "newest_at": text(used.newest - watched.offset if used.newest else None),
                "state": used.state(),
            }
        )
    return rows


def compared(findings: Sequence[Finding]) -> tuple[float | None, float | None]:
    """Give what an event usually costs in kg and the usual scatter, if it was judged."""
    if not findings or findings[0].period is not None:
        return None, None
    return _figures_of(findings[0].verdict)


def period_rows(key: Key, findings: Sequence[Finding]) -> list[Row]:
    """Give the rows of `periods` for what was found of periods."""
    return [
        _period_row(key, finding.identity, finding.period)
        for finding in findings
        if finding.period is not None and finding.verdict.status is not UNUSABLE
    ]


def _period_row(key: Key, identity: Identity, period: Period) -> Row:
    expected_kg, spread = _figures_of(period.verdict)
    return {
        "entity": key.entity,
        "entity_type": key.entity_type,
        "event_type": key.event_type,
        "method": identity.method,
        "basis": identity.basis,
        "country": identity.country,
        "since": day_of(period.since),
        "until": day_of(period.until),
        "events": period.events,
        "event_id": period.event_id or None,
        "kg": round(period.kg, 3),
        "activity": period.activity,
        "expected_kg": expected_kg,
        "spread": spread,
        "hotspot": period.verdict.marked,
    }


def _figures_of(verdict: Verdict) -> tuple[float | None, float | None]:
    if verdict.status is JUDGED or verdict.status is LATE:
        return round(verdict.expected_kg, 3), round(verdict.spread, 4)
    return None, None


def _message(episode: Episode, change: Change) -> str:
    entity, kind = episode.key.entity, episode.key.event_type
    match change:
        case Change.RESOLVED if episode.resolution is Resolution.NEW_NORMAL:
            return f"{entity}: what was too much is the new normal of its {kind}"
        case Change.RESOLVED if episode.resolution is Resolution.SUPERSEDED:
            return f"{entity}: its {kind} hotspot is not pursued any more"
        case Change.RESOLVED:
            return f"{entity} is back to its usual {kind}; {_peak(episode)}"
        case Change.ESCALATED:
            return f"{entity} is now {episode.severity.wire}: {episode.reason}"
        case Change.DEESCALATED:
            return f"{entity} is down to {episode.severity.wire}; {_peak(episode)}"
        case Change.REOPENED:
            return f"{entity} again: {episode.reason}"
        case _:
            return f"{entity}: {episode.reason}"


def _reason(episode: Episode, change: Change) -> str:
    """Say why, without the name of the entity."""
    match change:
        case Change.RESOLVED if episode.resolution is Resolution.NEW_NORMAL:
            return "it has lasted and is the new normal"
        case Change.RESOLVED if episode.resolution is Resolution.SUPERSEDED:
            return "it is not pursued any more"
        case Change.RESOLVED:
            return f"back to usual; {_peak(episode)}"
        case Change.DEESCALATED:
            return f"its level has fallen; {_peak(episode)}"
        case _:
            return episode.reason


def _peak(episode: Episode) -> str:
    return f"the peak was {episode.percent_above:.0f} % above"


def key_of(row: Mapping[str, Any]) -> Key:
    """Give the key that a row speaks of."""
    return Key(row["entity"], row["entity_type"], row["event_type"])


def seconds(moment: str | None) -> float | None:
    """Give epoch seconds of a timestamp of the database."""
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def text(moment: float | None) -> str | None:
    """Give the timestamp of epoch seconds for the database."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat()


def keys_of(rows: Sequence[Mapping[str, Any]]) -> list[Key]:
    """Give the keys that rows speak of."""
    return [key_of(row) for row in rows]
