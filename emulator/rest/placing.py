"""Assigns each parameter to the table that its name refers to: `other.id=eq.1` to `other`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from emulator.rest import errors
from emulator.rest.syntax import BooleanGroup, Comparison, Condition, Embedding, Ordering, Query


@dataclass(frozen=True)
class Order:
    """The terms of one `order`."""

    terms: tuple[Ordering, ...]


@dataclass(frozen=True)
class Bound:
    """One `limit` or `offset`; None when it is no number."""

    name: Literal["limit", "offset"]
    number: int | None


@dataclass(frozen=True)
class Placed:
    """A parameter, and the path of embedded tables to the one it applies to."""

    tables: tuple[str, ...]
    what: Condition | Order | Bound


def placed(query: Query, parameters: Sequence[Placed]) -> Query:
    """Return the query with each parameter applied to its table.

    Like the real server: the first order counts, and the last limit and offset. Raises ApiError
    PGRST108 for a table that is not embedded.
    """
    inner: list[list[Placed]] = [[] for _ in query.embeddings]
    for one in parameters:
        if one.tables:
            place = _place(query.embeddings, one.tables[0])
            inner[place].append(Placed(one.tables[1:], one.what))
    own = [one.what for one in parameters if not one.tables]
    orders = [what.terms for what in own if isinstance(what, Order)]
    bounds = {what.name: what.number for what in own if isinstance(what, Bound)}
    return replace(
        query,
        embeddings=tuple(
            replace(embedding, query=placed(embedding.query, parts))
            for embedding, parts in zip(query.embeddings, inner, strict=True)
        ),
        conditions=tuple(what for what in own if isinstance(what, Comparison | BooleanGroup)),
        order=orders[0] if orders else (),
        limit=bounds.get("limit"),
        offset=bounds.get("offset"),
    )


def _place(embeddings: Sequence[Embedding], name: str) -> int:
    for place, embedding in enumerate(embeddings):
        if name in {embedding.name, embedding.alias}:
            return place
    raise errors.not_embedded(name)
