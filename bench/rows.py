"""The rows that every contestant carries: what the relay sends for one has exactly 350 bytes.

`n` counts the rows and `t` is when one was published, in nanoseconds of the monotonic clock, for
the load generator to read. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

ROW_BYTES = 350
STAMPS = ("tx", "version", "changed_at")
ENTITIES = tuple(f"SUP-{number:03d}" for number in range(40))

Record = dict[str, object]


@dataclass(frozen=True, slots=True)
class Row:
    """A committed row; `written` is the time of the write in seconds since 1970."""

    n: int
    t: int
    tx: int
    written: float

    @property
    def id(self) -> int:
        """Ids begin at 1."""
        return self.n + 1


def entity(n: int) -> str:
    """The entity of the row with that number."""
    return ENTITIES[n % len(ENTITIES)]


def record(row: Row) -> Record:
    """The whole row with its stamps, columns in the order in which jsonb keeps them."""
    bare = _record(row, "")
    missing = ROW_BYTES - len(compact(bare))
    return _record(row, "x" * missing)


def compact(record: Record) -> str:
    """The row as clients get it: without stamps and spaces."""
    kept = {name: value for name, value in record.items() if name not in STAMPS}
    return json.dumps(kept, separators=(",", ":"))


def text(n: int, t: int) -> bytes:
    """What every other contestant is given: the same bytes as the relay sends for that row."""
    return compact(record(Row(n, t, 0, 0.0))).encode()


def timestamp(seconds: float) -> str:
    """A timestamptz as PostgreSQL writes it in JSON."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def _record(row: Row, padding: str) -> Record:
    written = timestamp(row.written)
    return {
        "n": row.n,
        "t": row.t,
        "id": row.id,
        "tx": row.tx,
        "entity": entity(row.n),
        "status": "active",
        "version": 1,
        "event_id": 700000 + row.n,
        "severity": ("info", "warn", "critical")[row.n % 3],
        "changed_at": written,
        "created_at": written,
        "event_type": f"logistics{padding}",
        "entity_type": "supplier",
        "resolved_at": None,
        "baseline_co2": 412.5,
        "percent_above": 37.25,
        "predicted_co2": 566.15625,
    }
