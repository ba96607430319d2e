"""What a binding asks for, parsed as the real server does: event, table, filters, columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from emulator.realtime.elixir import Tuple, inspect

Action = Literal["INSERT", "UPDATE", "DELETE"]
ACTIONS: tuple[Action, ...] = ("INSERT", "UPDATE", "DELETE")

# Operator of a filter -> operator of SQL; `in`, `is` and `isdistinct` are written apart.
COMPARISONS = {
    "eq": "=",
    "neq": "!=",
    "lt": "<",
    "lte": "<=",
    "gt": ">",
    "gte": ">=",
    "like": "LIKE",
    "ilike": "ILIKE",
    "match": "~",
    "imatch": "~*",
}
OPERATORS = (*COMPARISONS, "in", "is", "isdistinct")
TRUTH_VALUES = ("null", "true", "false", "unknown")
MAX_IN_VALUES = 100


class InvalidBinding(Exception):
    """The binding cannot be subscribed to; the text is the real server's."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Column, operator, value and whether `not.` stood before; `in` has its value in braces."""

    column: str
    operator: str
    value: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """One entry of `postgres_changes`; `action` None stands for every event."""

    action: Action | None
    schema: str
    table: str
    filters: tuple[Filter, ...] = ()
    select: tuple[str, ...] | None = None

    def texts(self) -> Iterator[str]:
        """All that the client wrote and the database is going to read."""
        yield from (self.schema, self.table, *(self.select or ()))
        for filter_ in self.filters:
            yield from (filter_.column, filter_.value)

    def described(self) -> str:
        """The binding as the error messages of the real server quote it."""
        filters = [Tuple((f.column, f.operator, f.value, f.negated)) for f in self.filters]
        select = None if self.select is None else list(self.select)
        return (
            f"event: {self.action or '*'}, schema: {self.schema}, table: {self.table}, "
            f"filters: {inspect(filters)}, select: {inspect(select)}"
        )


def parse(params: Mapping[str, Any]) -> Binding:
    """The binding that a client's parameters mean; raises InvalidBinding."""
    select = _select(params)
    match params:
        case {"schema": str(schema), "table": str(table), "filter": str(text)}:
            filters = parse_filters(text)
        case {"schema": str(schema), "table": str(table)} if "filter" not in params:
            filters = ()
        case {"schema": str(schema)} if "table" not in params and "filter" not in params:
            table, filters = "*", ()
        case {"table": str(table)} if "schema" not in params and "filter" not in params:
            schema, filters = "public", ()
        case _:
            raise InvalidBinding(
                "No subscription params provided. Please provide at least a `schema` or `table` "
                f"to subscribe to: {inspect(dict(params))}"
            )
    if select is not None and "*" in (schema, table):
        raise InvalidBinding(
            "Column selection is not supported for wildcard subscriptions. "
            "Provide an explicit schema and table name."
        )
    return Binding(_action(params.get("event")), schema, table, filters, select)


def _action(event: object) -> Action | None:
    """Unknown names mean every event, and case does not matter, as in the real server."""
    return next((a for a in ACTIONS if isinstance(event, str) and a == event.upper()), None)


def _select(params: Mapping[str, Any]) -> tuple[str, ...] | None:
    columns = params.get("select")
    if isinstance(columns, str):
        raise InvalidBinding(
            "Error parsing `select` params: expected a list of column name strings, "
            'e.g. select: ["col1", "col2"]'
        )
    if not isinstance(columns, list):
        return None
    return tuple(column for column in columns if isinstance(column, str)) or None


def parse_filters(text: str) -> tuple[Filter, ...]:
    """The filters in `text`, joined by commas; raises InvalidBinding."""
    if not text.strip():
        return ()
    return tuple(_filter(segment.strip()) for segment in _segments(text.strip()))


def _filter(segment: str) -> Filter:
    if not segment:
        raise _unreadable("filter must not contain empty segments (check for extra commas)")
    column, equals, rest = segment.partition("=")
    if not equals:
        raise _unreadable(inspect([segment]))
    negated = rest.startswith("not.")
    operator, dot, value = rest.removeprefix("not.").partition(".")
    if not dot:
        raise _unreadable(inspect([operator]))
    if operator not in OPERATORS:
        raise _unreadable(inspect([operator, value]))
    if operator != "in":
        return Filter(column, operator, _unquoted(value), negated)
    if len(value) < 2 or (value[0], value[-1]) != ("(", ")"):
        raise _unreadable("`in` filter value must be wrapped by parentheses")
    return Filter(column, operator, "{" + value[1:-1] + "}", negated)


def _unreadable(reason: str) -> InvalidBinding:
    return InvalidBinding(f"Error parsing `filter` params: {reason}")


def _segments(text: str) -> list[str]:
    """`text` cut at the commas outside of parentheses and quotes."""
    parts, start, depth, quoted, at = [], 0, 0, False, 0
    while at < len(text):
        char = text[at]
        if quoted:
            quoted = char != '"'
            at += char == "\\"
        elif char == '"' and at and text[at - 1] in ".(,":
            quoted = True
        elif char == "(":
            depth += 1
        elif char == ")":
            depth = max(0, depth - 1)
        elif char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def _unquoted(value: str) -> str:
    """The inside of a value in double quotes; what is not wholly quoted stays as it is."""
    if len(value) < 2 or not value.startswith('"'):
        return value
    inside, at = "", 1
    while at < len(value) - 1:
        if value[at] == '"':
            return value
        at += value[at] == "\\"
        inside += value[at]
        at += 1
    return inside if at == len(value) - 1 and value[at] == '"' else value


def condition(operator: str, negated: bool, kind: str, left: str, right: str) -> str:
    """SQL that is true where `left` passes; both sides are SQL, cast to the type named `kind`.

    For `is` the right side is not SQL but one of TRUTH_VALUES.
    """
    typed = f"{left}::{kind}"
    match operator:
        case "is":
            return f"{typed} IS {'NOT ' if negated else ''}{right.upper()}"
        case "isdistinct":
            return f"{typed} IS {'NOT ' if negated else ''}DISTINCT FROM {right}::{kind}"
        case "in":
            test = f"{typed} = any ({right}::{kind}[])"
        case _:
            test = f"{typed} {COMPARISONS[operator]} ({right}::{kind})"
    return f"not ({test})" if negated else test
