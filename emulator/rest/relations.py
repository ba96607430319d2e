"""Relationships between tables, by foreign keys, and the one that a request refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import permutations
from typing import Literal

from emulator.rest import errors

Cardinality = Literal["many-to-one", "one-to-many", "one-to-one", "many-to-many"]
Pairs = tuple[tuple[str, str], ...]
SIMILARITY = 0.33


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key within the schema; `columns` are pairs of an own and the referenced one."""

    name: str
    table: str
    foreign: str
    columns: Pairs
    unique: bool = False


@dataclass(frozen=True)
class Junction:
    """The table of a many-to-many relationship, with its foreign keys to both sides."""

    table: str
    source: ForeignKey
    target: ForeignKey


@dataclass(frozen=True)
class Relation:
    """A relationship from `table` to `foreign`; `columns` are the pairs that are compared.

    Those of a many-to-many relationship are in its junction.
    """

    table: str
    foreign: str
    cardinality: Cardinality
    constraint: str
    columns: Pairs = ()
    junction: Junction | None = None

    @property
    def to_one(self) -> bool:
        """Whether a row has at most one there."""
        return self.cardinality in {"many-to-one", "one-to-one"}

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns of `table` that are compared."""
        if self.junction is not None:
            return tuple(column for _, column in self.junction.source.columns)
        return tuple(column for column, _ in self.columns)

    def goes_by(self, name: str) -> bool:
        """Whether the hint names its constraint or its only column."""
        return self.junction is None and (name == self.constraint or (name,) == self._own)

    def is_meant_by(self, target: str, hint: str | None) -> bool:
        """Whether `target!hint` refers to it.

        Between a table and itself, the table's name leads to the many and the column's to the one.
        """
        if self.table == self.foreign:
            if target == self.foreign and self.cardinality == "one-to-many":
                return hint is None or hint == self.constraint or (hint,) == self._theirs
            return self.cardinality == "many-to-one" and hint is None and (target,) == self._own
        if hint is None:
            return target == self.foreign or self.goes_by(target)
        if target != self.foreign:
            return False
        between = self.junction is not None and hint == self.junction.table
        return between or self.goes_by(hint) or (hint,) == self._theirs

    @property
    def _own(self) -> tuple[str, ...]:
        return tuple(own for own, _ in self.columns)

    @property
    def _theirs(self) -> tuple[str, ...]:
        return tuple(foreign for _, foreign in self.columns)

    def description(self) -> dict[str, str]:
        """Describe it in the list of candidates of an ambiguous request."""
        if self.junction is not None:
            source, target = self.junction.source, self.junction.target
            relationship = (
                f"{self.junction.table} using {source.name}{_listed(dict(source.columns))}"
                f" and {target.name}{_listed(dict(target.columns))}"
            )
        else:
            relationship = (
                f"{self.constraint} using {self.table}{_listed(self._own)}"
                f" and {self.foreign}{_listed(self._theirs)}"
            )
        return {
            "cardinality": self.cardinality,
            "embedding": f"{self.table} with {self.foreign}",
            "relationship": relationship,
        }

    @property
    def remedy(self) -> str:
        """The target with the hint that leaves only this one."""
        hint = self.constraint if self.junction is None else self.junction.table
        return f"'{self.foreign}!{hint}'"


def _listed(names: Iterable[str]) -> str:
    return f"({', '.join(names)})"


Relations = Mapping[str, tuple[Relation, ...]]


def of(keys: Sequence[ForeignKey], primary_keys: Mapping[str, Iterable[str]]) -> Relations:
    """All relationships by the table that they start from."""
    found: dict[str, tuple[Relation, ...]] = {}
    for relation in (*_direct(keys), *_through_junctions(keys, primary_keys)):
        found[relation.table] = (*found.get(relation.table, ()), relation)
    return found


def _direct(keys: Iterable[ForeignKey]) -> Iterator[Relation]:
    for key in keys:
        there: Cardinality = "one-to-one" if key.unique else "many-to-one"
        back: Cardinality = "one-to-one" if key.unique else "one-to-many"
        yield Relation(key.table, key.foreign, there, key.name, key.columns)
        swapped = tuple((theirs, own) for own, theirs in key.columns)
        yield Relation(key.foreign, key.table, back, key.name, swapped)


def _through_junctions(
    keys: Iterable[ForeignKey], primary_keys: Mapping[str, Iterable[str]]
) -> Iterator[Relation]:
    """A junction has both of its foreign keys within its primary key."""
    leading = [key for key in keys if not key.unique and _within(key, primary_keys)]
    for source, target in permutations(leading, 2):
        if source.table == target.table:
            junction = Junction(source.table, source, target)
            yield Relation(
                source.foreign, target.foreign, "many-to-many", source.name, junction=junction
            )


def _within(key: ForeignKey, primary_keys: Mapping[str, Iterable[str]]) -> bool:
    return {own for own, _ in key.columns} <= set(primary_keys.get(key.table, ()))


def find(relations: Relations, schema: str, origin: str, target: str, hint: str | None) -> Relation:
    """The relationship that a request means.

    Raises ApiError PGRST200 when there is none, PGRST201 when there are several.
    """
    known = relations.get(origin, ())
    meant = [relation for relation in known if relation.is_meant_by(target, hint)]
    if len(meant) > 1:
        remedies = ", ".join(relation.remedy for relation in meant)
        raise errors.ambiguous_relation(
            origin, target, [relation.description() for relation in meant], remedies
        )
    if not meant:
        similar = _similar(relations, origin, target)
        raise errors.unknown_relation(schema, origin, target, hint, similar)
    return meant[0]


def _similar(relations: Relations, origin: str, target: str) -> str | None:
    """Return a similar name that has a relationship, and the name that it would replace."""
    if origin in relations:
        children = [r.foreign for r in relations[origin]]
        given, known = target, [] if target in children else children
    else:
        given, known = origin, list(relations)
    close = next(iter(get_close_matches(given, known, 1, SIMILARITY)), None)
    return None if close is None else f"Perhaps you meant '{close}' instead of '{given}'."
