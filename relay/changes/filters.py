"""Which rows of an endpoint a client wants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relay.changes.endpoints import Endpoint


@dataclass(frozen=True, slots=True)
class Filter:
    """Allowed values by query parameter; equal filters share one log.

    `scope` is a column and its allowed values beside them, which the client cannot choose.
    """

    endpoint: Endpoint
    terms: tuple[tuple[str, tuple[str, ...]], ...] = ()
    scope: tuple[str, tuple[str, ...]] | None = None

    @classmethod
    def of(cls, endpoint: Endpoint, terms: Mapping[str, frozenset[str]]) -> "Filter":
        """The filter with these terms, in an order that makes equal ones equal."""
        return cls(endpoint, tuple((name, tuple(sorted(terms[name]))) for name in sorted(terms)))

    def __str__(self) -> str:
        return "&".join(f"{name}={','.join(values)}" for name, values in self.terms)

    @property
    def is_everything(self) -> bool:
        """Whether all rows pass."""
        return not self.terms and self.scope is None

    def columns(self) -> list[tuple[str, tuple[str, ...]]]:
        """Allowed values by column; all of them have to agree."""
        columns = [(self.endpoint.filters[name].name, values) for name, values in self.terms]
        return columns if self.scope is None else [*columns, self.scope]

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether the row passes."""
        columns = self.endpoint.filters
        return all(
            record.get(columns[name].name) in values for name, values in self.terms
        ) and self._in_scope(record)

    def _in_scope(self, record: Mapping[str, Any]) -> bool:
        if self.scope is None:
            return True
        column, values = self.scope
        value = record.get(column)
        return value is not None and str(value) in values
