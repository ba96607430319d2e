"""Conditions, order, ranges and selected columns as SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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
class Related:
    """What is embedded in a source: whether anything is, and the row where it is only one."""

    present: Sql
    row: Source | None


@dataclass(frozen=True)
class Source:
    """What a statement reads from: its name in the statement and the types of its columns.

    Conditions and order may also name what is embedded.
    """

    name: tuple[str, ...]
    types: Mapping[str, str]
    related: Mapping[str, Related] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """The name by which messages know it."""
        return self.name[-1]

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
    if comparison.field.name in source.related and not comparison.field.path:
        return _presence(source.related[comparison.field.name], comparison)
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


def _presence(related: Related, comparison: Comparison) -> Sql:
    if comparison.operator != "is" or comparison.value not in {"null", "not_null"}:
        raise errors.filter_on_embedded(comparison.field.name)
    return related.present if comparison.value == "not_null" else "not " + related.present


def order_by(source: Source, terms: Iterable[Ordering]) -> Sql:
    """` order by …`, or nothing."""
    joined = join(", ", (_ordering(source, term) for term in terms))
    return " order by " + joined if joined else joined


def _ordering(source: Source, term: Ordering) -> Sql:
    ordered = _ordered_source(source, term.relation).column(term.field)
    if term.descending is not None:
        ordered += " desc" if term.descending else " asc"
    if term.nulls_first is not None:
        ordered += " nulls first" if term.nulls_first else " nulls last"
    return ordered


def _ordered_source(source: Source, relation: str | None) -> Source:
    if relation is None:
        return source
    if relation not in source.related:
        raise errors.not_embedded(relation)
    row = source.related[relation].row
    if row is None:
        raise errors.order_by_many(source.table, relation)
    return row


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


def output_name(item: Selected) -> str | None:
    """The name of a selected column in the answer; None for all columns."""
    if item.field is None:
        return None
    return item.alias or _last_key(item.field) or item.field.name


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
