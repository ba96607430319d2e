"""Keys, tokens and roles: who may do what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from postgrest.exceptions import APIError

if TYPE_CHECKING:
    from tests.emulator.rest.conftest import Served

USER = "11111111-1111-1111-1111-111111111111"
OTHER = "22222222-2222-2222-2222-222222222222"


def names(client: Any) -> list[str]:
    rows = client.table("plants").select("name").order("level").execute().data
    return [row["name"] for row in rows]


def get(served: Served, **headers: str) -> httpx.Response:
    return httpx.get(f"{served.url}/rest/v1/plants", headers=headers, timeout=60)


def test_each_role_sees_what_its_policies_show(service: Any, anon: Any, user: Any) -> None:
    odd = '100% *,()"\\'
    assert names(service) == ["ash", "birch", "cedar", odd]
    assert names(anon) == ["ash", "birch", odd]
    assert names(user) == ["cedar"]


def test_a_user_writes_only_rows_of_her_own(
    served: Served, user: Any, client_of: Callable[..., Any]
) -> None:
    assert user.table("plants").update({"level": 30}).gt("level", 0).execute().data[0]["id"] == 3
    other = client_of(served.keys.publishable, served.keys.mint("authenticated", subject=OTHER))
    assert other.table("plants").delete().eq("name", "cedar").execute().data == []
    with pytest.raises(APIError) as refused:
        other.table("plants").insert({"name": "taken", "owner": USER}).execute()
    assert refused.value.code == "42501"
    assert refused.value.message == (
        'new row violates row-level security policy for table "plants"'
    )


def test_forbidden_is_401_without_and_403_with_a_login(served: Served) -> None:
    keys = served.keys
    row = {"name": "x"}
    url = f"{served.url}/rest/v1/plants"
    response = httpx.post(url, headers={"apikey": keys.publishable}, json=row, timeout=60)
    assert (response.status_code, response.json()["code"]) == (401, "42501")
    assert response.headers["www-authenticate"] == "Bearer"
    token = keys.mint("authenticated", subject=OTHER)
    headers = {"apikey": keys.publishable, "Authorization": f"Bearer {token}"}
    assert httpx.post(url, headers=headers, json=row, timeout=60).status_code == 403


def test_the_key_may_come_as_a_parameter_or_be_of_the_older_kind(served: Served) -> None:
    keys = served.keys
    response = httpx.get(f"{served.url}/rest/v1/plants?apikey={keys.secret}&level=eq.3", timeout=60)
    assert len(response.json()) == 1
    assert len(get(served, apikey=keys.legacy_key("service_role")).json()) == 4
    old = keys.legacy_key("anon")
    assert len(get(served, apikey=old, Authorization=f"Bearer {old}").json()) == 3


def test_a_caller_without_a_key_of_the_project_stays_outside(served: Served) -> None:
    response = get(served)
    assert (response.status_code, response.json()) == (
        401,
        {
            "message": "No API key found in request",
            "hint": "No `apikey` request header or url param was found.",
        },
    )
    wrong = {
        "message": "Invalid API key",
        "hint": "Double check your Supabase `anon` or `service_role` API key.",
    }
    token = served.keys.mint("authenticated", subject=USER)
    for key in ("sb_secret_wrong", "no key", token, type(served.keys).generate().secret):
        response = get(served, apikey=key)
        assert (response.status_code, response.json()) == (401, wrong)


@pytest.mark.parametrize(
    ("token", "code", "message"),
    [
        ("expired", "PGRST303", "JWT expired"),
        ("foreign", "PGRST301", "No suitable key or wrong key type"),
        ("sb_secret_other", "PGRST301", "Expected 3 parts in JWT; got 1"),
        ("a.b.c", "PGRST301", "JWT couldn't be decoded"),
    ],
)
def test_a_bad_token_is_refused(served: Served, token: str, code: str, message: str) -> None:
    keys = served.keys
    tokens = {
        "expired": keys.mint("authenticated", subject=USER, seconds=-60),
        "foreign": type(keys).generate().mint("authenticated", subject=USER),
    }
    headers = {"apikey": keys.publishable, "Authorization": f"Bearer {tokens.get(token, token)}"}
    response = get(served, **headers)
    assert response.status_code == 401
    assert (response.json()["code"], response.json()["message"]) == (code, message)
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_a_token_for_a_role_that_is_not_there_is_refused(served: Served) -> None:
    keys = served.keys
    for role, status in (("nobody", 401), ("postgres", 403)):
        token = keys.mint(role, subject=USER)
        response = get(served, apikey=keys.publishable, Authorization=f"Bearer {token}")
        assert response.status_code == status, response.text


def test_claims_and_limits_are_those_of_the_caller(
    served: Served, user: Any, anon: Any, service: Any
) -> None:
    seen = user.rpc("request").execute().data
    assert seen["user"] == "authenticated"
    assert seen["claims"]["sub"] == USER
    assert anon.rpc("limits").execute().data == "3s"
    assert user.rpc("limits").execute().data == "8s"
    assert service.rpc("limits").execute().data == "8s"
    assert anon.rpc("patient").execute().data == "30s"


def test_nothing_of_a_caller_stays_on_the_connection(
    served: Served, service: Any, anon: Any
) -> None:
    for _ in range(12):
        assert service.rpc("request").execute().data["user"] == "service_role"
        assert anon.rpc("request").execute().data["user"] == "anon"
    with pytest.raises(APIError):
        anon.rpc("not_for_all").execute()
    assert service.rpc("not_for_all").execute().data == 1
