"""The grammar of query strings, without a database."""

from __future__ import annotations

import pytest

from emulator.rest import query
from emulator.rest.errors import ApiError
from emulator.rest.syntax import (
    BooleanGroup,
    Comparison,
    Embedding,
    Field,
    Ordering,
    Query,
    Selected,
    Step,
)

ANY_CONDITION = (
    "field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)"
)


def parse(text: str, *, arguments: bool = False) -> Query:
    return query.parse(query.pairs(text), arguments=arguments)


def test_nothing_means_everything() -> None:
    assert parse("") == Query(select=(Selected(None),))
    assert parse("select=").select == (Selected(None),)


def test_columns_have_aliases_paths_and_casts() -> None:
    text = 'select=*, id ,a:b::text,"q,\\"":c->d->-1->>"e-f",x-y->z-1'
    assert parse(text).select == (
        Selected(None),
        Selected(Field("id")),
        Selected(Field("b"), "a", "text"),
        Selected(
            Field(
                "c",
                (Step("d", False, False), Step("-1", True, False), Step("e-f", False, True)),
            ),
            'q,"',
        ),
        Selected(Field("x-y", (Step("z-1", False, False),))),
    )


def test_other_tables_are_embedded_with_alias_hint_and_join() -> None:
    parsed = parse("select=id, a:b!c!inner( x , d() ),...e!left!f(*)")
    assert parsed.select == (Selected(Field("id")),)
    inner = Query(select=(Selected(Field("x")),), embeddings=(Embedding("d"),))
    everything = Query(select=(Selected(None),))
    assert parsed.embeddings == (
        Embedding("b", "a", "c", inner=True, query=inner),
        Embedding("e", hint="f", spread=True, query=everything),
    )


def test_parameters_belong_to_the_table_that_they_lead_to() -> None:
    text = "select=a:b(c()),d(x)&a.c.limit=1&b.y=eq.1&d.not.or=(x.eq.1,y.eq.2)&d.order=e(f).desc"
    b, d = parse(text).embeddings
    assert b.query.conditions == (Comparison(Field("y"), "eq", "1"),)
    assert b.query.embeddings[0].query.limit == 1
    terms = (Comparison(Field("x"), "eq", "1"), Comparison(Field("y"), "eq", "2"))
    assert d.query.conditions == (BooleanGroup("or", terms, negated=True),)
    assert d.query.order == (Ordering(Field("f"), descending=True, relation="e"),)


def test_filters_have_operators_negation_and_quantifiers() -> None:
    parsed = parse("a=eq.x.y&b=not.like(any).{x*}&c=not.is.NULL&d->>e=fts(simple).cat&f=in.(1,2)")
    assert parsed.conditions == (
        Comparison(Field("a"), "eq", "x.y"),
        Comparison(Field("b"), "like", "{x*}", negated=True, quantifier="any"),
        Comparison(Field("c"), "is", "null", negated=True),
        Comparison(Field("d", (Step("e", False, True),)), "fts", "cat", language="simple"),
        Comparison(Field("f"), "in", values=("1", "2")),
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("()", ("",)),
        ("( 1, 2)", ("1", " 2")),
        ('("a,b","c\\"d\\\\",e)', ("a,b", 'c"d\\', "e")),
        ('("a"b,c)', ('"a"b', "c")),
        ('("a)', ('"a',)),
    ],
)
def test_lists_quote_what_would_end_an_element(text: str, values: tuple[str, ...]) -> None:
    (condition,) = query.parse([("a", f"in.{text}")]).conditions
    assert condition == Comparison(Field("a"), "in", values=values)


def test_trees_nest() -> None:
    (condition,) = parse(
        'not.and=(a.eq.1, not.or(b.in.(1,2),"c.d".eq."x,)"),e.cs.{1,2})'
    ).conditions
    assert condition == BooleanGroup(
        "and",
        (
            Comparison(Field("a"), "eq", "1"),
            BooleanGroup(
                "or",
                (
                    Comparison(Field("b"), "in", values=("1", "2")),
                    Comparison(Field("c.d"), "eq", "x,)"),
                ),
                negated=True,
            ),
            Comparison(Field("e"), "cs", "{1,2}"),
        ),
        negated=True,
    )


def test_order_has_directions_and_places_for_nulls() -> None:
    assert parse("order=a, b.desc,c->>d.asc.nullsfirst,e.nullslast").order == (
        Ordering(Field("a")),
        Ordering(Field("b"), descending=True),
        Ordering(Field("c", (Step("d", False, True),)), descending=False, nulls_first=True),
        Ordering(Field("e"), nulls_first=False),
    )


def test_the_last_number_counts_and_what_is_none_is_no_limit() -> None:
    assert parse("limit=5&limit=7&offset=x") == Query(limit=7)


def test_columns_may_be_quoted() -> None:
    parsed = parse('columns="a b",c&on_conflict="d",e')
    assert (parsed.columns, parsed.on_conflict) == (("a b", "c"), ("d", "e"))


def test_arguments_of_a_function_are_what_is_no_filter() -> None:
    called = parse("a=1&b=eq.1&a=2&c=in&order=d", arguments=True)
    assert called.arguments == (("a", "1"), ("a", "2"), ("c", "in"))
    assert called.conditions == (Comparison(Field("b"), "eq", "1"),)


@pytest.mark.parametrize(
    ("text", "message", "details"),
    [
        (
            "id=val",
            '"failed to parse filter (val)" (line 1, column 1)',
            'unexpected "v" expecting "not" or operator (eq, gt, ...)',
        ),
        (
            "id=not.val",
            '"failed to parse filter (not.val)" (line 1, column 5)',
            'unexpected "v" expecting operator (eq, gt, ...)',
        ),
        (
            "id=eq",
            '"failed to parse filter (eq)" (line 1, column 1)',
            'unexpected "e" expecting "not" or operator (eq, gt, ...)',
        ),
        (
            "id=is.x",
            '"failed to parse filter (is.x)" (line 1, column 4)',
            'unexpected "x" expecting isVal: (null, not_null, true, false, unknown)',
        ),
        (
            "id=is.nullish",
            '"failed to parse filter (is.nullish)" (line 1, column 8)',
            'unexpected "i" expecting end of input',
        ),
        (
            "id=in.1",
            '"failed to parse filter (in.1)" (line 1, column 4)',
            'unexpected "1" expecting "("',
        ),
        (
            "order=id.ac",
            '"failed to parse order (id.ac)" (line 1, column 4)',
            'unexpected "a" expecting "asc", "desc", "nullsfirst" or "nullslast"',
        ),
        (
            "order=",
            '"failed to parse order ()" (line 1, column 1)',
            "unexpected end of input expecting field name (* or [a..z0..9_$])",
        ),
        (
            "or=()",
            '"failed to parse logic tree (())" (line 1, column 4)',
            'unexpected ")" expecting ' + ANY_CONDITION,
        ),
        (
            "select=a,,b",
            '"failed to parse select parameter (a,,b)" (line 1, column 3)',
            'unexpected "," expecting field name (* or [a..z0..9_$])',
        ),
        (
            "a%0Ab=eq.1",
            '"failed to parse tree path (a\nb)" (line 1, column 2)',
            'unexpected "\n" expecting end of input',
        ),
    ],
)
def test_errors_name_the_place(text: str, message: str, details: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse(text)
    error = refused.value
    assert (error.code, error.message, error.details) == ("PGRST100", message, details)


@pytest.mark.parametrize(
    "text", ["other.a=eq.1", "other.order=a", "other.or=(a.eq.1)", "o.limit=1"]
)
def test_parameters_of_other_tables_need_embedding(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse(text)
    assert refused.value.code == "PGRST108"


def test_depth_has_a_limit() -> None:
    deep = "or=" + "(and" * 5000 + "(a.eq.1)" + ")" * 5000
    with pytest.raises(ApiError) as refused:
        parse(deep)
    assert refused.value.code == "PGRST100"
