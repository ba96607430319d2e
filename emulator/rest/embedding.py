"""Resolves the embedded tables of a query: which tables, and by which relationships."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from emulator.rest import relations
from emulator.rest.clauses import Related, Source, output_name
from emulator.rest.relations import Relation
from emulator.rest.schema import Schema
from emulator.rest.sql import identifier
from emulator.rest.syntax import Embedding, Query

# PostgreSQL cuts longer names; what is added to one has to stay.
NAME_BYTES = 50


@dataclass(frozen=True)
class Level:
    """A table of the answer, its part of the query, and the tables embedded in it."""

    source: Source
    query: Query
    embedded: tuple[Embedded, ...]

    @property
    def names(self) -> Iterator[str]:
        """The names of its columns in the answer."""
        for item in self.query.select:
            name = output_name(item)
            yield from self.source.types if name is None else (name,)
        for embedded in self.embedded:
            if embedded.hidden:
                continue
            yield from embedded.level.names if embedded.asked.spread else (embedded.asked.key,)

    @property
    def needed(self) -> Iterator[str]:
        """The columns that tables are embedded by, selected or not."""
        for embedded in self.embedded:
            yield from embedded.relation.needed


@dataclass(frozen=True)
class Embedded:
    """A table within another: `alias` is the name of its rows in the other's statement."""

    asked: Embedding
    schema: str
    relation: Relation
    alias: str
    level: Level

    @property
    def hidden(self) -> bool:
        """Whether it only decides which rows there are, and shows nothing."""
        return not self.asked.query.select and all(e.hidden for e in self.level.embedded)

    @property
    def related(self) -> Related:
        """The embedded table as a source for conditions and order of the outer table."""
        row = Source((self.alias,), self.level.source.types)
        present = identifier(self.alias) + " is distinct from null"
        return Related(present, row if self.relation.to_one else None)


def bind(schema: Schema, table: str, source: Source, query: Query) -> Level:
    """Resolve `query` against `table`, which is read from `source`.

    Raises ApiError PGRST200 for an embedded table that is not related to the outer one,
    PGRST201 for one with several relationships.
    """
    return _bind(schema, table, source, query, 1)


def _bind(schema: Schema, table: str, source: Source, query: Query, depth: int) -> Level:
    embedded = tuple(
        _embed(schema, table, asked, f"pgrst_embed_{position}", depth)
        for position, asked in enumerate(query.embeddings, 1)
    )
    related: Mapping[str, Related] = {e.asked.key: e.related for e in reversed(embedded)}
    return Level(replace(source, related=related), query, embedded)


def _embed(schema: Schema, origin: str, asked: Embedding, alias: str, depth: int) -> Embedded:
    relation = relations.find(schema.relations, schema.name, origin, asked.name, asked.hint)
    table = relation.foreign
    name: tuple[str, ...] = (schema.name, table)
    if table == origin:
        name = (f"{table.encode()[:NAME_BYTES].decode(errors='ignore')}_{depth}",)
    query = asked.query
    if not query.select and not query.embeddings:
        query = replace(query, select=Query().select)
    source = Source(name, schema.table(table).types)
    level = _bind(schema, table, source, query, depth + 1)
    return Embedded(asked, schema.name, relation, alias, level)
