"""What happened to clients, and when. Pure: the caller brings the clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

# What must not be, whatever happens to the relay.
VIOLATIONS = ("duplicate", "stale", "order", "cursor", "filter", "bad frame", "unanswered")
MOST_WORDS = 40


@dataclass
class Incidents:
    """All of them by time; `words` has the first violations in words."""

    now: Callable[[], float]
    words: list[str] = field(default_factory=list)
    _all: list[tuple[float, str, str]] = field(default_factory=list)

    def note(self, kind: str, what: str) -> None:
        """Something happened."""
        self._all.append((self.now(), kind, what))
        if kind in VIOLATIONS and len(self.words) < MOST_WORDS:
            self.words.append(f"{kind}: {what}")

    def counts(self, start: float, end: float) -> Counter[str]:
        """How much of each kind happened in that time."""
        return Counter(kind for at, kind, _ in self._all if start <= at <= end)

    def reasons(self, kind: str) -> Counter[str]:
        """The texts of that kind of incident, and how often each came."""
        return Counter(what for _, each, what in self._all if each == kind)

    def violations(self) -> Counter[str]:
        """How often what must not be was, by kind."""
        return Counter(kind for _, kind, _ in self._all if kind in VIOLATIONS)
