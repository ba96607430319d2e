"""GET and HEAD on a table."""

from __future__ import annotations

from emulator.rest import embedding, lateral
from emulator.rest.clauses import Source
from emulator.rest.media import Format
from emulator.rest.preferences import Preferences
from emulator.rest.ranges import Range
from emulator.rest.schema import Schema, Table
from emulator.rest.sql import identifier, raw
from emulator.rest.statement import NO_BODY, SOURCE, Statement, build, rows_body
from emulator.rest.syntax import Query


def read(
    schema: Schema,
    table: Table,
    query: Query,
    rows: Range,
    preferences: Preferences,
    wanted: Format,
    *,
    max_rows: int,
    headers_only: bool,
) -> Statement:
    """Return the statement that reads at most `max_rows` rows of a table."""
    source = Source((schema.name, table.name), table.types)
    level = embedding.bind(schema, table.name, source, query)
    place = " from " + identifier(schema.name, table.name)
    selected = lateral.select(level, place, rows, max_rows)
    count = lateral.count(level, place)
    counted = count
    if preferences.count == "estimated":
        counted = count + f" limit {max_rows + 1}"
    main = build(
        selected,
        raw(f"select * from {SOURCE}"),
        NO_BODY if headers_only else rows_body(wanted),
        count=counted if preferences.counts else None,
    )
    estimates = preferences.count in {"planned", "estimated"}
    return Statement(
        main,
        read_only=True,
        explain="explain (format json) " + count if estimates else None,
    )
