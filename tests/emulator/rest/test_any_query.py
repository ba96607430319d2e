"""Whatever a query string says, the answer is one that the real server could give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.emulator.rest.conftest import Served

COLUMNS = ["id", "name", "owner", "mood", "big", "exact", "tags", "doc", "span", "words", "seen"]
OPERATORS = [
    *("eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch", "in", "is"),
    *("isdistinct", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj"),
    *("fts", "plfts", "phfts", "wfts", "eq(any)", "like(all)", "fts(english)", "nope"),
]
ODD = st.text(st.sampled_from(list("abn019.,:()\"'\\{}[]*%->$ \t\n_é\0")), max_size=8)

name = st.one_of(st.sampled_from(COLUMNS), st.sampled_from(["nope", '"a b"', "a-b", "*"]), ODD)
step = st.one_of(st.sampled_from(["a", "0", "-1", '"x y"', "99999999999"]), ODD)
path = st.lists(st.tuples(st.sampled_from(["->", "->>"]), step), max_size=2).map(
    lambda steps: "".join(arrow + key for arrow, key in steps)
)
field = st.tuples(name, path).map("".join)
literal = st.one_of(
    st.sampled_from(["1", "-1", "null", "ash", "{a,b}", "(1,2)", "[1,2)", "calm", "{}", '"x"']),
    st.sampled_from(["2026-01-01", "1e400", "99999999999999999999", "(", "[", "\\"]),
    ODD,
)
operation = st.tuples(
    st.sampled_from(["", "not."]), st.sampled_from(OPERATORS), st.just("."), literal
).map("".join)
leaf = st.tuples(field, st.just("."), operation).map("".join)
tree = st.recursive(
    leaf,
    lambda inner: st.tuples(
        st.sampled_from(["and(", "or(", "not.and("]),
        st.lists(inner, max_size=3).map(",".join),
        st.sampled_from([")", ")", ""]),
    ).map("".join),
    max_leaves=6,
)
item = st.tuples(
    st.one_of(st.just(""), name.map(lambda text: f"{text}:")),
    field,
    st.one_of(st.just(""), st.sampled_from(["::text", "::int", "::jsonb", "::x y"]), ODD),
).map("".join)
table = st.one_of(
    st.sampled_from(["parts", "labels", "beds", "plantings", "gardens", "within", "plants"]), ODD
)
embedded: st.SearchStrategy[str] = st.deferred(
    lambda: st.tuples(
        st.sampled_from(["", "", "x:", "..."]),
        table,
        st.sampled_from(["", "", "!inner", "!garden", "!left!nope"]),
        st.just("("),
        st.lists(st.one_of(item, embedded), max_size=2).map(",".join),
        st.sampled_from([")", ")", ")", ""]),
    ).map("".join)
)
term = st.tuples(
    st.one_of(field, st.tuples(table, st.just("("), field, st.just(")")).map("".join)),
    st.sampled_from(["", ".asc", ".desc", ".nope"]),
    st.sampled_from(["", ".nullsfirst", ".nullslast", ".x"]),
).map("".join)
number = st.one_of(st.integers(-3, 2000).map(str), literal)
parameter = st.one_of(
    st.tuples(st.just("select"), st.lists(st.one_of(item, embedded), max_size=3).map(",".join)),
    st.tuples(field, operation),
    st.tuples(st.tuples(table, st.just("."), field).map("".join), operation),
    st.tuples(table.map(lambda text: f"{text}.limit"), number),
    st.tuples(st.sampled_from(["and", "or", "not.or"]), tree.map(lambda text: f"({text})")),
    st.tuples(st.just("order"), st.lists(term, max_size=3).map(",".join)),
    st.tuples(st.sampled_from(["limit", "offset"]), number),
    st.tuples(st.sampled_from(["columns", "on_conflict"]), st.lists(name).map(",".join)),
    st.tuples(ODD, ODD),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Prefer": st.sampled_from(["count=exact", "count=planned", "count=estimated", "x=y"]),
        "Range": st.sampled_from(["0-1", "3-", "9-2", "x"]),
        "Accept": st.sampled_from(["text/csv", "application/vnd.pgrst.object+json", "*/*"]),
    },
)


@pytest.fixture(scope="module")
def api(serving: Served) -> Iterator[httpx.Client]:
    headers = {"apikey": serving.keys.secret}
    url = f"{serving.url}/rest/v1"
    with httpx.Client(base_url=url, headers=headers, verify=False, timeout=60) as client:  # noqa: S501 no TLS
        yield client


def expect_sense(response: httpx.Response) -> None:
    """No accident inside: success, or a refusal with a body of the known form."""
    if response.status_code < 400:
        return
    assert response.status_code < 500, response.text
    assert sorted(json.loads(response.content)) == ["code", "details", "hint", "message"]


@settings(max_examples=250, deadline=None, derandomize=True)
@given(parameters=st.lists(parameter, max_size=4), headers=HEADERS)
def test_reading_never_fails_inside(
    api: httpx.Client, parameters: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    for place in ("/plants", "/rpc/all_plants"):
        expect_sense(api.get(f"{place}?{urlencode(parameters)}", headers=headers))


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    literal,
)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(ODD, SCALARS, max_size=2)
)
ROWS = st.dictionaries(st.one_of(st.sampled_from(COLUMNS), ODD), VALUES, max_size=3)
BODIES = st.one_of(ROWS, st.lists(ROWS, max_size=2), VALUES)
WISHES = ["return=representation", "missing=default", "resolution=merge-duplicates", "count=exact"]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    method=st.sampled_from(["POST", "PATCH", "PUT", "DELETE"]),
    parameters=st.lists(parameter, max_size=3),
    body=BODIES,
    wishes=st.lists(st.sampled_from(WISHES), max_size=3),
)
def test_writing_never_fails_inside(
    api: httpx.Client,
    method: str,
    parameters: list[tuple[str, str]],
    body: object,
    wishes: list[str],
) -> None:
    headers = {"Prefer": ",".join(["tx=rollback", *wishes])}
    url = f"/plants?{urlencode(parameters)}"
    expect_sense(api.request(method, url, json=body, headers=headers))
    expect_sense(api.post("/rpc/echo", json=body, headers=headers))
