"""Which groups an event has to be compared with: most filters demand a value that it lacks."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from relay.changes.filters import Filter
from relay.changes.records import Change


class Filtered(Protocol):
    """Something with a filter."""

    @property
    def wanted(self) -> Filter:
        """The filter."""


G = TypeVar("G", bound=Filtered)


class Index(Generic[G]):
    """Groups by the value that they demand of a column which a row never changes.

    Such a column decides alone that neither the row nor any earlier version of it was wanted.
    """

    def __init__(self) -> None:
        self._others: dict[G, None] = {}
        self._by_value: dict[str, dict[object, dict[G, None]]] = {}

    def add(self, group: G) -> None:
        """From now on the group is found."""
        for place in self._places(group):
            place[group] = None

    def discard(self, group: G) -> None:
        """From now on it is not."""
        for place in self._places(group):
            place.pop(group, None)
        fixed = group.wanted.fixed()
        if fixed is not None:
            column, values = fixed
            for value in values:
                if not self._by_value[column][value]:
                    del self._by_value[column][value]

    def concerned(self, change: Change) -> Iterator[G]:
        """The groups whose filter may let the change pass, or notice that a row left; each once."""
        yield from self._others
        for column, groups in self._by_value.items():
            if change.record is not None:
                yield from groups.get(change.record.get(column), ())
            else:  # a deletion does not tell what the row was
                yield from dict.fromkeys(each for some in groups.values() for each in some)

    def _places(self, group: G) -> list[dict[G, None]]:
        fixed = group.wanted.fixed()
        if fixed is None:
            return [self._others]
        column, values = fixed
        by_value = self._by_value.setdefault(column, {})
        return [by_value.setdefault(value, {}) for value in values]
