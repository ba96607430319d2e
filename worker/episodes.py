"""The life of an episode: opened by a hot event, at its worst, resolved by normal ones."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from worker.events import Key
from worker.severity import Severity, percent_above

RESOLVED_AFTER = 3  # consecutive normal events


class Change(enum.Enum):
    """What an event did to an episode; `value` is the kind of the alert, where there is one."""

    OPENED = "opened"
    WORSENED = "worsened"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged event: kg CO2, and its severity, None when it is normal."""

    event_id: int
    predicted: float
    baseline: float
    severity: Severity | None


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode with the figures of its worst event; `id` and `version` once it is stored."""

    key: Key
    event_id: int
    predicted_co2: float
    baseline_co2: float
    percent_above: float
    severity: Severity
    status: str = "active"
    id: int | None = None
    version: int | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Episode:
        return cls(
            key=Key(row["entity"], row["entity_type"], row["event_type"]),
            event_id=row["event_id"],
            predicted_co2=float(row["predicted_co2"]),
            baseline_co2=float(row["baseline_co2"]),
            percent_above=float(row["percent_above"]),
            severity=Severity.from_wire(row["severity"]),
            status=row["status"],
            id=row["id"],
            version=row["version"],
        )

    def row(self) -> dict[str, Any]:
        """Give the columns of `hotspots`."""
        return {
            "id": self.id,
            "version": self.version,
            **self.key._asdict(),
            "predicted_co2": self.predicted_co2,
            "baseline_co2": self.baseline_co2,
            "percent_above": self.percent_above,
            "severity": self.severity.wire,
            "status": self.status,
            "event_id": self.event_id,
        }


def advance(
    episode: Episode | None, key: Key, judged: Judged, normal_streak: int
) -> tuple[Episode | None, Change | None]:
    """Give the key's episode after this event and what changed; the first is None without one.

    `episode` is the open one, `normal_streak` counts this event as well. A resolved episode is
    returned with its new status, and is not to be passed in again.
    """
    if judged.severity is None:
        if episode is not None and normal_streak >= RESOLVED_AFTER:
            return replace(episode, status="resolved"), Change.RESOLVED
        return episode, None
    percent = percent_above(judged.predicted, judged.baseline)
    if episode is None:
        return _peak(key, judged, judged.severity, percent), Change.OPENED
    if (judged.severity, percent) <= (episode.severity, episode.percent_above):
        return episode, None
    worse = _peak(key, judged, judged.severity, percent)
    change = Change.ESCALATED if judged.severity > episode.severity else Change.WORSENED
    return replace(worse, id=episode.id, version=episode.version), change


def _peak(key: Key, judged: Judged, severity: Severity, percent: float) -> Episode:
    return Episode(key, judged.event_id, judged.predicted, judged.baseline, percent, severity)
