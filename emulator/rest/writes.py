"""POST, PUT, PATCH and DELETE on a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from emulator.rest import clauses, embedding, errors, lateral
from emulator.rest.clauses import Source
from emulator.rest.media import Format
from emulator.rest.payload import Payload
from emulator.rest.preferences import Preferences
from emulator.rest.ranges import ALL
from emulator.rest.schema import Column, Schema, Table
from emulator.rest.sql import Sql, array_literal, identifier, join, raw, value
from emulator.rest.statement import NO_BODY, SOURCE, Statement, build, rows_body
from emulator.rest.syntax import Comparison, Query

BODY = "pgrst_body"
# Counts rows that were given (+1) and rows that were there already (-1); the comparisons are
# true always, they are only there to be evaluated once a row.
COUNT_UP = (
    "set_config('pgrst.inserted', (coalesce(nullif(current_setting('pgrst.inserted', true), '')"
    "::int, 0) + 1)::text, true) <> ''"
)
COUNT_DOWN = COUNT_UP.replace("+ 1", "- 1")


class Write:
    """The statements that write to one table."""

    def __init__(
        self,
        schema: Schema,
        table: Table,
        query: Query,
        preferences: Preferences,
        wanted: Format,
    ) -> None:
        self._table = table
        self._query = query
        self._preferences = preferences
        self._wanted = wanted
        self._target = Source((schema.name, table.name), table.types)
        self._name = identifier(schema.name, table.name)
        result = Source((table.name,), table.types)
        # The filters decide which rows are written, not which of them are shown.
        self._result = embedding.bind(schema, table.name, result, replace(query, conditions=()))

    def insert(self, payload: Payload) -> Statement:
        """POST: new rows, or with a resolution also old ones."""
        columns = [self._table.column(name) for name in payload.names]
        resolution = self._preferences.resolution
        keys = self._query.on_conflict
        if keys is None:
            keys = self._table.primary_key
        conflict, condition = Sql(), Sql()
        if resolution is not None and keys:
            merges = resolution == "merge-duplicates"
            conflict = _on_conflict(keys, columns if merges else [])
        if resolution == "merge-duplicates":
            condition = raw(f" where {COUNT_UP}")
        return self._statement(
            self._inserting(payload, columns, condition) + conflict + self._returning(),
            counts_inserted=resolution == "merge-duplicates",
            locates=self._preferences.returning == "headers-only",
        )

    def put(self, payload: Payload) -> Statement:
        """PUT: exactly the row whose primary key the filters name.

        Raises ApiError PGRST105 unless the filters are `eq` on all of the primary key.
        """
        self._check_put_filters()
        columns = [self._table.column(name) for name in payload.names]
        source = Source((BODY,), self._table.types)
        named = clauses.all_of(source, self._query.conditions)
        inserting = self._inserting(payload, columns, f" where {COUNT_UP} and " + named)
        conflict = _on_conflict(self._table.primary_key, columns)
        return self._statement(inserting + conflict + self._returning(), counts_inserted=True)

    def update(self, payload: Payload) -> Statement:
        """PATCH: the rows that match the filters."""
        columns = [self._table.column(name) for name in payload.names]
        where = self._where("UPDATE")
        if not columns:
            # Nothing to set, so no row is changed; the empty result still has its columns.
            return self._statement("select * from " + self._name + " where false")
        assignments = join(
            ", ",
            (identifier(c.name) + " = " + identifier(BODY, c.name) for c in columns),
        )
        records = self._records(payload, columns)
        return self._statement(
            "update "
            + self._name
            + " set "
            + assignments
            + " from "
            + records
            + where
            + self._returning()
        )

    def delete(self) -> Statement:
        """DELETE: the rows that match the filters."""
        return self._statement(
            "delete from " + self._name + self._where("DELETE") + self._returning()
        )

    def _where(self, verb: str) -> Sql:
        """The filters; without any the hosted service refuses the statement, and so does this."""
        if not self._query.conditions:
            raise errors.ApiError(400, "21000", f"{verb} requires a WHERE clause")
        return clauses.where(self._target, self._query.conditions)

    def _check_put_filters(self) -> None:
        named = set()
        for condition in self._query.conditions:
            if not isinstance(condition, Comparison) or condition.field.path:
                raise errors.put_filters()
            plain = not condition.negated and condition.quantifier is None
            if condition.operator != "eq" or not plain:
                raise errors.put_filters()
            named.add(condition.field.name)
        if not named or named != set(self._table.primary_key):
            raise errors.put_filters()

    def _inserting(self, payload: Payload, columns: list[Column], condition: Sql) -> Sql:
        names = join(", ", (identifier(column.name) for column in columns))
        values = join(", ", (identifier(BODY, column.name) for column in columns))
        into = "insert into " + self._name + (" (" + names + ")" if columns else Sql())
        return into + " select " + values + " from " + self._records(payload, columns) + condition

    def _records(self, payload: Payload, columns: list[Column]) -> Sql:
        """The body as rows that have the types of the columns."""
        body = value(payload.text)
        if not columns:
            if payload.is_object:
                return raw(f"(values (1)) as {BODY}")
            return "json_array_elements(" + body + f"::json) as {BODY}"
        kind, suffix = "json", "" if payload.is_object else "set"
        records = body + "::json"
        if self._preferences.missing == "default":
            kind, records = "jsonb", _with_defaults(payload, columns)
        typed = join(", ", (identifier(c.name) + f" {c.type}" for c in columns))
        return f"{kind}_to_record{suffix}(" + records + f") as {BODY}(" + typed + ")"

    def _statement(
        self, source: Sql, *, counts_inserted: bool = False, locates: bool = False
    ) -> Statement:
        represents = self._preferences.returning == "representation"
        result = raw(f"select * from {SOURCE}")
        if represents:
            place = f" from {SOURCE} as " + identifier(self._table.name)
            result = lateral.select(self._result, place, ALL)
        main = build(
            source,
            result,
            rows_body(self._wanted) if represents else NO_BODY,
            location=_location(self._table.primary_key) if locates else None,
            counts_inserted=counts_inserted,
        )
        return Statement(main, read_only=False)

    def _returning(self) -> Sql:
        """Return the needed columns alone: the caller may have no right to read the others."""
        if self._preferences.returning not in {"representation", "headers-only"}:
            return raw(" returning 1")
        if self._query.selects_all:
            return " returning " + identifier(*self._target.name) + ".*"
        names = [item.field.name for item in self._query.select if item.field is not None]
        needed = dict.fromkeys([*names, *self._result.needed, *self._table.primary_key])
        return " returning " + join(", ", (identifier(*self._target.name, name) for name in needed))


def _on_conflict(keys: Iterable[str], columns: list[Column]) -> Sql:
    target = " on conflict (" + join(", ", (identifier(key) for key in keys)) + ") do "
    if not columns:
        return target + "nothing"
    assignments = join(
        ", ", (identifier(c.name) + " = excluded." + identifier(c.name) for c in columns)
    )
    return target + "update set " + assignments + f" where {COUNT_DOWN}"


def _with_defaults(payload: Payload, columns: list[Column]) -> Sql:
    pairs = (value(c.name) + "::text, " + raw(c.default) for c in columns if c.default is not None)
    defaults = "jsonb_build_object(" + join(", ", pairs) + ")"
    body = value(payload.text) + "::jsonb"
    if payload.is_object:
        return defaults + " || " + body
    elements = " from jsonb_array_elements(" + body + ") as _element"
    return "(select jsonb_agg(" + defaults + " || _element.value)" + elements + ")"


def _location(keys: Iterable[str]) -> Sql:
    """The primary key of a single row as the pairs of a query string."""
    return (
        "case when count(*) = 1 then (select json_agg(json_build_array(_key.key,"
        " coalesce('eq.' || _key.value, 'is.null')))::text"
        " from json_each_text((select row_to_json(_first)"
        f" from {SOURCE} as _first limit 1)) as _key where _key.key = any("
        + value(array_literal(keys))
        + ")) end"
    )
