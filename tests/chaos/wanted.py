"""Which rows a client wants: the harness' own idea of the endpoints' filters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.chaos.ledger import Row

# Query parameter to column, where they differ.
COLUMNS: Mapping[tuple[str, str], str] = {("alerts", "severity"): "level"}


@dataclass(frozen=True)
class Wanted:
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
