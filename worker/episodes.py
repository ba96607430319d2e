"""The episode that people see of a key, whatever detectors see it: one open row of `hotspots`."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from worker.detection.observation import Driver, Rule, Standing
from worker.detection.reason import counted, sentence
from worker.detection.series import PERIOD, Finding
from worker.events import Key
from worker.severity import Severity, Thresholds, percent_above


class Change(enum.Enum):
    """What happened to an episode; `value` is the kind of the alert, where there is one."""

    OPENED = "opened"
    REOPENED = "reopened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    DEESCALATED = "deescalated"
    RESOLVED = "resolved"

    @property
    def opens(self) -> bool:
        """Say whether the episode begins with it."""
        return self in (Change.OPENED, Change.REOPENED)


class Transition(NamedTuple):
    """What happened to an episode, when in event time (epoch seconds), and whether to tell."""

    episode: Episode
    change: Change
    time: float
    told: bool


class Resolution(enum.StrEnum):
    """Why an episode ended; a person's end has none."""

    RECOVERED = "recovered"
    NEW_NORMAL = "new_normal"
    SUPERSEDED = "superseded"  # nobody who sees it has had an event for long, or the past is clear


class Episode(NamedTuple):
    """An episode with the figures of its worst event or period; kg CO2e, times in epoch seconds.

    For a slow opening the figures are those of the event's work at the level of the whole run.
    `severity` is the present one, `peak_severity` that of the figures. `announced`: its opening has
    been told by an alert. `reopens`: a former episode of the key had ended shortly before. `id` and
    `version` once it is stored.
    """

    key: Key
    event_id: int
    predicted_co2: float
    baseline_co2: float
    percent_above: float
    severity: Severity
    series: str
    rule: str
    excess_kg: float
    reason: str
    occurred_at: float
    last_seen_at: float
    peak_severity: Severity = Severity.INFO
    drivers: tuple[Driver, ...] = ()
    recovering: bool = False
    announced: bool = True
    reopens: bool = False
    status: str = "active"
    resolution: Resolution | None = None
    id: int | None = None
    version: int | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Episode:
        """Read a row of `hotspots` that this worker wrote."""
        return cls(
            key=Key(row["entity"], row["entity_type"], row["event_type"]),
            event_id=row["event_id"],
            predicted_co2=float(row["predicted_co2"]),
            baseline_co2=float(row["baseline_co2"]),
            percent_above=float(row["percent_above"]),
            severity=Severity.from_wire(row["severity"]),
            series=row["series"],
            rule=row["rule"],
            excess_kg=float(row["excess_kg"]),
            reason=row["reason"],
            occurred_at=_seconds(row["occurred_at"]),
            last_seen_at=_seconds(row["last_seen_at"]),
            drivers=tuple(
                Driver(driver["input"], driver["log_ratio"], driver["kg"])
                for driver in row["drivers"]
            ),
            peak_severity=Severity.from_wire(row["peak_severity"]),
            recovering=row["phase"] == "recovering",
            announced=row["announced"],
            reopens=row["previous_id"] is not None,
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
            "peak_severity": self.peak_severity.wire,
            "status": self.status,
            "event_id": self.event_id,
            "phase": "recovering" if self.recovering else "firing",
            "series": self.series,
            "rule": self.rule,
            "excess_kg": self.excess_kg,
            "reason": self.reason,
            "occurred_at": _text(self.occurred_at),
            "last_seen_at": _text(self.last_seen_at),
            "drivers": [
                {"input": driver.name, "log_ratio": driver.log_ratio, "kg": driver.kg}
                for driver in self.drivers
            ],
            "announced": self.announced,
            "reopens": self.reopens,
            "resolution": self.resolution,
        }

    @property
    def rank(self) -> tuple[Severity, float]:
        """Order the figures of one episode by how bad they are."""
        return self.peak_severity, self.percent_above

    def resolved(self, why: Resolution) -> Episode:
        """Give the episode at its end."""
        return self._replace(status="resolved", resolution=why)

    def with_id_of(self, stored: Episode) -> Episode:
        """Give this episode as a new version of a stored one."""
        return self._replace(id=stored.id, version=stored.version, announced=stored.announced)

    def as_new(self, *, recent: bool) -> Episode:
        """Give this episode as one that is not stored yet."""
        return self._replace(id=None, version=None, announced=recent)


class Figures(NamedTuple):
    """How bad one finding shows an episode: kg CO2e, and the severity of that.

    `level` is the logarithm of the ratio of a whole run, None where the figures are the event's.
    """

    predicted_co2: float
    peak_severity: Severity
    percent_above: float
    level: float | None

    @classmethod
    def of(cls, finding: Finding, standing: Standing, thresholds: Thresholds) -> Self:
        verdict, level = finding.verdict, None
        if verdict.hot or standing.rule is Rule.SPIKE:
            predicted = finding.kg
        else:
            level = max(standing.level, math.log(thresholds.info))
            predicted = verdict.expected_kg * math.exp(level)
        peak = thresholds.of_ratio(predicted / verdict.expected_kg) or Severity.INFO
        return cls(predicted, peak, percent_above(predicted, verdict.expected_kg), level)

    @property
    def rank(self) -> tuple[Severity, float]:
        """Order figures of one episode by how bad they are."""
        return self.peak_severity, self.percent_above


def rule_of(finding: Finding, standing: Standing) -> str:
    """Name the rule that holds an episode open."""
    if standing.rule is Rule.SPIKE and finding.identity.series == PERIOD:
        return "period"
    return standing.rule.value


def shown(key: Key, finding: Finding, standing: Standing, time: float, figures: Figures) -> Episode:
    """Give the episode as one finding shows it; `time` is the finding's in epoch seconds."""
    verdict, level = finding.verdict, figures.level
    drivers = verdict.drivers
    if level is not None:
        drivers = _scaled(drivers, level, figures.predicted_co2 - verdict.expected_kg)
    return Episode(
        key=key,
        event_id=finding.event_id,
        predicted_co2=figures.predicted_co2,
        baseline_co2=verdict.expected_kg,
        percent_above=figures.percent_above,
        severity=min(standing.severity, figures.peak_severity),
        peak_severity=figures.peak_severity,
        series=finding.identity.series,
        rule=rule_of(finding, standing),
        excess_kg=standing.excess_kg,
        reason=_reason(finding, standing),
        occurred_at=time,
        last_seen_at=time,
        drivers=drivers,
        recovering=standing.recovering,
    )


def _reason(finding: Finding, standing: Standing) -> str:
    reason = sentence(finding.identity, finding.verdict, standing, finding.period)
    return counted(reason, standing, finding.time)


def _scaled(drivers: tuple[Driver, ...], level: float, excess_kg: float) -> tuple[Driver, ...]:
    """Divide the excess of a run as that of its newest event is, if that one has an excess."""
    total = sum(driver.kg for driver in drivers)
    if total <= 0:
        return (Driver("other", level, excess_kg),)
    logarithm = sum(driver.log_ratio for driver in drivers)
    return tuple(
        Driver(driver.name, driver.log_ratio / logarithm * level, driver.kg / total * excess_kg)
        for driver in drivers
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
