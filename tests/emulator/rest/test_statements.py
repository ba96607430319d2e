"""Statements as text and values, ranges, preferences and formats, without a database."""

from __future__ import annotations

import pytest

from emulator.rest import clauses, media, payload, preferences, query, ranges
from emulator.rest.clauses import Source
from emulator.rest.errors import ApiError
from emulator.rest.ranges import NOTHING, Range
from emulator.rest.sql import array_literal, identifier, value

SOURCE = Source(("public", "t"), {"doc": "jsonb", "words": "tsvector", "n": "integer"})


def where(text: str) -> tuple[str, list[object]]:
    conditions = query.parse(query.pairs(text)).conditions
    rendered, values = clauses.where(SOURCE, conditions).render()
    return rendered, list(values)


@pytest.mark.parametrize(
    ("text", "expected", "values"),
    [
        ("", "", []),
        ("n=eq.1", ' where "public"."t"."n" = $1', ["1"]),
        ("n=not.is.null", ' where not "public"."t"."n" is null', []),
        ("n=in.(1,2)", ' where "public"."t"."n" = any($1)', ['{"1","2"}']),
        ("n=in.()", ' where "public"."t"."n" = any($1)', ["{}"]),
        ("n=like.*x*", ' where "public"."t"."n" like $1', ["%x%"]),
        ("n=gt(all).{1}", ' where "public"."t"."n" > all($1)', ["{1}"]),
        ("doc->a->>0=eq.x", ' where "public"."t"."doc"->$1->>$2::int = $3', ["a", "0", "x"]),
        ("n->a=eq.x", ' where to_jsonb("public"."t"."n")->$1 = $2', ["a", "x"]),
        ("words=fts.x", ' where "public"."t"."words" @@ to_tsquery($1)', ["x"]),
        (
            "n=wfts(simple).x",
            ' where to_tsvector($1, "public"."t"."n") @@ websearch_to_tsquery($2, $3)',
            ["simple", "simple", "x"],
        ),
        (
            "not.or=(n.eq.1,n.eq.2)&n=lt.3",
            ' where "public"."t"."n" < $1 and not ("public"."t"."n" = $2 or "public"."t"."n" = $3)',
            ["3", "1", "2"],
        ),
    ],
)
def test_conditions_hold_values_apart(text: str, expected: str, values: list[str]) -> None:
    assert where(text) == (expected, values)


def test_names_are_quoted_and_end_at_a_nul() -> None:
    assert identifier("a", 'b"; drop').render() == ('"a"."b""; drop"', [])
    assert identifier("a\0b").render() == ('"a"', [])
    with pytest.raises(ApiError) as refused:
        value("a\0b")
    assert refused.value.code == "22021"
    assert array_literal(["a", 'b"\\', ""]) == '{"a","b\\"\\\\",""}'


@pytest.mark.parametrize(
    ("cast", "expected"),
    [
        ("text", '"text"'),
        ("INT", "int"),
        ("double  precision", "double precision"),
        ("My_Type", '"my_type"'),
    ],
)
def test_a_cast_is_a_known_word_or_a_quoted_name(cast: str, expected: str) -> None:
    selected = query.parse([("select", f"n::{cast}")]).select
    text, _ = clauses.columns(SOURCE, selected).render()
    assert text == f'cast("public"."t"."n" as {expected})'


@pytest.mark.parametrize("cast", ["text from canary", "$1", "$$x$$", "int as x"])
def test_a_cast_is_nothing_else(cast: str) -> None:
    selected = query.parse([("select", f"n::{cast}")]).select
    with pytest.raises(ApiError) as refused:
        clauses.columns(SOURCE, selected)
    assert refused.value.code == "42704"


@pytest.mark.parametrize(
    ("header", "limit", "offset", "expected"),
    [
        (None, None, None, Range(0, None)),
        ("0-9", None, None, Range(0, 9)),
        ("5-", None, None, Range(5, None)),
        ("bytes=0-1", None, None, Range(0, None)),
        (None, 10, 5, Range(5, 14)),
        ("3-20", 10, None, Range(3, 9)),
        (None, 0, None, NOTHING),
        (None, None, -5, Range(0, None)),
    ],
)
def test_header_and_parameters_both_cut(
    header: str | None, limit: int | None, offset: int | None, expected: Range
) -> None:
    assert ranges.requested(header, limit, offset) == expected


@pytest.mark.parametrize(("header", "limit"), [("9-3", None), (None, -1), ("20-30", 10)])
def test_an_empty_range_is_refused(header: str | None, limit: int | None) -> None:
    with pytest.raises(ApiError) as refused:
        ranges.requested(header, limit, None)
    assert (refused.value.status, refused.value.code) == (416, "PGRST103")


def test_the_cap_keeps_the_offset() -> None:
    assert Range(5, None).at_most(10) == Range(5, 14)
    assert Range(5, 7).at_most(10) == Range(5, 7)
    assert NOTHING.at_most(10).limit == 0


def test_the_first_of_several_preferences_counts() -> None:
    parsed = preferences.parse(["return=minimal, return=representation,count=exact", "odd, tx=x"])
    assert (parsed.returning, parsed.count, parsed.tx) == ("minimal", "exact", None)
    assert parsed.unknown == ("odd", "tx=x")


@pytest.mark.parametrize(
    ("accept", "form", "strips"),
    [
        (None, "json", False),
        ("*/*", "json", False),
        ("text/html, application/json", "json", False),
        ("application/vnd.pgrst.object+json", "single", False),
        ("application/vnd.pgrst.object+json;nulls=stripped", "single", True),
        ("application/vnd.pgrst.array+json; nulls=stripped", "json", True),
        ("application/json;q=0.5, text/csv", "csv", False),
    ],
)
def test_the_best_known_format_is_taken(accept: str | None, form: str, strips: bool) -> None:
    found = media.negotiate(accept)
    assert (found.form, found.strips_nulls) == (form, strips)


def test_the_body_names_its_columns_and_is_not_changed() -> None:
    text = '[{"b": 1e999999, "a": 00}]'.replace("00", "9" * 5000)
    parsed = payload.parse(text.encode(), "application/json", None, for_function=False)
    assert (parsed.text, parsed.names) == (text, ("a", "b"))
    named = payload.parse(b"[{}]", "application/json", ("c",), for_function=False)
    assert (named.text, named.names, named.is_object) == ("[{}]", ("c",), False)


def test_a_body_nested_too_deep_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        payload.parse(b"[" * 200_000, "application/json", None, for_function=False)
    assert refused.value.code == "PGRST102"
