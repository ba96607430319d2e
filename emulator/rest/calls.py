"""Function calls at /rpc/<function>."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.rest import embedding, lateral
from emulator.rest.clauses import Source
from emulator.rest.media import Format
from emulator.rest.payload import Payload
from emulator.rest.preferences import Preferences
from emulator.rest.ranges import Range
from emulator.rest.schema import Argument, Function, Schema
from emulator.rest.sql import Sql, identifier, join, value
from emulator.rest.statement import NO_BODY, SOURCE, Statement, build, one_body, rows_body
from emulator.rest.syntax import Query

CALL = "pgrst_call"
BODY = "pgrst_body"
SCALAR = "pgrst_scalar"


@dataclass(frozen=True)
class Arguments:
    """The arguments of a call as SQL, and the row, if any, that they are taken from."""

    passed: Sql
    row: Sql


def from_query(function: Function, given: tuple[tuple[str, str], ...]) -> Arguments:
    """The arguments of a call by GET: each value is a text that the database casts."""
    several: dict[str, list[str]] = {}
    for name, text in given:
        several.setdefault(name, []).append(text)
    passed = (
        _named(argument)
        + value(several[argument.name] if argument.variadic else several[argument.name][-1])
        + f"::{argument.type}"
        for argument in function.arguments
        if argument.name in several
    )
    return Arguments(join(", ", passed), Sql())


def from_payload(function: Function, payload: Payload) -> Arguments:
    """The arguments of a call by POST, taken from the body within the database."""
    if len(function.arguments) == 1 and not function.arguments[0].name:
        return Arguments(value(payload.text) + f"::{function.arguments[0].type}", Sql())
    given = [argument for argument in function.arguments if argument.name in payload.names]
    if not given:
        return Arguments(Sql(), Sql())
    passed = (_named(argument) + identifier(BODY, argument.name) for argument in given)
    typed = join(", ", (identifier(a.name) + f" {a.type}" for a in given))
    kind = "json_to_record" if payload.is_object else "json_to_recordset"
    read = f"(select * from {kind}(" + value(payload.text) + "::json) as _body("
    return Arguments(join(", ", passed), read + typed + f") limit 1) as {BODY}, lateral ")


def call(
    schema: Schema,
    function: Function,
    arguments: Arguments,
    query: Query,
    rows: Range,
    preferences: Preferences,
    wanted: Format,
    *,
    max_rows: int,
    by_get: bool,
    headers_only: bool,
) -> Statement:
    """Return a call whose result is filtered, ordered and limited like a table.

    By GET, and for functions that are declared not to write, the transaction is read only.
    """
    name = function.row_type or function.name
    table = schema.tables.get(name) if function.row_type else None
    read = Source((name,), {} if table is None else table.types)
    level = embedding.bind(schema, name, read, query)
    place = f" from {SOURCE} as " + identifier(name)
    result = lateral.select(level, place, rows, max_rows)
    hides_body = headers_only or function.returns == "void"
    main = build(
        _source(schema, function, arguments),
        result,
        NO_BODY if hides_body else _body(function, wanted),
        count=lateral.count(level, place) if preferences.counts else None,
    )
    read_only = by_get or function.volatility != "v"
    return Statement(main, read_only=read_only, settings=function.settings)


def _named(argument: Argument) -> Sql:
    return ("variadic " if argument.variadic else "") + identifier(argument.name) + " := "


def _source(schema: Schema, function: Function, arguments: Arguments) -> Sql:
    invoked = identifier(schema.name, function.name) + "(" + arguments.passed + ")"
    if function.returns in {"row", "rows"}:
        return f"select {CALL}.* from " + arguments.row + invoked + f" as {CALL}"
    inner = "(select " + invoked + f" as {SCALAR}) as {CALL}"
    return f"select {CALL}.{SCALAR} from " + arguments.row + inner


def _body(function: Function, wanted: Format) -> Sql:
    if function.returns == "row":
        return one_body(wanted)
    if function.returns == "scalar":
        return one_body(wanted, f"_result.{SCALAR}")
    if function.returns == "scalars":
        return rows_body(wanted, f"_result.{SCALAR}")
    return rows_body(wanted)
