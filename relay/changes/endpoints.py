"""The three endpoints: their tables, what can be filtered, and which rows count as open."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class Column:
    """A column that a query parameter filters on; `values` are all that it can have, None when any
    text is possible."""

    name: str
    values: frozenset[str] | None = None


@dataclass(frozen=True)
class Endpoint:
    """A table and the stream of its changes; `number` is its `t` in changes_since and deletions."""

    name: str
    number: int
    filters: Mapping[str, Column] = field(hash=False)
    open_column: str
    open_value: str | bool

    def is_open(self, record: Mapping[str, object]) -> bool:
        """Whether the row still waits for something to happen, so that every client gets it."""
        return record.get(self.open_column) == self.open_value


SEVERITIES: Final = frozenset({"info", "warn", "critical"})

HOTSPOTS: Final = Endpoint(
    name="hotspots",
    number=1,
    filters=MappingProxyType(
        {
            "severity": Column("severity", SEVERITIES),
            "status": Column("status", frozenset({"active", "resolved", "ignored"})),
            "entity": Column("entity"),
        }
    ),
    open_column="status",
    open_value="active",
)
ALERTS: Final = Endpoint(
    name="alerts",
    number=2,
    filters=MappingProxyType({"severity": Column("level", SEVERITIES)}),
    open_column="acknowledged",
    open_value=False,
)
RECOMMENDATIONS: Final = Endpoint(
    name="recommendations",
    number=3,
    filters=MappingProxyType(
        {"status": Column("status", frozenset({"pending", "approved", "rejected", "implemented"}))}
    ),
    open_column="status",
    open_value="pending",
)
ENDPOINTS: Final = (HOTSPOTS, ALERTS, RECOMMENDATIONS)
BY_NAME: Final = MappingProxyType({endpoint.name: endpoint for endpoint in ENDPOINTS})
BY_NUMBER: Final = MappingProxyType({endpoint.number: endpoint for endpoint in ENDPOINTS})
