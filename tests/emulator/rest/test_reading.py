"""Selecting, filtering, ordering and cutting rows, through the official client."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from postgrest.exceptions import APIError

ODD = '100% *,()"\\'


def names(response: Any) -> list[str]:
    return [row["name"] for row in response.data]


def test_all_columns_come_in_their_order(service: Any) -> None:
    row = service.table("parts").select("*").order("number").limit(1).execute().data[0]
    assert list(row.items()) == [("plant", 1), ("number", 1), ("label", "leaf")]


def test_numbers_and_times_arrive_exactly_as_the_database_writes_them(http: httpx.Client) -> None:
    text = http.get("/plants?select=big,exact,seen,doc&name=eq.ash").text
    assert '"big":9007199254740993' in text
    assert '"exact":0.1000000000000000000000001' in text
    assert '"seen":"2026-01-02T01:04:05.678+00:00"' in text
    assert '"n": 12345678901234567890' in text


def test_columns_are_renamed_cast_and_taken_out_of_json(service: Any) -> None:
    columns = "title:name,big::text,first:doc->k->0,doc->k->1->>z,doc->>s,doc->k->-9"
    row = service.table("plants").select(columns).eq("name", "ash").execute().data[0]
    assert row == {
        "title": "ash",
        "big": "9007199254740993",
        "first": 1,
        "z": "5",
        "s": "one",
        "k": None,
    }


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("level=eq.2", ["birch"]),
        ("level=neq.2", ["ash", "cedar", ODD]),
        ("level=gt.2&level=lte.3", ["cedar"]),
        ("level=gte.2&level=lt.3", ["birch"]),
        ("name=like.*e*", ["cedar"]),
        ("name=ilike.A%25", ["ash"]),
        ("name=match.^b", ["birch"]),
        ("name=imatch.^B", ["birch"]),
        ('name=in.(ash,"cedar")', ["ash", "cedar"]),
        ("name=in.()", []),
        ("name=not.in.(ash,birch,cedar)", [ODD]),
        ("owner=is.null&level=lt.3", ["ash", "birch"]),
        ("owner=not.is.null", ["cedar"]),
        ("owner=is.not_null", ["cedar"]),
        ("big=isdistinct.-1&level=lt.4", ["ash", "cedar"]),
        ("tags=cs.{b}", ["birch"]),
        ('tags=cs.{"b,c"}', ["ash"]),
        ("tags=cd.{a,b}", ["birch", "cedar", ODD]),
        ("tags=ov.{a,b}", ["ash", "birch"]),
        ('doc=cs.{"s":"two"}', ["birch"]),
        ("doc->>s=eq.two", ["birch"]),
        ("doc->k->0=eq.1", ["ash"]),
        ("span=sl.[5,6)", ["ash"]),
        ("span=sr.[1,5)", ["birch"]),
        ("span=nxr.[1,6)", ["ash"]),
        ("span=nxl.[5,6)", ["birch"]),
        ("span=adj.[1,5)", ["birch"]),
        ("span=ov.[4,5)", ["ash"]),
        ("words=fts(english).cats", ["ash"]),
        ("words=plfts(english).fat cats", ["ash"]),
        ("words=phfts(english).fat cat", ["ash"]),
        ("words=wfts(english).cat -dog", ["ash"]),
        ("name=fts.birch", ["birch"]),
        ("level=eq(any).{1,3}", ["ash", "cedar"]),
        ("name=like(all).{b*,*h}", ["birch"]),
        ("mood=eq.busy", ["birch", ODD]),
        ("or=(level.eq.1,level.eq.2)", ["ash", "birch"]),
        ("not.or=(level.eq.1,level.eq.2)", ["cedar", ODD]),
        ("and=(level.gt.1,or(name.eq.birch,not.and(level.lt.4,level.gt.0)))", ["birch", ODD]),
        ('or=(name.in.("ash",birch),tags.cs.{x,y})', ["ash", "birch"]),
        ('or=(name.eq."100% *,()\\"\\\\")', [ODD]),
    ],
)
def test_filters_find_the_right_rows(
    http: httpx.Client, parameters: str, expected: list[str]
) -> None:
    url = f"/plants?select=name&order=level&{parameters}".replace("100% ", "100%25 ")
    response = http.get(url)
    assert response.status_code == 200, response.text
    assert [row["name"] for row in response.json()] == expected


def test_the_client_quotes_what_needs_quotes(service: Any) -> None:
    plants = service.table("plants").select("name")
    assert names(plants.eq("name", ODD).execute()) == [ODD]
    plants = service.table("plants").select("name").order("level")
    assert names(plants.in_("name", ["ash", ODD]).execute()) == ["ash", ODD]
    plants = service.table("plants").select("name")
    assert names(plants.contains("tags", ["b,c"]).execute()) == ["ash"]


def test_rows_are_ordered_by_several_columns_and_nulls_go_where_wanted(service: Any) -> None:
    plants = service.table("plants").select("name").order("mood", desc=True).order("name")
    assert names(plants.execute()) == [ODD, "birch", "ash", "cedar"]
    plants = service.table("plants").select("name").order("big", nullsfirst=True)
    assert names(plants.execute()) == ["cedar", "birch", ODD, "ash"]
    plants = service.table("plants").select("name").order("doc->>s", desc=True, nullsfirst=False)
    assert names(plants.limit(2).execute()) == ["birch", "ash"]


def test_a_range_of_counted_rows_is_a_partial_answer(http: httpx.Client) -> None:
    counted = {"Prefer": "count=exact"}
    response = http.get("/plants?offset=1&limit=2", headers=counted)
    assert (response.status_code, response.headers["content-range"]) == (206, "1-2/4")
    response = http.get("/plants", headers=counted | {"Range": "3-9"})
    assert (response.status_code, response.headers["content-range"]) == (206, "3-3/4")
    response = http.get("/plants?level=gt.9", headers=counted)
    assert (response.status_code, response.headers["content-range"]) == (200, "*/0")
    response = http.get("/plants?offset=9")
    assert (response.status_code, response.headers["content-range"]) == (200, "*/*")


def test_counts_come_with_or_without_the_rows(service: Any) -> None:
    response = service.table("plants").select("*", count="exact").limit(1).execute()
    assert (len(response.data), response.count) == (1, 4)
    head = service.table("plants").select("*", count="exact", head=True).execute()
    assert (head.data, head.count) == ([], 4)
    for kind in ("planned", "estimated"):
        counted = service.table("plants").select("*", count=kind).execute()
        assert isinstance(counted.count, int)


def test_an_offset_beyond_the_counted_rows_is_not_satisfiable(service: Any) -> None:
    with pytest.raises(APIError) as refused:
        service.table("plants").select("*", count="exact").range(9, 10).execute()
    assert refused.value.code == "PGRST103"
    assert refused.value.details == "An offset of 9 was requested, but there are only 4 rows."


def test_no_answer_has_more_than_a_thousand_rows(service: Any, http: httpx.Client) -> None:
    service.table("keyless").insert([{"n": n} for n in range(1500)]).execute()
    assert len(service.table("keyless").select("n").execute().data) == 1000
    assert len(service.table("keyless").select("n").limit(1200).execute().data) == 1000
    assert len(service.rpc("many", {"n": 1001}).execute().data) == 1000
    counted = {"Prefer": "count=exact"}
    assert http.get("/keyless?offset=1400", headers=counted).headers["content-range"] == (
        "1400-1499/1500"
    )
    estimated = http.get("/keyless", headers={"Prefer": "count=estimated"})
    assert int(estimated.headers["content-range"].split("/")[1]) >= 1001


def test_one_row_is_an_object_and_another_number_an_error(service: Any) -> None:
    plants = service.table("plants")
    assert plants.select("name").eq("level", 1).single().execute().data == {"name": "ash"}
    assert plants.select("name").eq("level", 99).maybe_single().execute() is None
    with pytest.raises(APIError) as refused:
        plants.select("name").single().execute()
    assert refused.value.json() == {
        "code": "PGRST116",
        "details": "The result contains 4 rows",
        "hint": None,
        "message": "Cannot coerce the result to a single JSON object",
    }


def test_nulls_are_left_out_when_asked_for(service: Any) -> None:
    plants = service.table("plants").select("name,big,owner").eq("name", "birch")
    assert plants.strip_nulls().execute().data == [{"name": "birch", "big": -1}]


def test_rows_come_as_csv(service: Any) -> None:
    csv = service.table("parts").select("number,label").order("number").csv().execute().data
    assert csv == "number,label\n1,leaf\n2,"
    assert service.table("parts").select("*").eq("plant", 9).csv().execute().data == "\n"
    called = service.rpc("pairs").select("b").csv().execute().data
    assert called == "b\nx\ny"


def test_head_has_the_headers_and_no_body(http: httpx.Client) -> None:
    response = http.head("/plants?level=eq.1")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-range"] == "0-0/*"
    missing = http.head("/nowhere")
    assert (missing.status_code, missing.headers["proxy-status"]) == (
        404,
        "PostgREST; error=PGRST205",
    )


def test_views_and_odd_names_are_served(service: Any, http: httpx.Client) -> None:
    assert len(service.table("calm_plants").select("*").execute().data) == 2
    odd = http.get('/odd "name" %25s', params={"select": '"a \\"b\\" %s",select,"x->y"'})
    assert odd.json() == [{'a "b" %s': 1, "select": "x", "x->y": 2}]
    filtered = http.get('/odd "name" %25s', params={'"a \\"b\\" %s"': "eq.1"})
    assert len(filtered.json()) == 1


@pytest.mark.parametrize(
    ("url", "status", "code", "message"),
    [
        (
            "/plantz",
            404,
            "PGRST205",
            "Could not find the table 'public.plantz' in the schema cache",
        ),
        ("/hidden?x=y", 400, "PGRST100", '"failed to parse filter (y)" (line 1, column 1)'),
        ("/hidden", 403, "42501", "permission denied for table hidden"),
        ("/plants?nope=eq.1", 400, "42703", "column plants.nope does not exist"),
        ("/plants?id=eq.x", 400, "22P02", 'invalid input syntax for type bigint: "x"'),
        ("/plants?id=like.x", 404, "42883", "operator does not exist: bigint ~~ unknown"),
        ("/plants?select=name::nope", 400, "42704", 'type "nope" does not exist'),
        ("/plants?limit=-1", 416, "PGRST103", "Requested range not satisfiable"),
        ("/plants?select=count()", 400, "PGRST123", "Use of aggregate functions is not allowed"),
        (
            "/plants?select=level.sum()",
            400,
            "PGRST123",
            "Use of aggregate functions is not allowed",
        ),
        (
            "/plants?parts.number=eq.1",
            400,
            "PGRST108",
            "'parts' is not an embedded resource in this request",
        ),
        ("/", 404, "PGRST126", "Root endpoint metadata is disabled"),
        ("/plants/1", 404, "PGRST125", "Invalid path specified in request URL"),
    ],
)
def test_errors_are_those_of_the_real_server(
    http: httpx.Client, url: str, status: int, code: str, message: str
) -> None:
    response = http.get(url)
    body = response.json()
    assert (response.status_code, body["code"], body["message"]) == (status, code, message)
    assert list(body) == ["code", "details", "hint", "message"]


def test_a_media_type_that_is_not_made_is_refused(http: httpx.Client) -> None:
    response = http.get("/plants", headers={"Accept": "text/html"})
    assert (response.status_code, response.json()["code"]) == (406, "PGRST107")
    preferred = http.get("/parts", headers={"Accept": "text/html, text/csv;q=0.5, */*;q=0.1"})
    assert preferred.headers["content-type"] == "text/csv; charset=utf-8"


def test_only_the_exposed_schema_is_served(http: httpx.Client) -> None:
    response = http.get("/plants", headers={"Accept-Profile": "auth"})
    assert (response.status_code, response.json()["code"]) == (406, "PGRST106")
    accepted = http.get("/plants", headers={"Accept-Profile": "public"})
    assert accepted.headers["content-profile"] == "public"


def test_unknown_preferences_matter_only_when_told_so(http: httpx.Client) -> None:
    assert http.get("/plants", headers={"Prefer": "foo=bar"}).status_code == 200
    strict = http.get("/plants", headers={"Prefer": "handling=strict, foo=bar"})
    assert json.loads(strict.content)["details"] == "Invalid preferences: foo=bar"
