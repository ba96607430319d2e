"""Functions, through the official client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from postgrest.exceptions import APIError
from supabase import AsyncClientOptions, acreate_client

if TYPE_CHECKING:
    from tests.emulator.rest.conftest import Served

PLANTS = ["ash", "birch", "cedar"]


def call(service: Any, name: str, **arguments: Any) -> Any:
    return service.rpc(name, arguments).execute().data


def test_each_kind_of_result_has_its_form(service: Any) -> None:
    assert call(service, "add", a=1) == 3
    assert call(service, "add", a=1, b=1) == 2
    assert call(service, "many", n=3) == [1, 2, 3]
    assert call(service, "pairs") == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert call(service, "divide", n=7, by=2) == {"quotient": 3, "rest": 1}
    assert call(service, "first_plant")["name"] == "ash"
    assert len(call(service, "all_plants")) == 4
    assert call(service, "joined", words=["a", "b"]) == "a+b"
    assert call(service, "no_text") is None


def test_a_function_without_result_answers_nothing(http: httpx.Client) -> None:
    response = http.post("/rpc/nothing")
    assert (response.status_code, response.content) == (204, b"")


def test_json_goes_in_and_comes_out_unchanged(http: httpx.Client) -> None:
    body = b'{"value": {"big": 9007199254740993, "n": 1e400, "u": "\\u00e4", "list": [null]}}'
    text = http.post("/rpc/echo", content=body).text
    assert '"big": 9007199254740993' in text
    assert "1" + "0" * 400 in text
    assert "ä" in text


def test_a_nameless_argument_takes_the_whole_body(service: Any) -> None:
    assert call(service, "whole_body", a=1) == {"got": {"a": 1}}


def test_results_are_filtered_ordered_and_cut(service: Any) -> None:
    plants = service.rpc("all_plants").select("name").gt("level", 1).order("level", desc=True)
    found = plants.limit(2).execute().data
    assert found == [{"name": '100% *,()"\\'}, {"name": "cedar"}]
    from_json = service.rpc("all_plants").select("doc->>s").eq("doc->>s", "two").execute()
    assert from_json.data == [{"s": "two"}]
    assert service.rpc("first_plant").select("name").single().execute().data == {"name": "ash"}


def test_results_are_counted(http: httpx.Client) -> None:
    response = http.get("/rpc/many?n=5&limit=2", headers={"Prefer": "count=exact"})
    assert (response.status_code, response.headers["content-range"]) == (206, "0-1/5")


def test_get_passes_arguments_as_text(service: Any, http: httpx.Client) -> None:
    assert service.rpc("add", {"a": 1, "b": 5}, get=True).execute().data == 6
    assert http.get("/rpc/joined?words=a&words=b").json() == "a+b"
    assert http.get("/rpc/echo", params={"value": '{"a":[1]}'}).json() == {"a": [1]}
    assert http.head("/rpc/add?a=1").status_code == 200
    refused = http.get("/rpc/add?a=x").json()
    assert refused["message"] == 'invalid input syntax for type integer: "x"'


def test_get_may_not_write(service: Any, http: httpx.Client) -> None:
    response = http.get("/rpc/grow?plant=ash")
    assert (response.status_code, response.json()["code"]) == (405, "25006")
    assert call(service, "grow", plant="ash") == 2


def test_only_functions_that_may_write_get_a_transaction_that_does(service: Any) -> None:
    assert call(service, "request")["read_only"] == "on"
    assert call(service, "request_of_writer") == "off"


def test_a_function_sees_the_request(served: Served, http: httpx.Client) -> None:
    seen = http.get("/rpc/request", headers={"X-Agent": "probe", "Cookie": "c=d"}).json()
    assert seen == {
        "user": "service_role",
        "claims": {"role": "service_role"},
        "method": "GET",
        "path": "/rpc/request",
        "agent": "probe",
        "cookie": "d",
        "read_only": "on",
    }


def test_a_function_may_dictate_status_and_headers(http: httpx.Client) -> None:
    response = http.post("/rpc/teapot")
    assert (response.status_code, response.headers["x-pot"]) == (418, "full")
    assert response.json() == "short and stout"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("PT404", 404),
        ("PT409", 409),
        ("PTXYZ", 500),
        ("P0001", 400),
        ("23505", 409),
        ("42501", 403),
        ("25006", 405),
        ("40001", 500),
        ("53300", 503),
        ("53400", 500),
        ("57014", 500),
        ("54001", 500),
        ("42P01", 404),
        ("28000", 403),
        ("22012", 400),
        ("XX000", 500),
    ],
)
def test_a_raised_error_becomes_its_status(http: httpx.Client, code: str, status: int) -> None:
    arguments = {"code": code, "message": "no", "details": "because"}
    response = http.post("/rpc/fail", json=arguments)
    assert response.status_code == status
    assert response.json() == {
        "code": code,
        "details": "because",
        "hint": "a hint",
        "message": "no",
    }
    assert response.headers["proxy-status"] == f"PostgREST; error={code}"


def test_an_error_may_dictate_the_whole_answer(http: httpx.Client) -> None:
    arguments = {
        "code": "PGRST",
        "message": '{"code": "mine", "message": "own words"}',
        "details": '{"status": 402, "headers": {"X-Price": "9"}}',
    }
    response = http.post("/rpc/fail", json=arguments)
    assert (response.status_code, response.headers["x-price"]) == (402, "9")
    assert response.json() == {
        "code": "mine",
        "details": None,
        "hint": None,
        "message": "own words",
    }
    broken = http.post("/rpc/fail", json=arguments | {"message": "?"})
    assert (broken.status_code, broken.json()["code"]) == (500, "PGRST121")


def test_the_client_sees_code_details_and_hint(service: Any) -> None:
    with pytest.raises(APIError) as refused:
        call(service, "fail", code="PT409", message="lost", details="x")
    error = refused.value
    assert (error.code, error.message, error.details, error.hint) == (
        "PT409",
        "lost",
        "x",
        "a hint",
    )


def test_an_unknown_function_is_not_found(http: httpx.Client) -> None:
    response = http.post("/rpc/ad", json={"x": 1, "a": 2})
    assert (response.status_code, response.json()) == (
        404,
        {
            "code": "PGRST202",
            "details": "Searched for the function public.ad with parameters a, x or with a single"
            " unnamed json/jsonb parameter, but no matches were found in the schema cache.",
            "hint": "Perhaps you meant to call the function public.add",
            "message": "Could not find the function public.ad(a, x) in the schema cache",
        },
    )
    response = http.get("/rpc/add")
    assert response.json()["details"] == (
        "Searched for the function public.add without parameters,"
        " but no matches were found in the schema cache."
    )
    assert response.json()["hint"] == "Perhaps you meant to call the function public.add(a, b)"


def test_overloads_that_differ_in_types_alone_are_ambiguous(http: httpx.Client) -> None:
    response = http.post("/rpc/twin", json={"a": 1})
    assert (response.status_code, response.json()["code"]) == (300, "PGRST203")


def test_max_affected_needs_a_set(http: httpx.Client) -> None:
    strict = {"Prefer": "handling=strict, max-affected=2"}
    assert http.post("/rpc/add", json={"a": 1}, headers=strict).json()["code"] == "PGRST128"
    assert http.post("/rpc/many", json={"n": 3}, headers=strict).json()["code"] == "PGRST124"
    assert http.post("/rpc/many", json={"n": 2}, headers=strict).json() == [1, 2]


async def test_the_asynchronous_client_is_served_alike(served: Served) -> None:
    async with httpx.AsyncClient(verify=False, timeout=60) as transport:  # noqa: S501 no TLS
        options = AsyncClientOptions(httpx_client=transport)
        client: Any = await acreate_client(served.url, served.keys.secret, options)
        calls = (client.rpc("add", {"a": number}).execute() for number in range(20))
        assert [answer.data for answer in await asyncio.gather(*calls)] == list(range(2, 22))
        with pytest.raises(APIError) as refused:
            await client.rpc("fail", {"code": "PT409", "message": "lost"}).execute()
        assert refused.value.code == "PT409"
