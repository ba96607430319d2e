"""Which rows of an endpoint a client wants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relay.changes.endpoints import Endpoint


@dataclass(frozen=True, slots=True)
class Filter:
    """Allowed values by query parameter; equal filters share one log."""

    endpoint: Endpoint
    terms: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, endpoint: Endpoint, terms: Mapping[str, frozenset[str]]) -> "Filter":
        """The filter with these terms, in an order that makes equal ones equal."""
        return cls(endpoint, tuple((name, tuple(sorted(terms[name]))) for name in sorted(terms)))

    def __str__(self) -> str:
        return "&".join(f"{name}={','.join(values)}" for name, values in self.terms)

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Allowed values by column."""
        return {self.endpoint.filters[name].name: values for name, values in self.terms}

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether the row passes."""
        columns = self.endpoint.filters
        return all(record.get(columns[name].name) in values for name, values in self.terms)

    def fixed(self) -> tuple[str, tuple[str, ...]] | None:
        """A column that a row never changes, with the values that are allowed; None without one."""
        for name, values in self.terms:
            if self.endpoint.filters[name].fixed:
                return self.endpoint.filters[name].name, values
        return None

    def may_have_matched(self, record: Mapping[str, Any]) -> bool:
        """Whether an earlier version of the row can have passed: columns that may change decide
        nothing."""
        return all(
            record.get(self.endpoint.filters[name].name) in values
            for name, values in self.terms
            if self.endpoint.filters[name].fixed
        )
