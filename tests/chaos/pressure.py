"""How much the machine had to do, as Linux counts it."""

from __future__ import annotations

import re
import time
from pathlib import Path

SOURCE = Path("/proc/pressure/cpu")


class Pressure:
    """Since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = _waited()

    def share(self) -> float | None:
        """Of the time, in which somebody waited for a processor; None if the system does not
        tell."""
        now = _waited()
        if now is None or self._before is None:
            return None
        return min(1.0, (now - self._before) / (time.monotonic() - self._began))


def _waited() -> float | None:
    try:
        found = re.search(r"some .*total=(\d+)", SOURCE.read_text())
    except OSError:
        return None
    return int(found[1]) / 1_000_000 if found else None
