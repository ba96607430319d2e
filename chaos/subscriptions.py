"""Who follows what: a mixture of formats, endpoints and filters. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chaos.ledger import TABLES, Row

# Query parameter to column, where they differ.
COLUMNS: Mapping[tuple[str, str], str] = {("alerts", "severity"): "level"}


@dataclass(frozen=True)
class Subscription:
    """An endpoint and, by query parameter, the values that pass."""

    table: str
    terms: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def query(self) -> str:
        """The terms as in an address."""
        return "&".join(f"{name}={','.join(values)}" for name, values in self.terms)

    def matches(self, row: Row) -> bool:
        """Whether the row passes."""
        return all(
            row[COLUMNS.get((self.table, name), name)] in values for name, values in self.terms
        )


ENTITIES = 300  # names of the hotspots' entities, used again and again
SOME_ENTITIES = tuple(f"SUP-{number}" for number in range(0, ENTITIES, 7))

FILTERS: dict[str, tuple[Subscription, ...]] = {
    "hotspots": (
        Subscription("hotspots", (("severity", ("critical",)),)),
        Subscription("hotspots", (("severity", ("warn", "critical")), ("status", ("active",)))),
        Subscription("hotspots", (("entity", SOME_ENTITIES),)),
        Subscription("hotspots", (("status", ("resolved", "ignored")),)),
    ),
    "alerts": (
        Subscription("alerts", (("severity", ("critical",)),)),
        Subscription("alerts", (("severity", ("info", "warn")),)),
    ),
    "recommendations": (
        Subscription("recommendations", (("status", ("pending",)),)),
        Subscription("recommendations", (("status", ("approved", "implemented")),)),
    ),
}


def mixture(count: int) -> Iterator[tuple[Subscription, bool]]:
    """Yield the subscription of each client, and whether it gets bare rows: one in four does.

    A third of those in relay.v1 have a filter."""
    for number in range(count):
        table = TABLES[number % len(TABLES)]
        turn = number // len(TABLES)
        rows = turn % 4 == 3
        filters = FILTERS[table]
        filtered = turn % 2 == 1 if not rows else turn % 8 == 7
        yield (filters[turn // 4 % len(filters)] if filtered else Subscription(table)), rows
