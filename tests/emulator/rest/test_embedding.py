"""Tables embedded in each other, as the official client asks for them.

A part has one plant, a plant many parts and perhaps a label, beds and plants know each other by
way of plantings; a bed lies in a garden, has another to spare, and may lie within another bed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from postgrest.exceptions import APIError

from tests.emulator.rest.conftest import Served

ODD = '100% *,()"\\'


def rows(http: httpx.Client, url: str) -> Any:
    response = http.get(url)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_one_is_an_object_and_the_many_are_an_array(service: Any) -> None:
    part = service.table("parts").select("*,plants(name,level)").eq("number", 1).execute().data
    plant = {"name": "ash", "level": 1}
    assert part == [{"plant": 1, "number": 1, "label": "leaf", "plants": plant}]
    plants = service.table("plants").select("name,parts(number)").order("id").limit(2).execute()
    assert plants.data == [
        {"name": "ash", "parts": [{"number": 1}, {"number": 2}]},
        {"name": "birch", "parts": []},
    ]


def test_a_unique_foreign_key_leads_to_one_row_or_none(service: Any) -> None:
    plants = service.table("plants").select("name,labels(writing)").order("id").limit(2).execute()
    assert plants.data == [
        {"name": "ash", "labels": {"writing": "Fraxinus"}},
        {"name": "birch", "labels": None},
    ]
    label = service.table("labels").select("writing,plants(name)").eq("plant", 3).execute()
    assert label.data == [{"writing": "Cedrus", "plants": {"name": "cedar"}}]


def test_a_table_between_two_others_relates_them(service: Any) -> None:
    beds = service.table("beds").select("name,plants(name)").order("id")
    beds = beds.order("name", foreign_table="plants").execute().data
    assert beds == [
        {"name": "rose", "plants": [{"name": "ash"}, {"name": "birch"}]},
        {"name": "herb", "plants": [{"name": "ash"}]},
        {"name": "fern", "plants": [{"name": "cedar"}]},
        {"name": "lost", "plants": []},
    ]


def test_embedding_nests(service: Any) -> None:
    columns = "name,beds!garden(name,plants(title:name,labels(writing)))"
    garden = service.table("gardens").select(columns).eq("id", 2).execute().data
    cedar = {"title": "cedar", "labels": {"writing": "Cedrus"}}
    assert garden == [{"name": "south", "beds": [{"name": "fern", "plants": [cedar]}]}]


def test_aliases_and_hints_tell_two_relationships_apart(service: Any) -> None:
    by_constraint = "home:gardens!beds_garden_fkey(name),other:gardens!beds_spare_fkey(name)"
    by_column = "home:gardens!garden(name),other:spare(name)"
    expected = {"home": {"name": "north"}, "other": {"name": "south"}}
    for columns in (by_constraint, by_column):
        assert service.table("beds").select(columns).eq("id", 1).execute().data == [expected]


def test_a_table_within_itself_is_many_by_its_name_and_one_by_the_column(service: Any) -> None:
    beds = service.table("beds").select("name,within(name),beds(name)").order("id").execute().data
    assert [(bed["within"], len(bed["beds"])) for bed in beds] == [
        (None, 2),
        ({"name": "rose"}, 0),
        ({"name": "rose"}, 1),
        ({"name": "fern"}, 0),
    ]
    deep = service.table("beds").select("within(name,within(name))").eq("id", 4).execute().data
    assert deep == [{"within": {"name": "fern", "within": {"name": "rose"}}}]
    hinted = service.table("beds").select("smaller:beds!within(name)").eq("id", 3).execute().data
    assert hinted == [{"smaller": [{"name": "lost"}]}]


def test_an_inner_embedding_leaves_out_rows_that_have_nothing_there(service: Any) -> None:
    plants = service.table("plants").select("name,beds!inner(name)", count="exact")
    found = plants.eq("beds.name", "rose").order("id").execute()
    assert found.data == [
        {"name": "ash", "beds": [{"name": "rose"}]},
        {"name": "birch", "beds": [{"name": "rose"}]},
    ]
    assert found.count == 2
    left = service.table("plants").select("name,beds!left(name)").eq("beds.name", "none")
    assert len(left.execute().data) == 4
    hinted = service.table("gardens").select("name,beds!inner!spare(id)").order("id").execute()
    assert [garden["name"] for garden in hinted.data] == ["north", "south"]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("parts.number=gt.1", [[2], []]),
        ("parts.or=(number.eq.1,label.is.null)", [[1, 2], []]),
        ("parts.not.and=(number.eq.1,label.eq.leaf)", [[2], []]),
        ("parts.order=number.desc", [[2, 1], []]),
        ("parts.order=label.desc.nullsfirst&parts.limit=1", [[2], []]),
        ("parts.order=number&parts.offset=1", [[2], []]),
        ("parts.limit=0", [[], []]),
        ("parts.label=eq.leaf&parts.number=in.(1,2)", [[1], []]),
    ],
)
def test_embedded_rows_are_filtered_ordered_and_cut(
    http: httpx.Client, parameters: str, expected: list[list[int]]
) -> None:
    found = rows(http, f"/plants?select=parts(number)&order=id&limit=2&{parameters}")
    assert [[part["number"] for part in plant["parts"]] for plant in found] == expected


def test_parameters_reach_through_several_tables_and_by_alias(http: httpx.Client) -> None:
    url = "/beds?select=green:plants(name,parts(number))&id=eq.1"
    url += "&green.order=name.desc&green.parts.number=eq.2&plants.name=neq.cedar"
    birch, ash = {"name": "birch", "parts": []}, {"name": "ash", "parts": [{"number": 2}]}
    assert rows(http, url) == [{"green": [birch, ash]}]


@pytest.mark.parametrize(
    ("select", "condition", "expected"),
    [
        ("name,parts()", "parts=is.null", ["birch", "cedar", ODD]),
        ("name,parts()", "parts=not.is.null", ["ash"]),
        ("name,parts()", "parts=is.not_null", ["ash"]),
        ("name,labels()", "labels=is.null", ["birch", ODD]),
        ("name,l:labels()", "l=not.is.null", ["ash", "cedar"]),
        ("name,labels()", "or=(labels.not.is.null,name.eq.birch)", ["ash", "birch", "cedar"]),
        ("name,beds()", "beds=not.is.null&beds.name=eq.herb", ["ash"]),
        ("name,parts(),labels()", "parts=is.null&labels=not.is.null", ["cedar"]),
    ],
)
def test_rows_are_found_by_whether_something_is_embedded(
    http: httpx.Client, select: str, condition: str, expected: list[str]
) -> None:
    response = http.get(
        f"/plants?select={select}&{condition}&order=id", headers={"Prefer": "count=exact"}
    )
    assert response.json() == [{"name": name} for name in expected]
    assert response.headers["content-range"] == f"0-{len(expected) - 1}/{len(expected)}"


def test_rows_are_ordered_by_a_column_of_the_one(service: Any) -> None:
    labels = service.table("labels").select("plants(name)").order("plants(name)", desc=True)
    assert [row["plants"]["name"] for row in labels.execute().data] == ["cedar", "ash"]
    beds = service.table("beds").select("id,g:garden(doc)").order("g(doc->>soil)", nullsfirst=True)
    assert [row["id"] for row in beds.order("id", desc=True).execute().data] == [4, 2, 1, 3]


def test_columns_of_the_one_are_spread_and_those_of_the_many_become_arrays(
    http: httpx.Client,
) -> None:
    assert rows(http, "/parts?select=number,...plants(of:name,...labels(writing))&number=eq.1") == [
        {"number": 1, "of": "ash", "writing": "Fraxinus"}
    ]
    spread = rows(http, "/plants?select=name,...parts(number,label)&order=id&limit=2")
    assert spread == [
        {"name": "ash", "number": [1, 2], "label": ["leaf", None]},
        {"name": "birch", "number": [], "label": []},
    ]
    ordered = "/plants?select=...parts!inner(*)&parts.order=number.desc"
    assert rows(http, ordered) == [{"plant": [1, 1], "number": [2, 1], "label": [None, "leaf"]}]
    nested = rows(http, "/gardens?select=...beds!garden(bed:name,plants(name))&id=eq.2")
    assert nested == [{"bed": ["fern"], "plants": [[{"name": "cedar"}]]}]


def test_rows_are_counted_where_they_are_embedded(service: Any) -> None:
    plants = service.table("plants").select("name,parts(count)").order("id").limit(2).execute()
    assert plants.data == [
        {"name": "ash", "parts": [{"count": 2}]},
        {"name": "birch", "parts": [{"count": 0}]},
    ]


def test_what_is_written_comes_back_with_what_is_embedded(http: httpx.Client) -> None:
    headers = {"Prefer": "return=representation"}
    url = "/parts?select=number,plants(name,labels(writing))"
    embedded = {"name": "cedar", "labels": {"writing": "Cedrus"}}
    created = http.post(url, json={"plant": 3, "number": 4}, headers=headers)
    assert (created.status_code, created.json()) == (201, [{"number": 4, "plants": embedded}])
    changed = http.patch(f"{url}&number=eq.4", json={"label": "x"}, headers=headers)
    assert changed.json() == [{"number": 4, "plants": embedded}]
    gone = http.delete(f"{url}&number=eq.4&plants.name=eq.ash", headers=headers)
    assert gone.json() == [{"number": 4, "plants": None}]
    assert http.get("/parts?number=eq.4").json() == []


def test_results_of_functions_embed_tables(service: Any) -> None:
    beds = service.rpc("all_beds").select("name,garden(name)").order("name").limit(1).execute()
    assert beds.data == [{"name": "fern", "garden": {"name": "south"}}]
    inner = service.rpc("all_plants", count="exact").select("name,parts!inner(number)").execute()
    assert ([row["name"] for row in inner.data], inner.count) == (["ash"], 1)


def test_numbers_within_arrive_exactly(http: httpx.Client) -> None:
    text = http.get("/beds?select=garden(budget,doc)&id=eq.1").text
    assert '"budget": 9007199254740993.5' in text


def test_policies_and_grants_hold_for_what_is_embedded(anon: Any, user: Any) -> None:
    columns = "name,plants(name)"
    seen = anon.table("beds").select(columns).order("name", foreign_table="plants").order("id")
    names = [[plant["name"] for plant in bed["plants"]] for bed in seen.execute().data]
    assert names == [["ash", "birch"], ["ash"], [], []]
    mine = user.table("beds").select(columns).order("id").execute().data
    assert [bed["plants"] for bed in mine] == [[], [], [{"name": "cedar"}], []]
    with pytest.raises(APIError) as refused:
        anon.table("plants").select("name,parts(number)").execute()
    assert (refused.value.code, refused.value.message) == (
        "42501",
        "permission denied for table parts",
    )


def refusal(http: httpx.Client, url: str) -> tuple[int, dict[str, Any]]:
    response = http.get(url)
    return response.status_code, response.json()


def test_a_table_that_is_not_related_is_refused(http: httpx.Client) -> None:
    assert refusal(http, "/plants?select=name,part(*)") == (
        400,
        {
            "code": "PGRST200",
            "details": "Searched for a foreign key relationship between 'plants' and 'part' in"
            " the schema 'public', but no matches were found.",
            "hint": "Perhaps you meant 'parts' instead of 'part'.",
            "message": "Could not find a relationship between 'plants' and 'part' in the schema"
            " cache",
        },
    )
    status, error = refusal(http, "/plants?select=name,parts!nope(*)")
    assert (status, error["code"], error["hint"]) == (400, "PGRST200", None)
    assert "'plants' and 'parts' using the hint 'nope' in the schema" in error["details"]


def test_several_relationships_are_listed(http: httpx.Client) -> None:
    assert refusal(http, "/beds?select=gardens(*)") == (
        300,
        {
            "code": "PGRST201",
            "details": [
                {
                    "cardinality": "many-to-one",
                    "embedding": "beds with gardens",
                    "relationship": "beds_garden_fkey using beds(garden) and gardens(id)",
                },
                {
                    "cardinality": "many-to-one",
                    "embedding": "beds with gardens",
                    "relationship": "beds_spare_fkey using beds(spare) and gardens(id)",
                },
            ],
            "hint": "Try changing 'gardens' to one of the following: 'gardens!beds_garden_fkey',"
            " 'gardens!beds_spare_fkey'. Find the desired relationship in the 'details' key.",
            "message": "Could not embed because more than one relationship was found for 'beds'"
            " and 'gardens'",
        },
    )


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        (
            "/plants?select=name&parts.number=eq.1",
            "PGRST108",
            "'parts' is not an embedded resource in this request",
        ),
        (
            "/plants?order=parts(number)",
            "PGRST108",
            "'parts' is not an embedded resource in this request",
        ),
        (
            "/plants?select=name,parts(number)&order=parts(number)",
            "PGRST118",
            "A related order on 'parts' is not possible",
        ),
        (
            "/plants?select=name,parts(number)&parts=eq.1",
            "PGRST120",
            "Bad operator on the 'parts' embedded resource",
        ),
        ("/rpc/pairs?select=a,plants(*)", "PGRST200", None),
        ("/plants?select=name,parts(nope)", "42703", "column parts.nope does not exist"),
        ("/plants?select=name,parts(number", "PGRST100", None),
        ("/plants?select=" + "parts(plants(" * 50 + "))" * 50, "PGRST100", None),
    ],
)
def test_what_cannot_be_embedded_is_refused(
    http: httpx.Client, url: str, code: str, message: str | None
) -> None:
    status, error = refusal(http, url)
    assert (status, error["code"]) == (400, code)
    assert message in {None, error["message"]}


@pytest.fixture
def related_later(served: Served) -> Iterator[None]:
    yield
    served.sql("alter table public.keyless drop column garden")


@pytest.mark.usefixtures("related_later")
def test_a_new_foreign_key_is_known_at_once(served: Served, http: httpx.Client) -> None:
    assert http.get("/keyless?select=n,gardens(name)").json()["code"] == "PGRST200"
    served.sql("alter table public.keyless add garden int references public.gardens (id)")
    served.sql("insert into public.keyless values (7, 2)")
    assert rows(http, "/keyless?select=n,gardens(name)") == [{"n": 7, "gardens": {"name": "south"}}]
