"""SQL of a table with embedded tables: one lateral join for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from emulator.rest import clauses
from emulator.rest.clauses import Related, Source
from emulator.rest.embedding import Embedded, Level
from emulator.rest.ranges import Range
from emulator.rest.sql import Sql, identifier, join, raw

JUNCTION = "pgrst_junction"


def select(level: Level, place: Sql, rows: Range, max_rows: int | None = None) -> Sql:
    """The rows of `level`, whose table is at `place` (` from …`), with all that is embedded.

    Of each table at most `max_rows` rows are taken.
    """
    return _select(level, place, Sql(), rows, max_rows)


def count(level: Level, place: Sql) -> Sql:
    """Return a statement with as many rows as `select` without a range, and no columns."""
    return _count(level, place, Sql())


def _select(level: Level, place: Sql, joined: Sql, rows: Range, max_rows: int | None) -> Sql:
    return (
        "select "
        + join(", ", _columns(level))
        + place
        + join("", (_join(level.source, embedded, max_rows) for embedded in level.embedded))
        + _where(joined, clauses.all_of(level.source, level.query.conditions))
        + clauses.order_by(level.source, level.query.order)
        + clauses.limit(rows if max_rows is None else rows.at_most(max_rows))
    )


def _where(*conditions: Sql) -> Sql:
    given = join(" and ", (condition for condition in conditions if condition))
    return " where " + given if given else given


def _columns(level: Level) -> Iterator[Sql]:
    if level.query.select:
        yield clauses.columns(level.source, level.query.select)
    for embedded in level.embedded:
        if not embedded.hidden:
            yield from _shown(embedded)


def _shown(embedded: Embedded) -> Iterator[Sql]:
    rows, to_one = identifier(embedded.alias), embedded.relation.to_one
    if embedded.asked.spread and to_one:
        yield rows + ".*"
    elif embedded.asked.spread:
        for name in embedded.level.names:
            column = identifier(embedded.alias, name)
            yield "coalesce(" + column + ", '[]') as " + identifier(name)
    elif to_one:
        yield "row_to_json(" + rows + ".*)::jsonb as " + identifier(embedded.asked.key)
    else:
        array = identifier(embedded.alias, embedded.alias)
        yield "coalesce(" + array + ", '[]') as " + identifier(embedded.asked.key)


def _join(origin: Source, embedded: Embedded, max_rows: int | None) -> Sql:
    """Return the join of the rows that belong to a row of `origin`, as rows or as one array."""
    query = embedded.level.query
    start = query.offset or 0
    rows = Range(start, None if query.limit is None else start + query.limit - 1)
    found = _select(embedded.level, _place(embedded), _condition(origin, embedded), rows, max_rows)
    alias = identifier(embedded.alias)
    present = raw("true")
    if not embedded.relation.to_one:
        arrays = raw("select ") + join(", ", _arrays(embedded))
        found = arrays + " from (" + found + ") as " + alias
        present = identifier(embedded.alias, embedded.alias) + " is not null"
    if embedded.asked.inner:
        return " inner join lateral (" + found + ") as " + alias + " on " + present
    return " left join lateral (" + found + ") as " + alias + " on true"


def _arrays(embedded: Embedded) -> Iterator[Sql]:
    """Aggregate all rows into one array; for a spread table, each of its columns."""
    rows = identifier(embedded.alias)
    yield "json_agg(" + rows + ")::jsonb as " + rows
    if embedded.asked.spread:
        for name in embedded.level.names:
            column = identifier(embedded.alias, name)
            yield "json_agg(" + column + ")::jsonb as " + identifier(name)


def _place(embedded: Embedded) -> Sql:
    relation, name = embedded.relation, embedded.level.source.name
    place = " from " + identifier(embedded.schema, relation.foreign)
    if name[-1] != relation.foreign:
        place += " as " + identifier(*name)
    if relation.junction is not None:
        junction = identifier(embedded.schema, relation.junction.table)
        place += ", " + junction + f" as {JUNCTION}"
    return place


def _condition(origin: Source, embedded: Embedded) -> Sql:
    """Return the join condition with `origin`."""
    target, relation = embedded.level.source, embedded.relation
    if relation.junction is None:
        return join(" and ", (_equal(origin, own, target, its) for own, its in relation.columns))
    between = Source((JUNCTION,), {})
    sides = ((origin, relation.junction.source), (target, relation.junction.target))
    return join(
        " and ",
        (_equal(between, own, side, theirs) for side, key in sides for own, theirs in key.columns),
    )


def _equal(left: Source, own: str, right: Source, theirs: str) -> Sql:
    return identifier(*left.name, own) + " = " + identifier(*right.name, theirs)


def _count(level: Level, place: Sql, joined: Sql) -> Sql:
    existing = {e.asked.key: _existing(level.source, e) for e in reversed(level.embedded)}
    related = {key: Related(exists, None) for key, exists in existing.items()}
    inner = [_existing(level.source, e) for e in level.embedded if e.asked.inner]
    source = replace(level.source, related=related)
    conditions = clauses.all_of(source, level.query.conditions)
    return "select 1" + place + _where(joined, conditions, *inner)


def _existing(origin: Source, embedded: Embedded) -> Sql:
    found = _count(embedded.level, _place(embedded), _condition(origin, embedded))
    return "exists (" + found + ")"
