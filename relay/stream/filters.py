"""Row filters of subscriptions, and an index that evaluates all of them at once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from relay.stream.change import Endpoint

Values = tuple[str | None, ...]
"""A row's values in the columns of filters, in the order of `Columns`."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Allowed values by query parameter; equal filters are served together.

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
        return all(_text(record.get(column)) in values for column, values in self.columns())


class Columns:
    """The columns of an endpoint that filters look at: those of its parameters, and that of scopes
    where there is one."""

    def __init__(self, endpoint: Endpoint, scope_column: str | None = None) -> None:
        named = [column.name for column in endpoint.filters.values()]
        self._names: Final = tuple(dict.fromkeys([*named, scope_column] if scope_column else named))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def values(self, record: Mapping[str, Any]) -> Values:
        """Return the row's values in them."""
        return tuple(_text(record.get(name)) for name in self._names)

    def demands(self, wanted: Filter) -> dict[int, frozenset[str]]:
        """The filter's allowed values by place in `values`."""
        found: dict[int, frozenset[str]] = {}
        for name, allowed in wanted.columns():  # a parameter and the scope may be of one column
            place = self._names.index(name)
            found[place] = found.get(place, frozenset(allowed)) & frozenset(allowed)
        return found


class Index:
    """Evaluates all filters at once: each has a number, the answer an integer with those bits.

    For each column there is the set of filters that allow a value and of those that do not ask, so
    that a row costs a look-up for each column, however many filters there are.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns: Final = columns
        self._allowing: Final[list[dict[str | None, int]]] = [{} for _ in columns]
        self._indifferent: Final = [0 for _ in columns]
        self._unused: list[int] = []
        self._count = 0

    def add(self, wanted: Filter) -> int:
        """Add a filter and return its number."""
        if not self._unused:
            self._unused.append(self._count)
            self._count += 1
        number = self._unused.pop()
        bit, demands = 1 << number, self._columns.demands(wanted)
        for place, allowing in enumerate(self._allowing):
            if place not in demands:
                self._indifferent[place] |= bit
            for value in demands.get(place, ()):
                allowing[value] = allowing.get(value, 0) | bit
        return number

    def discard(self, wanted: Filter, number: int) -> None:
        """Remove a filter; its number may be reused."""
        bit, demands = 1 << number, self._columns.demands(wanted)
        for place, allowing in enumerate(self._allowing):
            self._indifferent[place] &= ~bit
            for value in demands.get(place, ()):
                allowing[value] &= ~bit
                if not allowing[value]:
                    del allowing[value]
        self._unused.append(number)

    def passed_by(self, values: Values) -> int:
        """Return the filters that a row with these values passes, as bits."""
        found = -1
        for value, allowing, indifferent in zip(
            values, self._allowing, self._indifferent, strict=True
        ):
            found &= allowing.get(value, 0) | indifferent
        return found


def numbers(bits: int) -> Iterator[int]:
    """The numbers of the bits that are set, of which there are finitely many."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def union(found: Iterable[int]) -> int:
    """All bits of these."""
    together = 0
    for bits in found:
        together |= bits
    return together


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
