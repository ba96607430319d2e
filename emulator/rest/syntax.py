"""The syntax tree of a query string."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Quantifier = Literal["any", "all"]


@dataclass(frozen=True)
class Step:
    """A step of a JSON path; `text` is true for `->>`."""

    operand: str
    is_index: bool
    text: bool


@dataclass(frozen=True)
class Field:
    """A column, or a place within its JSON value."""

    name: str
    path: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Selected:
    """A column of the answer; without a field it stands for all columns."""

    field: Field | None
    alias: str | None = None
    cast: str | None = None


@dataclass(frozen=True)
class Comparison:
    """`field operator value`; `values` is the list of `in`."""

    field: Field
    operator: str
    value: str = ""
    values: tuple[str, ...] = ()
    negated: bool = False
    quantifier: Quantifier | None = None
    language: str | None = None


@dataclass(frozen=True)
class BooleanGroup:
    """Conditions joined by `and` or `or`."""

    operator: Literal["and", "or"]
    terms: tuple[Condition, ...]
    negated: bool = False


Condition = Comparison | BooleanGroup


@dataclass(frozen=True)
class Ordering:
    """One term of `order`; with `relation` by a column of what is embedded under that name."""

    field: Field
    descending: bool | None = None
    nulls_first: bool | None = None
    relation: str | None = None


@dataclass(frozen=True)
class Query:
    """A query string, or the part of it that concerns one embedded table.

    `arguments` are those of a function called by GET.
    """

    select: tuple[Selected, ...] = (Selected(None),)
    embeddings: tuple[Embedding, ...] = ()
    conditions: tuple[Condition, ...] = ()
    order: tuple[Ordering, ...] = ()
    limit: int | None = None
    offset: int | None = None
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    arguments: tuple[tuple[str, str], ...] = field(default=())

    @property
    def selects_all(self) -> bool:
        """Whether `*` is among the selected columns."""
        return any(item.field is None for item in self.select)


@dataclass(frozen=True)
class Embedding:
    """Another table within `select`; a `spread` one gives its columns to the table around it.

    `hint` tells relationships apart, and an `inner` one leaves out rows that have nothing there.
    """

    name: str
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False
    query: Query = Query(select=())

    @property
    def key(self) -> str:
        """The name that its rows have in the answer."""
        return self.alias or self.name
