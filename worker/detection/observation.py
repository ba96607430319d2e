"""What a detector is shown, and what it answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from worker.severity import Severity, Thresholds

DAY = 86_400.0  # seconds


# Neither frozen nor a named tuple, as the others that each event has: both take longer to make.
@dataclass(slots=True)
class Observation:
    """One event, or one period, of a detector.

    `time` is in epoch seconds of the tenant's clock, so that days and weekdays are local. `kg` are
    of CO2e. `activity` is in the unit of the detector's basis, None when it is not known.
    `covariate` is what the customer or the weather decides: ln(load / 900 kg) of a transport,
    degrees below 18 / 10 of a site, negative above. `vehicle` is a class whose emission factor has
    the logarithm `log_factor`. `metered` kilograms are measured, others computed. `parts` divide
    ln(kg / activity) into what the inputs say, for the drivers; they need not be complete. A period
    has the base load of so many `events`.
    """

    time: float
    kg: float | None
    activity: float | None
    covariate: float | None = None
    vehicle: str | None = None
    log_factor: float = 0.0
    metered: bool = True
    parts: tuple[tuple[str, float], ...] = ()
    events: float = 1.0

    @property
    def weekday(self) -> int:
        """Give 0 for Monday to 6 for Sunday."""
        return int(self.time // DAY + 3) % 7


class Status(StrEnum):
    """What became of an observation."""

    JUDGED = "judged"
    WARMING = "warming"  # learned, not judged: the detector is too young
    LATE = "late"  # judged by the point rule, not learned, opens nothing
    NO_ACTIVITY = "no_activity"  # not for this series
    UNUSABLE = "unusable"  # never learned from


# Python 3.11 finds a name in a tenth of the time that it takes to find a member of an enumeration.
JUDGED, WARMING, LATE = Status.JUDGED, Status.WARMING, Status.LATE
UNUSABLE = Status.UNUSABLE


class Change(StrEnum):
    """What an observation changed."""

    OPENED = "opened"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    NEW_NORMAL = "new_normal"
    IMPROVED = "improved"
    QUALITY = "quality"


class Rule(StrEnum):
    """What kind of evidence holds an episode open."""

    SPIKE = "spike"
    SHIFT = "shift"
    DRIFT = "drift"


SPIKE, SHIFT, DRIFT = Rule


class Standing(NamedTuple):
    """An open episode as a detector sees it after an observation.

    `level` is the logarithm of the episode's present ratio to what is usual; `times` counts the hot
    observations since `since` (epoch seconds), `events` all of them with the run that opened it;
    `severity` is the present one, which falls with the level;
    `excess_kg` is the sum over those that belong to it.
    """

    rule: Rule
    since: float
    events: int
    times: int
    severity: Severity
    level: float
    excess_kg: float
    recovering: bool


class Driver(NamedTuple):
    """How much of the excess one input explains.

    `log_ratio` is the logarithm of its effect against this detector's usual; the drivers' sum is
    the logarithm of the whole ratio, and the sum of their kg is the excess.
    """

    name: str
    log_ratio: float
    kg: float


@dataclass(init=False)
class Verdict:
    """The answer to one observation. Figures of one that was not judged are None or 0.

    `ratio` is kg to expected kg, `log_ratio` its logarithm, `z` its distance in usual spreads,
    `log_usual` the logarithm of the expected kg per unit of activity for such a job, `spread` the
    usual scatter as a share, `excess_kg` = kg - expected kg. `member` says that the observation
    belongs to the open episode without being hot, `silent` that a person does not want to hear of
    that episode. `deviations`, of one that is worth a word, are those of its parts from their usual
    values, as logarithms.
    """

    status: Status
    why: str | None = None
    hot: bool = False
    severity: Severity | None = None
    ratio: float = 1.0
    log_ratio: float = 0.0
    z: float = 0.0
    log_usual: float = -math.inf
    spread: float = 0.0
    expected_kg: float = 0.0
    excess_kg: float = 0.0
    change: Change | None = None
    standing: Standing | None = None
    member: bool = False
    silent: bool = False
    deviations: tuple[tuple[str, float], ...] | None = None

    # Not the one of a dataclass: what few verdicts have is read of the class, what is read of each
    # one is found faster in itself.
    def __init__(
        self, status: Status, why: str | None = None, change: Change | None = None
    ) -> None:
        self.status, self.why, self.change = status, why, change
        self.hot = self.silent = False
        self.standing = None

    @property
    def usual(self) -> float:
        """Give the expected kg per unit of activity for such a job."""
        return math.exp(self.log_usual)

    @property
    def drivers(self) -> tuple[Driver, ...]:
        """Say which input explains how much of the excess, the largest share first.

        The logarithm of the ratio is the sum of the deviations; each takes its share of the excess
        by the logarithmic mean of kg and expected kg (LMDI: Ang, Energy Policy 32, 2004), so
        nothing is left over. What no part explains is called "other".
        """
        if self.deviations is None:
            return ()
        rest = self.log_ratio
        mean = self.excess_kg / rest if rest else 0.0
        found = []
        for name, deviation in self.deviations:
            rest -= deviation
            found.append(Driver(name, deviation, deviation * mean))
        found.append(Driver("other", rest, rest * mean))
        return tuple(sorted(found, key=lambda driver: -driver.kg))

    @property
    def marked(self) -> bool:
        """Say whether the observation is a part of a hotspot."""
        return self.hot or self.member


@dataclass(frozen=True, slots=True)
class Rules:
    """What a tenant sets: severities by ratio, and the least excess in kg that is worth a word.

    Below `least_ratio` no single observation is hot, whatever its severity were. When `calm`, a
    hot observation below critical opens nothing unless one of the two before it was hot as well.
    Within `cooldown_seconds` of event time a key is not told of the same severity again. Where work
    differs `by_weekday`, the middle value of at least eight has to be better for an improvement:
    the sum of two low days a week is none.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    least_kg: float = 0.0
    least_ratio: float = 1.0
    calm: bool = False
    cooldown_seconds: float = DAY
    by_weekday: bool = False
