"""Who follows what: a mixture of formats, endpoints and filters. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.ledger import TABLES
from tests.chaos.wanted import Wanted

ENTITIES = 300  # names of the hotspots' entities, used again and again
SOME_ENTITIES = tuple(f"SUP-{number}" for number in range(0, ENTITIES, 7))

FILTERS: dict[str, tuple[Wanted, ...]] = {
    "hotspots": (
        Wanted("hotspots", (("severity", ("critical",)),)),
        Wanted("hotspots", (("severity", ("warn", "critical")), ("status", ("active",)))),
        Wanted("hotspots", (("entity", SOME_ENTITIES),)),
        Wanted("hotspots", (("status", ("resolved", "ignored")),)),
    ),
    "alerts": (
        Wanted("alerts", (("severity", ("critical",)),)),
        Wanted("alerts", (("severity", ("info", "warn")),)),
    ),
    "recommendations": (
        Wanted("recommendations", (("status", ("pending",)),)),
        Wanted("recommendations", (("status", ("approved", "implemented")),)),
    ),
}


def wishes(count: int) -> Iterator[tuple[Wanted, bool]]:
    """For so many clients what each wants, and whether as bare rows: one in four. A third of those
    in relay.v1 have a filter."""
    for number in range(count):
        table = TABLES[number % len(TABLES)]
        turn = number // len(TABLES)
        rows = turn % 4 == 3
        filters = FILTERS[table]
        filtered = turn % 2 == 1 if not rows else turn % 8 == 7
        yield (filters[turn // 4 % len(filters)] if filtered else Wanted(table)), rows
