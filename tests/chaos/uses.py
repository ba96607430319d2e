"""A fault that was used. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.schedule import Planned

AFTER_SECONDS = 2.0  # what comes of a fault may come as long after its end


@dataclass
class Use:
    """One use; times in seconds of the run's clock. `done`: it met something."""

    planned: Planned
    start: float
    end: float = float("inf")
    done: bool = False

    @property
    def until(self) -> float:
        """Up to when things are counted as of this fault."""
        return self.end + AFTER_SECONDS
