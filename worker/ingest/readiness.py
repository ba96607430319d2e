"""From when on a supplier is judged: what its detectors have learned, and learn from a file.

It is counted by what the worker's detectors are told apart by, see `Identity`: litres in every
third row are a detector of their own. A detector needs `READY` observations before the one that is
judged. Where no activity is known, an observation is a whole day.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from worker.detection.detector import READY
from worker.detection.observation import DAY
from worker.detection.periods import GRACE_DAYS
from worker.detection.series import PERIOD, Identity

Key = tuple[str, str]
"""Supplier and event type."""

MOST_DAYS = 400  # that are told apart for one detector
EPOCH = datetime(1970, 1, 1)


@dataclass(slots=True)
class Learned:
    """What one detector learns from: events, or days since 1970 that are not closed yet."""

    observations: int = 0
    days: set[int] = field(default_factory=set)
    closed: int = -1
    newest: float = 0.0

    def closed_days(self, now: float) -> int:
        """Give the days that are complete, at this time of the worker's clock."""
        last = int((max(self.newest, now) - GRACE_DAYS * DAY) // DAY) - 1
        return self.observations + sum(self.closed < day <= last for day in self.days)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the summary. `learned` counts events, or days where `daily`."""

    supplier: str
    event_type: str
    compared: str
    learned: int
    daily: bool

    @property
    def judged(self) -> str:
        """From when on its events are judged."""
        missing = READY - self.learned
        what = "day" if self.daily else ""
        if missing < 0:
            return "yes"
        if missing == 0:
            return f"from the next {what}".rstrip() + " on"
        plural = "s" if missing > 1 else ""
        return f"after {missing} more {f'{what}{plural}' if what else ''}".rstrip()


class Readiness:
    """Counts for the suppliers and activities that are shown.

    `zone` divides days as the worker does; `clock` gives its time, None where events tell it.
    """

    def __init__(
        self,
        shown: Collection[Key],
        zone: tzinfo = UTC,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._shown = {key: {} for key in shown}  # type: dict[Key, dict[Identity, Learned]]
        self._zone = zone
        self._clock = clock

    @property
    def suppliers(self) -> list[str]:
        return sorted({supplier for supplier, _ in self._shown})

    def add(self, values: Mapping[str, Any], identity: Identity | None) -> None:
        """Take an event that a detector will learn from."""
        found = self._shown.get((values["supplier_id"], values["event_type"]))
        if found is None or identity is None:
            return
        learned = found.get(identity)
        if learned is None:
            learned = found[identity] = Learned()
        if not identity.absolute:
            learned.observations += 1
            return
        moment = datetime.fromisoformat(values["timestamp"]).astimezone(self._zone)
        seconds = (moment.replace(tzinfo=None) - EPOCH) / timedelta(seconds=1)
        learned.newest = max(learned.newest, seconds)
        if len(learned.days) < MOST_DAYS:
            learned.days.add(int(seconds // DAY))

    def know(self, detectors: Iterable[Mapping[str, Any]]) -> None:
        """Take what detectors have learned already: rows of the function `learned_of`."""
        for row in detectors:
            found = self._shown.get((row["supplier_id"], row["event_type"]))
            identity = Identity(row["series"], row["method"], row["basis"], row["country"])
            if found is None or identity.absolute != (row["series"] == PERIOD):
                continue
            learned = found.setdefault(identity, Learned())
            learned.observations += row["learned"]
            if identity.absolute:
                learned.days |= set(map(int, row["days"] or ()))
                learned.closed = -1 if row["closed"] is None else row["closed"]
                if learned.days:
                    learned.newest = max(learned.newest, max(learned.days) * DAY)

    def lines(self) -> list[Line]:
        """Give the summary, in the order of names."""
        now = 0.0 if self._clock is None else self._clock()
        lines = []
        for (supplier, event_type), found in sorted(self._shown.items()):
            if not found:
                lines.append(Line(supplier, event_type, "nothing usable", 0, False))
            for identity, learned in sorted(found.items()):
                compared = ", ".join(filter(None, (identity.method, _basis(identity))))
                if identity.country:
                    compared += f", {identity.country}"
                daily = identity.absolute
                count = learned.closed_days(now) if daily else learned.observations
                lines.append(Line(supplier, event_type, compared, count, daily))
        return lines


def _basis(identity: Identity) -> str:
    return "per day" if identity.absolute else f"per {identity.basis}"
