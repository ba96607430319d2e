"""Builds the statement of a request around a source of rows."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.rest.media import Format
from emulator.rest.sql import Sql, raw

SOURCE = "pgrst_source"
INSERTED = "nullif(current_setting('pgrst.inserted', true), '')::int"
RESPONSE = """nullif(current_setting('response.headers', true), ''),
 nullif(current_setting('response.status', true), ''),
"""


@dataclass(frozen=True)
class Statement:
    """What to run: `main` gives one row (see `Answer`), `explain` a plan whose rows are counted."""

    main: Sql
    read_only: bool
    explain: Sql | None = None
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Answer:
    """The row that `Statement.main` gives."""

    rows: int
    total: int | None
    body: bytes
    response_headers: bytes | None = None
    response_status: bytes | None = None
    inserted: int | None = None
    location: bytes | None = None


def build(
    source: Sql,
    result: Sql,
    body: Sql,
    *,
    count: Sql | None = None,
    location: Sql | None = None,
    counts_inserted: bool = False,
) -> Sql:
    """One statement: `source` feeds `result`, whose rows `body` makes into one text.

    Its columns are those of `Answer`, in order.
    """
    counted = raw("null") if count is None else "(select count(*) from (" + count + ") as _counted)"
    return (
        f"with {SOURCE} as ("
        + source
        + ") select count(*), "
        + counted
        + ", "
        + body
        + ", "
        + RESPONSE
        + (INSERTED if counts_inserted else "null")
        + ", "
        + (raw("null") if location is None else location)
        + " from ("
        + result
        + ") as _result"
    )


NO_BODY = raw("''")


def rows_body(wanted: Format, column: str = "_result") -> Sql:
    """Many rows (or the values of a column of them) as JSON, one object, or CSV."""
    if wanted.form == "csv":
        return raw(CSV)
    if wanted.form == "single":
        return one_body(wanted, column)
    return raw(f"coalesce({_stripped(f'json_agg({column})', wanted)}, '[]')::text")


def one_body(wanted: Format, column: str = "_result") -> Sql:
    """The first row (or the value of a column in it) as JSON."""
    if wanted.form == "csv":
        return raw(CSV)
    return raw(f"coalesce({_stripped(f'json_agg({column}) -> 0', wanted)}, 'null')::text")


def _stripped(json: str, wanted: Format) -> str:
    return f"json_strip_nulls({json})" if wanted.strips_nulls else json


# The names of the first row's columns, then each row as the database writes composite values,
# without the parentheses around it.
CSV = r"""(select coalesce(string_agg(_name, ','), '')
   from json_object_keys((array_agg(row_to_json(_result)))[1]) as _name)
 || E'\n'
 || coalesce(string_agg(substring(_result::text, 2, length(_result::text) - 2), E'\n'), '')"""
