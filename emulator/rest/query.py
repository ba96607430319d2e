"""The grammar of a query string: which parameter means what, `select`, `order`, `columns`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from emulator.rest import errors, filters
from emulator.rest.scanner import ParseFailure, Scanner
from emulator.rest.syntax import Condition, Field, Ordering, Query, Selected

RESERVED = frozenset({"select", "columns", "on_conflict"})
RESERVED_LAST = frozenset({"order", "limit", "offset", "and", "or"})
AGGREGATES = ("sum", "avg", "count", "max", "min")
INTEGER = re.compile(r"-?[0-9]{1,30}")

T = TypeVar("T")
Pairs = list[tuple[str, str]]


def pairs(query_string: str) -> Pairs:
    """The parameters in order, decoded; bytes that are no UTF-8 become replacement characters."""
    return parse_qsl(query_string, keep_blank_values=True, errors="replace")


def parse(parameters: Iterable[tuple[str, str]], *, arguments: bool = False) -> Query:
    """What the parameters say; with `arguments` (rpc by GET) those that are no filter are kept.

    Raises ApiError PGRST100 when the grammar is broken, PGRST108 for a parameter of a table that
    is not embedded, and 501 for parts of the grammar that are not imitated.
    """
    given = list(parameters)
    first = dict(reversed(given))
    plain = [(k, v) for k, v in given if k not in RESERVED and _last(k) not in RESERVED_LAST]
    passed = [(k, v) for k, v in plain if arguments and not filters.is_operation(v)]
    filtered = [pair for pair in plain if pair not in passed]
    logic = [(k, v) for k, v in given if _last(k) in {"and", "or"}]
    return Query(
        select=_select(first["select"]) if "select" in first else (Selected(None),),
        conditions=(*map(_filter, filtered), *map(_logic, logic)),
        order=_order(given),
        limit=_number(given, "limit"),
        offset=_number(given, "offset"),
        columns=_names("columns", first.get("columns")),
        on_conflict=_names("on_conflict", first.get("on_conflict")),
        arguments=tuple((_column(key).name, value) for key, value in passed),
    )


def _last(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def _parsed(what: str, shown: str, parse_text: Callable[[], T]) -> T:
    try:
        return parse_text()
    except ParseFailure as failure:
        raise errors.unparsable(
            what, shown, failure.line, failure.column, failure.details
        ) from failure


def _number(given: Pairs, name: str) -> int | None:
    for key, _ in given:
        if _last(key) == name and key != name:
            raise errors.not_embedded(key.split(".", 1)[0])
    values = [value for key, value in given if key == name]
    # Like the real server: the last one counts, and what is no number is no limit.
    return int(values[-1]) if values and INTEGER.fullmatch(values[-1]) else None


def _names(what: str, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    scanner = Scanner(text)

    def names() -> tuple[str, ...]:
        found = [scanner.name()]
        while _comma(scanner):
            found.append(scanner.name())
        scanner.expect_end()
        return tuple(dict.fromkeys(found))

    return _parsed(f"{what} parameter", text, names)


def _comma(scanner: Scanner) -> bool:
    scanner.spaces()
    if not scanner.take(","):
        return False
    scanner.spaces()
    return True


def _column(key: str) -> Field:
    scanner = Scanner(key)

    def path() -> tuple[list[str], Field]:
        tables: list[str] = []
        while True:
            field = scanner.field()
            if field.path or not scanner.take("."):
                scanner.expect_end()
                return tables, field
            tables.append(field.name)

    tables, field = _parsed("tree path", key, path)
    if tables:
        raise errors.not_embedded(tables[0])
    return field


def _filter(pair: tuple[str, str]) -> Condition:
    key, text = pair
    condition = _parsed("filter", text, lambda: filters.comparison(Field(""), text))
    return replace(condition, field=_column(key))


def _logic(pair: tuple[str, str]) -> Condition:
    key, text = pair
    words = key.split(".")
    tables = [word for word in words[:-1] if word != "not"]
    if tables:
        raise errors.not_embedded(tables[0])
    operator = f"not.{words[-1]}" if "not" in words else words[-1]
    return _parsed("logic tree", text, lambda: filters.tree(operator + text))


def _order(given: Pairs) -> tuple[Ordering, ...]:
    """Every `order` has to be right, the first one counts."""
    parsed = []
    for key, text in given:
        if _last(key) == "order":
            if key != "order":
                raise errors.not_embedded(key.split(".", 1)[0])
            scanner = Scanner(text)
            parsed.append(_parsed("order", text, partial(_terms, scanner)))
    return parsed[0] if parsed else ()


def _terms(scanner: Scanner) -> tuple[Ordering, ...]:
    terms = [_term(scanner)]
    while _comma(scanner):
        terms.append(_term(scanner))
    return tuple(terms)


def _term(scanner: Scanner) -> Ordering:
    scanner.spaces()
    field = scanner.field()
    if scanner.peek() == "(":
        raise errors.not_imitated(f"ordering by another table ({field.name})")
    descending, nulls_first = None, None
    if scanner.take(".asc") or scanner.take(".desc"):
        descending = scanner.text[scanner.at - 4 : scanner.at] == "desc"
    if scanner.take(".nullsfirst") or scanner.take(".nullslast"):
        nulls_first = scanner.text[scanner.at - 5 : scanner.at] == "first"
    if not scanner.at_end and scanner.peek() not in {",", " ", "\t"}:
        _reject_order(scanner, descending, nulls_first)
    scanner.spaces()
    return Ordering(field, descending, nulls_first)


def _reject_order(scanner: Scanner, descending: bool | None, nulls_first: bool | None) -> None:
    named = scanner.take(".")
    if named and descending is None and nulls_first is None:
        raise scanner.failure('"asc", "desc", "nullsfirst" or "nullslast"')
    if named and nulls_first is None:
        raise scanner.failure('"nullsfirst" or "nullslast"')
    raise scanner.failure('delimiter (.), "," or end of input')


def _select(text: str) -> tuple[Selected, ...]:
    scanner = Scanner(text)
    scanner.spaces()
    if scanner.at_end:
        return (Selected(None),)

    def items() -> tuple[Selected, ...]:
        found = [_selected(scanner)]
        while _comma(scanner):
            found.append(_selected(scanner))
        scanner.expect_end()
        return tuple(found)

    return _parsed("select parameter", text, items)


def _selected(scanner: Scanner) -> Selected:
    scanner.spaces()
    if scanner.take("*"):
        return Selected(None)
    if scanner.peek(3) == "...":
        raise errors.not_imitated("embedding of other tables (select=...table(columns))")
    alias = scanner.attempt(lambda: _alias(scanner))
    field = scanner.field()
    if field.name == "count" and scanner.peek(2) == "()":
        raise errors.aggregates_not_allowed()
    if scanner.peek() in {"(", "!"}:
        raise errors.not_imitated(f"embedding of other tables (select={field.name}(...))")
    cast = scanner.identifier() if scanner.take("::") else None
    if any(scanner.take(f".{name}()") for name in AGGREGATES):
        raise errors.aggregates_not_allowed()
    scanner.spaces()
    return Selected(field, alias, cast)


def _alias(scanner: Scanner) -> str:
    name = scanner.name()
    scanner.expect(":")
    if scanner.peek() == ":":
        raise scanner.failure("alias")
    return name


def canonical(given: Pairs) -> str:
    """The parameters as a query string, sorted by name."""
    return urlencode(sorted(given, key=lambda pair: pair[0]), quote_via=quote)
