"""Bindings as clients write them."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.realtime.filters import Binding, Filter, InvalidBinding, parse, parse_filters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  ", []),
        ("id=eq.5", [Filter("id", "eq", "5")]),
        ("id=not.eq.5", [Filter("id", "eq", "5", negated=True)]),
        ("name=in.(a,b)", [Filter("name", "in", "{a,b}")]),
        ("id=gt.0, id=lt.100", [Filter("id", "gt", "0"), Filter("id", "lt", "100")]),
        ("url=eq.a=b.c", [Filter("url", "eq", "a=b.c")]),
        ('name=eq."a,b"', [Filter("name", "eq", "a,b")]),
        (r'name=eq."a\"b"', [Filter("name", "eq", 'a"b')]),
        ('name=eq."a"b', [Filter("name", "eq", '"a"b')]),
        ("name=in.(a,b),id=eq.1", [Filter("name", "in", "{a,b}"), Filter("id", "eq", "1")]),
    ],
)
def test_filters_are_read(text: str, expected: list[Filter]) -> None:
    assert list(parse_filters(text)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("undefined", '["undefined"]'),
        ("name=foo.1", '["foo", "1"]'),
        ("name=eq", '["eq"]'),
        ("name=in.1,2", "`in` filter value must be wrapped by parentheses"),
        ("id=eq.1,", "filter must not contain empty segments (check for extra commas)"),
    ],
)
def test_an_unreadable_filter_is_quoted(text: str, reason: str) -> None:
    with pytest.raises(InvalidBinding) as error:
        parse_filters(text)
    assert str(error.value) == f"Error parsing `filter` params: {reason}"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"event": "*", "schema": "s", "table": "t"}, Binding(None, "s", "t")),
        ({"event": "update", "schema": "s"}, Binding("UPDATE", "s", "*")),
        ({"table": "t"}, Binding(None, "public", "t")),
        (
            {"schema": "s", "table": "t", "select": ["a", 1]},
            Binding(None, "s", "t", select=("a",)),
        ),
    ],
)
def test_bindings_are_read(params: dict[str, Any], expected: Binding) -> None:
    assert parse(params) == expected


@pytest.mark.parametrize(
    ("params", "beginning"),
    [
        ({"event": "*", "filter": None}, "No subscription params provided."),
        ({"schema": "s", "select": ["a"]}, "Column selection is not supported for wildcard"),
        ({"schema": "s", "table": "t", "select": "a"}, "Error parsing `select` params"),
    ],
)
def test_other_bindings_are_refused(params: dict[str, Any], beginning: str) -> None:
    with pytest.raises(InvalidBinding, match=beginning):
        parse(params)
