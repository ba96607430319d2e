"""Conditions, order, ranges and selected columns as SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emulator.rest import errors
from emulator.rest.ranges import Range
from emulator.rest.sql import Sql, array_literal, identifier, join, raw, value
from emulator.rest.syntax import Comparison, Condition, Field, Ordering, Selected

OPERATORS: Mapping[str, str] = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
}
FULL_TEXT: Mapping[str, str] = {
    "fts": "to_tsquery",
    "plfts": "plainto_tsquery",
    "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}
TRUTHS: Mapping[str, str] = {
    "null": "null",
    "not_null": "not null",
    "true": "true",
    "false": "false",
    "unknown": "unknown",
}
# Type names that are grammar, not identifiers: quoted they would not be found.
BUILT_IN_TYPES = frozenset(
    {
        *("smallint", "int", "integer", "bigint", "real", "float", "dec", "decimal", "numeric"),
        *("bit", "boolean", "char", "character", "varchar", "interval", "time", "timestamp"),
        "bit varying",
        "character varying",
        "double precision",
        "time with time zone",
        "time without time zone",
        "timestamp with time zone",
        "timestamp without time zone",
    }
)


@dataclass(frozen=True)
class Source:
    """What a statement reads from: its name in the statement and the types of its columns."""

    name: tuple[str, ...]
    types: Mapping[str, str]

    def column(self, field: Field) -> Sql:
        """The value of `field` as SQL."""
        column = identifier(*self.name, field.name)
        if not field.path:
            return column
        if self.types.get(field.name) not in {"json", "jsonb"}:
            column = "to_jsonb(" + column + ")"
        for step in field.path:
            operand = value(step.operand)
            column += "->>" if step.text else "->"
            column += operand + "::int" if step.is_index else operand
        return column

    def document(self, field: Field, language: str | None) -> Sql:
        """The tsvector that a full-text search looks into."""
        column = self.column(field)
        if not field.path and self.types.get(field.name) == "tsvector":
            return column
        return "to_tsvector(" + _language(language) + column + ")"


def _language(language: str | None) -> Sql:
    return Sql() if language is None else value(language) + ", "


def where(source: Source, conditions: Iterable[Condition]) -> Sql:
    """` where …`, or nothing when there are no conditions."""
    joined = all_of(source, conditions)
    return " where " + joined if joined else joined


def all_of(source: Source, conditions: Iterable[Condition]) -> Sql:
    """The conditions joined by `and`, or nothing when there are none."""
    return join(" and ", (_condition(source, condition) for condition in conditions))


def _condition(source: Source, condition: Condition) -> Sql:
    sign = raw("not ") if condition.negated else Sql()
    if isinstance(condition, Comparison):
        return sign + _comparison(source, condition)
    terms = (_condition(source, term) for term in condition.terms)
    return sign + "(" + join(f" {condition.operator} ", terms) + ")"


def _comparison(source: Source, comparison: Comparison) -> Sql:
    operator = comparison.operator
    if operator in FULL_TEXT:
        document = source.document(comparison.field, comparison.language)
        call = f" @@ {FULL_TEXT[operator]}("
        return document + call + _language(comparison.language) + value(comparison.value) + ")"
    column = source.column(comparison.field)
    if operator == "is":
        return column + f" is {TRUTHS[comparison.value]}"
    if operator == "isdistinct":
        return column + " is distinct from " + value(comparison.value)
    if operator == "in":
        # An array is one parameter, and may be empty, which `in ()` may not.
        literal = "{}" if comparison.values == ("",) else array_literal(comparison.values)
        return column + " = any(" + value(literal) + ")"
    given = comparison.value
    if operator in {"like", "ilike"}:
        given = given.replace("*", "%")
    operand = value(given)
    if comparison.quantifier is not None:
        operand = f"{comparison.quantifier}(" + operand + ")"
    return column + f" {OPERATORS[operator]} " + operand


def order_by(source: Source, terms: Iterable[Ordering]) -> Sql:
    """` order by …`, or nothing."""
    joined = join(", ", (_ordering(source, term) for term in terms))
    return " order by " + joined if joined else joined


def _ordering(source: Source, term: Ordering) -> Sql:
    ordered = source.column(term.field)
    if term.descending is not None:
        ordered += " desc" if term.descending else " asc"
    if term.nulls_first is not None:
        ordered += " nulls first" if term.nulls_first else " nulls last"
    return ordered


def limit(rows: Range) -> Sql:
    """` limit … offset …`, or nothing when all rows are wanted."""
    clause = Sql()
    if rows.limit is not None:
        clause += " limit " + value(str(rows.limit))
    if rows.offset:
        clause += " offset " + value(str(rows.offset))
    return clause


def columns(source: Source, selected: Iterable[Selected]) -> Sql:
    """The list after `select`."""
    return join(", ", (_column(source, item) for item in selected))


def _column(source: Source, item: Selected) -> Sql:
    if item.field is None:
        return identifier(*source.name) + ".*"
    column = source.column(item.field)
    if item.cast is not None:
        column = "cast(" + column + " as " + _type(item.cast) + ")"
    alias = item.alias or _last_key(item.field)
    return column if alias is None else column + " as " + identifier(alias)


def _type(name: str) -> Sql:
    lowered = " ".join(name.lower().split())
    if lowered in BUILT_IN_TYPES:
        return raw(lowered)
    if " " in lowered or "$" in lowered:
        raise errors.ApiError(400, "42704", f'type "{lowered}" does not exist')
    return identifier(lowered)


def _last_key(field: Field) -> str | None:
    """The name that a JSON path gives its value: the last key in it."""
    keys = [step.operand for step in field.path if not step.is_index]
    if not field.path:
        return None
    return keys[-1] if keys else field.name
