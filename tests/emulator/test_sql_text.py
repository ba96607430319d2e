"""Scripts are cut at the semicolons that end a statement, and at no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sql_text import split

WHOLE = [
    "select ';'",
    "select 'it''s; one'",
    r"select E'\';'",
    'select 1 as "a;""b;"',
    "select $$;$$",
    "select $body$ ; $$ ; $body$",
    "do $$ begin perform 1; end $$",
    "select a$b from t",
    "select 1 /* ; /* ; */ ; */ + 1",
    "select 1 -- ; not here\n + 1",
    "create function f() returns int begin atomic select 1; select case when true then 2 end; end",
    "begin",
    "select 'ä;ö', \"ü;\"",
    "select '\\'",
]


@pytest.mark.parametrize("statement", WHOLE)
def test_semicolons_inside_a_statement_end_nothing(statement: str) -> None:
    script = f"select 0;\n{statement};\nselect 9"
    assert [found.text for found in split(script)] == ["select 0", statement, "select 9"]
    assert split(script)[1].line == 2


@given(st.lists(st.sampled_from(WHOLE), max_size=6))
def test_any_row_of_statements_comes_apart_again(statements: list[str]) -> None:
    script = "".join(f"-- a comment; with one\n  {text} ;\n" for text in statements)
    assert [found.text for found in split(script)] == statements


@given(st.text(alphabet="'\"$;-/*eE\\ ab\n", max_size=40))
def test_any_text_is_cut_without_loss(script: str) -> None:
    for statement in split(script):
        assert statement.text in script
        assert script.split("\n")[statement.line - 1].find(statement.text.split("\n")[0]) >= 0


def test_comments_between_statements_are_no_statements() -> None:
    assert split("-- nothing\n/* here; */ ;; \n") == split("")
    assert [statement.line for statement in split("\n-- x\n\nselect 1;\nselect 2")] == [4, 5]
