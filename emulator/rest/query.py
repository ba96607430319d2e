"""The grammar of a query string: `select`, `order`, `columns`, ranges and filters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from emulator.rest import errors, filters, selection
from emulator.rest.placing import Bound, Order, Placed, placed
from emulator.rest.scanner import ParseFailure, Scanner
from emulator.rest.syntax import Field, Ordering, Query

RESERVED = frozenset({"select", "columns", "on_conflict"})
RESERVED_LAST = frozenset({"order", "limit", "offset", "and", "or"})
INTEGER = re.compile(r"-?[0-9]{1,30}")

T = TypeVar("T")
Pairs = list[tuple[str, str]]


def pairs(query_string: str) -> Pairs:
    """The parameters in order, decoded; bytes that are no UTF-8 become replacement characters."""
    return parse_qsl(query_string, keep_blank_values=True, errors="replace")


def parse(parameters: Iterable[tuple[str, str]], *, arguments: bool = False) -> Query:
    """What the parameters say; with `arguments` (rpc by GET) those that are no filter are kept.

    Raises ApiError PGRST100 when the grammar is broken, PGRST108 for a parameter of a table that
    is not embedded.
    """
    given = list(parameters)
    first = dict(reversed(given))
    plain = [(k, v) for k, v in given if k not in RESERVED and _last(k) not in RESERVED_LAST]
    passed = [(k, v) for k, v in plain if arguments and not filters.is_operation(v)]
    filtered = [pair for pair in plain if pair not in passed]
    query = replace(
        _select(first.get("select", "")),
        columns=_names("columns", first.get("columns")),
        on_conflict=_names("on_conflict", first.get("on_conflict")),
        arguments=tuple((_argument(key), value) for key, value in passed),
    )
    placed_parameters = [
        *map(_filter, filtered),
        *(_logic(pair) for pair in given if _last(pair[0]) in {"and", "or"}),
        *(_order(pair) for pair in given if _last(pair[0]) == "order"),
        *(_bound(pair) for pair in given if _last(pair[0]) in {"limit", "offset"}),
    ]
    return placed(query, placed_parameters)


def _last(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def _parsed(what: str, shown: str, parse_text: Callable[[], T]) -> T:
    try:
        return parse_text()
    except ParseFailure as exc:
        raise errors.unparsable(what, shown, exc.line, exc.column, exc.details) from exc


def _select(text: str) -> Query:
    scanner = Scanner(text)
    return _parsed("select parameter", text, partial(selection.select, scanner))


def _names(what: str, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    scanner = Scanner(text)

    def names() -> tuple[str, ...]:
        found = [scanner.name()]
        while selection.comma(scanner):
            found.append(scanner.name())
        scanner.expect_end()
        return tuple(dict.fromkeys(found))

    return _parsed(f"{what} parameter", text, names)


def _path(key: str) -> tuple[tuple[str, ...], Field]:
    """The tables on the way to a column, and the column."""
    scanner = Scanner(key)

    def path() -> tuple[tuple[str, ...], Field]:
        tables: list[str] = []
        while True:
            field = scanner.field()
            if field.path or not scanner.take("."):
                scanner.expect_end()
                return tuple(tables), field
            tables.append(field.name)

    return _parsed("tree path", key, path)


def _argument(key: str) -> str:
    tables, field = _path(key)
    return ".".join([*tables, field.name])


def _filter(pair: tuple[str, str]) -> Placed:
    key, text = pair
    condition = _parsed("filter", text, lambda: filters.comparison(Field(""), text))
    tables, field = _path(key)
    return Placed(tables, replace(condition, field=field))


def _logic(pair: tuple[str, str]) -> Placed:
    key, text = pair
    tables, field = _path(key)
    operator = f"not.{field.name}" if "not" in tables else field.name
    condition = _parsed("logic tree", text, lambda: filters.tree(operator + text))
    return Placed(tuple(table for table in tables if table != "not"), condition)


def _bound(pair: tuple[str, str]) -> Placed:
    key, text = pair
    tables, field = _path(key)
    number = int(text) if INTEGER.fullmatch(text) else None
    return Placed(tables, Bound("limit" if field.name == "limit" else "offset", number))


def _order(pair: tuple[str, str]) -> Placed:
    key, text = pair
    terms = _parsed("order", text, partial(_terms, Scanner(text)))
    return Placed(_path(key)[0], Order(terms))


def _terms(scanner: Scanner) -> tuple[Ordering, ...]:
    terms = [_term(scanner)]
    while selection.comma(scanner):
        terms.append(_term(scanner))
    return tuple(terms)


def _term(scanner: Scanner) -> Ordering:
    scanner.spaces()
    relation = scanner.attempt(lambda: _relation(scanner))
    field = scanner.field()
    if relation is not None:
        scanner.expect(")")
    descending, nulls_first = None, None
    if scanner.take(".asc") or scanner.take(".desc"):
        descending = scanner.text[scanner.at - 4 : scanner.at] == "desc"
    if scanner.take(".nullsfirst") or scanner.take(".nullslast"):
        nulls_first = scanner.text[scanner.at - 5 : scanner.at] == "first"
    if not scanner.at_end and scanner.peek() not in {",", " ", "\t"}:
        _reject_order(scanner, descending, nulls_first)
    scanner.spaces()
    return Ordering(field, descending, nulls_first, relation)


def _relation(scanner: Scanner) -> str:
    name = scanner.name()
    scanner.expect("(")
    return name


def _reject_order(scanner: Scanner, descending: bool | None, nulls_first: bool | None) -> None:
    named = scanner.take(".")
    if named and descending is None and nulls_first is None:
        raise scanner.failure('"asc", "desc", "nullsfirst" or "nullslast"')
    if named and nulls_first is None:
        raise scanner.failure('"nullsfirst" or "nullslast"')
    raise scanner.failure('delimiter (.), "," or end of input')


def canonical(given: Pairs) -> str:
    """The parameters as a query string, sorted by name."""
    return urlencode(sorted(given, key=lambda pair: pair[0]), quote_via=quote)
