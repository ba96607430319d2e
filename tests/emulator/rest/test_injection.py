"""Text from outside never becomes SQL: the canary is there, and alive, after each attempt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

if TYPE_CHECKING:
    from tests.emulator.rest.conftest import Served

KILL = "update public.canary set alive = 'no'"
TEXTS = [
    f"'; {KILL}; --",
    f'"; {KILL}; --',
    f"') ; {KILL}; --",
    f"$1; {KILL}; --",
    f"$$; {KILL}; --$$",
    f"\\'; {KILL}; --",
    f'x\\"; {KILL}; --',
    "' or '1'='1",
    '" or true or "',
    "1); drop table public.canary; --",
    "%s",
    "%(x)s",
    "$1",
    "a\0b",
    "\\",
    "{",
    '{"',
    "*/ drop table public.canary /*",
]


@pytest.fixture(autouse=True)
def canary(served: Served) -> Iterator[None]:
    yield
    assert served.sql("select alive from public.canary") == [("yes",)]
    assert served.sql("select count(*) from public.plants where level between 1 and 4") == [(4,)]


def expect_no_accident(answer: httpx.Response) -> None:
    assert answer.status_code < 500 or answer.json()["code"] == "PGRST127", answer.text


@pytest.mark.parametrize(
    "parameter",
    [
        "select={}",
        'select="{}"',
        "select=a:{}",
        'select="{}":name',
        "select=name::{}",
        "select=name::text {}",
        "select=doc->{}",
        'select=doc->"{}"',
        "select=doc->>{}",
        "order={}",
        'order="{}"',
        "order=doc->{}.desc",
        "order=name.{}",
        "limit={}",
        "offset={}",
        "{}=eq.1",
        '"{}"=eq.1',
        "doc->{}=eq.1",
        'doc->>"{}"=eq.1',
        "name=eq.{}",
        "name={}",
        "name=is.{}",
        "name=in.({})",
        'name=in.("{}")',
        "name=like(any).{}",
        "name=fts({}).x",
        "name=fts.{}",
        "or=({})",
        "or=(name.eq.{})",
        "tags=cs.{}",
        "span=ov.{}",
    ],
)
def test_reading(http: httpx.Client, parameter: str) -> None:
    name, value = parameter.split("=", 1)
    for text in TEXTS:
        parameters = {name.replace("{}", text): value.replace("{}", text)}
        expect_no_accident(http.get("/plants", params=parameters))


@pytest.mark.parametrize("text", TEXTS)
def test_writing(http: httpx.Client, text: str) -> None:
    undone = {"Prefer": "tx=rollback, return=representation"}
    answers = [
        http.post("/plants", json={"name": text}, headers=undone),
        http.post("/plants", json={text: 1}, headers=undone),
        http.post("/plants", params={"columns": text}, json={"name": "x"}, headers=undone),
        http.post(
            "/plants",
            params={"on_conflict": f'"{text}"'},
            json={"name": "x"},
            headers=undone | {"Prefer": "tx=rollback, resolution=merge-duplicates"},
        ),
        http.patch("/plants", params={"name": f"eq.{text}"}, json={"note": text}, headers=undone),
        http.delete("/plants", params={text: "eq.1"}, headers=undone),
        http.post("/rpc/joined", json={"words": [text]}),
        http.post("/rpc/joined", json={text: 1}),
        http.get("/rpc/joined", params={"words": text}),
        http.get("/rpc/joined", params={text: "1"}),
        http.get("/rpc/all_plants", params={"select": text, "order": text}),
    ]
    for answer in answers:
        expect_no_accident(answer)


@pytest.mark.parametrize("text", TEXTS)
def test_names_and_headers(http: httpx.Client, text: str) -> None:
    path = "/" + quote(text, safe="")
    answers = [http.get(path), http.post(path, json={}), http.get(f"/rpc{path}")]
    shown = text.replace("\0", "")
    headers = ("Prefer", "Accept", "Range", "Accept-Profile", "X-Other", "Cookie")
    answers += [http.get("/plants", headers={header: shown}) for header in headers]
    for answer in answers:
        expect_no_accident(answer)
