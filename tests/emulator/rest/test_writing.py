"""Inserting, changing and deleting rows, through the official client."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from postgrest.exceptions import APIError


def levels(service: Any) -> dict[str, int]:
    rows = service.table("plants").select("name,level").execute().data
    return {row["name"]: row["level"] for row in rows}


def test_an_inserted_row_comes_back_with_its_defaults(service: Any) -> None:
    row = service.table("plants").insert({"name": "elm", "big": 2**62}).execute().data[0]
    assert row["id"] == 5
    assert (row["mood"], row["level"], row["big"]) == ("calm", 7, 2**62)


def test_minimal_inserts_say_nothing(service: Any, http: httpx.Client) -> None:
    inserted = service.table("plants").insert({"name": "elm"}, returning="minimal")
    assert inserted.execute().data == []
    response = http.post("/plants", json={"name": "fir"})
    assert (response.status_code, response.content) == (201, b"")
    assert response.headers["content-range"] == "*/*"
    assert "content-type" not in response.headers


def test_missing_keys_become_null_or_the_default(service: Any) -> None:
    rows = [{"name": "elm", "mood": "busy"}, {"name": "fir"}]
    with pytest.raises(APIError) as refused:
        service.table("plants").insert(rows).execute()
    assert refused.value.code == "23502"
    kept = service.table("plants").insert(rows, default_to_null=False).execute().data
    assert [row["mood"] for row in kept] == ["busy", "calm"]
    assert all(isinstance(row["id"], int) for row in kept)


def test_a_row_of_defaults_and_no_row_at_all_can_be_inserted(http: httpx.Client) -> None:
    representation = {"Prefer": "return=representation"}
    assert http.post("/canary", json={}, headers=representation).json() == [{"alive": "yes"}]
    assert http.post("/canary", json=[], headers=representation).json() == []
    assert len(http.post("/canary", json=[{}, {}], headers=representation).json()) == 2


def test_upserts_merge_or_ignore_duplicates(service: Any, http: httpx.Client) -> None:
    rows = [{"name": "ash", "level": 50}, {"name": "elm", "level": 60}]
    merged = service.table("plants").upsert(rows, on_conflict="name").execute().data
    assert sorted((row["name"], row["level"]) for row in merged) == [("ash", 50), ("elm", 60)]
    ignored = service.table("plants").upsert(
        [{"name": "ash", "level": 51}, {"name": "fir", "level": 70}],
        on_conflict="name",
        ignore_duplicates=True,
    )
    assert [row["name"] for row in ignored.execute().data] == ["fir"]
    assert levels(service)["ash"] == 50
    merge = {"Prefer": "resolution=merge-duplicates"}
    again = http.post("/plants?on_conflict=name", json=rows, headers=merge)
    assert (again.status_code, again.headers["preference-applied"]) == (
        200,
        "resolution=merge-duplicates",
    )
    fresh = http.post("/plants?on_conflict=name", json={"name": "oak"}, headers=merge)
    assert fresh.status_code == 201


def test_an_upsert_without_columns_uses_the_primary_key(service: Any) -> None:
    service.table("parts").upsert({"plant": 1, "number": 1, "label": "bark"}).execute()
    parts = service.table("parts").select("label").eq("number", 1).execute()
    assert parts.data == [{"label": "bark"}]


def test_filters_choose_the_rows_that_are_updated(service: Any, http: httpx.Client) -> None:
    changed = service.table("plants").update({"level": 9, "doc": {"a": [1]}}).gte("level", 3)
    assert sorted(row["id"] for row in changed.execute().data) == [3, 4]
    response = http.patch("/plants?level=eq.9", json={"level": 8})
    assert (response.status_code, response.headers["content-range"]) == (204, "0-1/*")
    response = http.patch("/plants?level=eq.77", json={"level": 8})
    assert (response.status_code, response.headers["content-range"]) == (204, "*/*")
    assert service.table("plants").update({}).eq("level", 8).execute().data == []


def test_deleted_rows_come_back(service: Any, http: httpx.Client) -> None:
    gone = service.table("plants").delete().eq("name", "birch").execute()
    assert [row["name"] for row in gone.data] == ["birch"]
    response = http.delete("/plants?name=eq.cedar", headers={"Prefer": "count=exact"})
    assert (response.status_code, response.headers["content-range"]) == (204, "*/1")


@pytest.mark.parametrize(("method", "verb"), [("PATCH", "UPDATE"), ("DELETE", "DELETE")])
def test_all_rows_at_once_are_refused_as_on_hosted_projects(
    http: httpx.Client, method: str, verb: str
) -> None:
    response = http.request(method, "/plants", json={"level": 1})
    assert response.status_code == 400
    assert response.json()["code"] == "21000"
    assert response.json()["message"] == f"{verb} requires a WHERE clause"


def test_put_writes_the_row_that_its_filters_name(http: httpx.Client) -> None:
    representation = {"Prefer": "return=representation"}
    part = {"plant": 1, "number": 3, "label": "root"}
    url = "/parts?plant=eq.1&number=eq.3"
    assert http.put(url, json=part, headers=representation).status_code == 201
    again = http.put(url, json=part | {"label": "stem"}, headers=representation)
    assert (again.status_code, again.json()) == (200, [part | {"label": "stem"}])
    assert http.put(url, json=part).status_code == 204
    assert http.put(url, json=part | {"number": 4}).json()["code"] == "PGRST115"
    assert http.put("/parts?plant=eq.1", json=part).json()["code"] == "PGRST105"
    assert http.put(f"{url}&limit=1", json=part).json()["code"] == "PGRST114"


def test_only_the_selected_columns_are_returned_and_read(user: Any) -> None:
    plant = {"name": "mine", "owner": "11111111-1111-1111-1111-111111111111"}
    row = user.table("plants").insert(plant).execute().data[0]
    part = user.table("parts").insert({"plant": row["id"], "number": 1}).select("number")
    assert part.execute().data == [{"number": 1}]  # `label` may not be read


def test_the_place_of_a_new_row_is_named_on_request(http: httpx.Client) -> None:
    headers = {"Prefer": "return=headers-only"}
    response = http.post("/parts", json={"plant": 1, "number": 9}, headers=headers)
    assert response.status_code == 201
    assert response.headers["location"] == "/parts?plant=eq.1&number=eq.9"


def test_a_rolled_back_write_leaves_nothing(service: Any, http: httpx.Client) -> None:
    headers = {"Prefer": "tx=rollback, return=representation"}
    assert len(http.delete("/plants?level=gt.0", headers=headers).json()) == 4
    assert len(levels(service)) == 4


def test_an_unwanted_result_undoes_the_write(service: Any, http: httpx.Client) -> None:
    headers = {"Accept": "application/vnd.pgrst.object+json", "Prefer": "return=representation"}
    response = http.patch("/plants?level=gt.0", json={"level": 5}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (406, "PGRST116")
    with pytest.raises(APIError) as refused:
        service.table("plants").delete().gt("level", 0).max_affected(2).execute()
    assert refused.value.code == "PGRST124"
    assert sorted(levels(service).values()) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("row", "status", "code", "details"),
    [
        ({"name": "ash"}, 409, "23505", "Key (name)=(ash) already exists."),
        ({"name": None}, 400, "23502", None),
        ({"name": "x", "level": "high"}, 400, "22P02", None),
        ({"name": "x", "height": 1}, 400, "PGRST204", None),
        ({"name": "x", "mood": "sad"}, 400, "22P02", None),
    ],
)
def test_a_refused_row_is_explained(
    http: httpx.Client, row: dict[str, object], status: int, code: str, details: str | None
) -> None:
    response = http.post("/plants", json=row)
    assert (response.status_code, response.json()["code"]) == (status, code)
    if details is not None:
        assert response.json()["details"] == details


def test_constraints_between_tables_are_conflicts(http: httpx.Client) -> None:
    response = http.post("/parts", json={"plant": 99, "number": 1})
    assert (response.status_code, response.json()["code"]) == (409, "23503")
    assert http.post("/parts", json={"plant": 1, "number": 0}).json()["code"] == "23514"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Empty or invalid json"),
        (b"{", "Empty or invalid json"),
        (b'{"n": NaN}', "Empty or invalid json"),
        (b'{"n": "\xff"}', "Empty or invalid json"),
        (b'[{"n": 1}, {"m": 1}]', "All object keys must match"),
        (b'[{"n": 1}, 2]', "All object keys must match"),
    ],
)
def test_a_body_that_is_no_table_is_refused(http: httpx.Client, body: bytes, message: str) -> None:
    response = http.post("/keyless", content=body)
    assert (response.status_code, response.json()["code"]) == (400, "PGRST102")
    assert response.json()["message"] == message


def test_another_content_type_is_refused(http: httpx.Client) -> None:
    headers = {"Content-Type": "text/csv"}
    response = http.post("/keyless", content=b"n\n1", headers=headers)
    assert response.json()["message"] == "Content-Type not acceptable: text/csv"


def test_a_method_that_makes_no_sense_is_refused(http: httpx.Client) -> None:
    assert http.request("REPORT", "/plants").json()["code"] == "PGRST117"
    response = http.patch("/rpc/add", json={})
    assert (response.status_code, response.json()["code"]) == (405, "PGRST101")
