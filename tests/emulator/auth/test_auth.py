"""Users, passwords and sessions, as plain HTTP shows them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import psycopg
import pytest

from emulator import auth, rest
from emulator.running import Emulator
from tests.conftest import clone

PHRASE = "correct horse"
NEWER = {"X-Supabase-Api-Version": "2024-01-01"}


@dataclass(frozen=True)
class Api:
    emulator: Emulator
    http: httpx.Client

    def post(self, path: str, token: str | None = None, /, **body: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.post(path, json=body, headers=headers)

    def get(self, path: str, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.get(path, headers=headers)

    def administer(self, method: str, path: str, **body: object) -> httpx.Response:
        secret = self.emulator.keys.secret
        headers = {"apikey": secret, "Authorization": f"Bearer {secret}"}
        return self.http.request(method, path, json=body or None, headers=headers)

    def sign_up(self, **more: object) -> dict[str, Any]:
        email = f"{uuid.uuid4().hex}@example.org"
        answer = self.post("/signup", email=email, password=PHRASE, **more)
        assert answer.status_code == 200, answer.text
        session: dict[str, Any] = answer.json()
        return session

    def sql(self, statement: str, *parameters: object) -> None:
        dsn = self.emulator.dsn("supabase_admin")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statement.encode(), parameters)


@pytest.fixture(scope="module")
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    template = request.getfixturevalue("template")
    for database in clone(template):
        with Emulator.running(database, mounts=(rest.mount, auth.mount)) as emulator:
            headers = {"apikey": emulator.keys.publishable, **NEWER}
            url = f"{emulator.url}/auth/v1"
            with httpx.Client(base_url=url, headers=headers, verify=False, timeout=60) as http:  # noqa: S501 no TLS
                yield Api(emulator, http)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_who_signs_up_is_signed_in_with_a_token_that_rest_takes(api: Api) -> None:
    session = api.sign_up(data={"name": "Ada"})
    claims = jwt.decode(session["access_token"], options={"verify_signature": False})
    user = session["user"]
    assert (claims["sub"], claims["email"]) == (user["id"], user["email"])
    assert (claims["role"], claims["aud"]) == ("authenticated", "authenticated")
    assert claims["iss"] == f"{api.emulator.url}/auth/v1"
    assert claims["user_metadata"] == user["user_metadata"] == {"name": "Ada"}
    assert session["expires_at"] == claims["exp"]
    assert session["expires_in"] == claims["exp"] - claims["iat"] == 3600
    headers = {
        "apikey": api.emulator.keys.publishable,
        "Authorization": f"Bearer {session['access_token']}",
    }
    url = f"{api.emulator.url}/rest/v1/hotspots"
    assert httpx.get(url, headers=headers, timeout=60).json() == []
    assert api.get("/user", session["access_token"]).json()["email"] == user["email"]


def test_a_password_opens_a_session_and_a_wrong_one_does_not(api: Api) -> None:
    email = api.sign_up()["user"]["email"]
    right = api.post("/token?grant_type=password", email=email.upper(), password=PHRASE)
    assert right.json()["user"]["email"] == email
    wrong = api.post("/token?grant_type=password", email=email, password=f"{PHRASE}!")
    unknown = api.post("/token?grant_type=password", email="nobody@x.org", password=PHRASE)
    for answer in (wrong, unknown):
        assert refusal(answer) == (400, "invalid_credentials")
        assert answer.json()["message"] == "Invalid login credentials"
    older = api.http.post(
        "/token?grant_type=password",
        json={"email": email, "password": "no"},
        headers={"X-Supabase-Api-Version": ""},
    )
    assert older.json() == {
        "code": 400,
        "error_code": "invalid_credentials",
        "msg": "Invalid login credentials",
    }


def test_passwords_are_kept_as_salted_scrypt_only(api: Api) -> None:
    ids = [api.sign_up()["user"]["id"] for _ in range(2)]
    with psycopg.connect(api.emulator.dsn("supabase_admin")) as connection:
        query = "select encrypted_password from auth.users where id = any(%s::uuid[])"
        kept = [text for (text,) in connection.execute(query, (ids,))]
    assert len(set(kept)) == 2
    assert all(text.startswith("$scrypt$") and PHRASE not in text for text in kept)


def refreshed(api: Api, token: str) -> httpx.Response:
    return api.post("/token?grant_type=refresh_token", refresh_token=token)


def make_older(api: Api, token: str) -> None:
    api.sql(
        "update auth.refresh_tokens set updated_at = now() - interval '1 minute' where token = %s",
        token,
    )


def test_a_refresh_token_gives_new_tokens_and_is_spent(api: Api) -> None:
    first = api.sign_up()
    second = refreshed(api, first["refresh_token"])
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]
    assert second.json()["user"]["id"] == first["user"]["id"]
    assert refusal(refreshed(api, "nothing")) == (400, "refresh_token_not_found")


def test_a_client_that_lost_the_answer_gets_the_same_refresh_token_again(api: Api) -> None:
    first = api.sign_up()["refresh_token"]
    second = refreshed(api, first).json()["refresh_token"]
    make_older(api, first)
    again = refreshed(api, first)
    assert (again.status_code, again.json()["refresh_token"]) == (200, second)


def test_two_tabs_may_refresh_at_once(api: Api) -> None:
    first = api.sign_up()["refresh_token"]
    second = refreshed(api, first).json()["refresh_token"]
    third = refreshed(api, second).json()["refresh_token"]
    late = refreshed(api, first)
    assert late.status_code == 200, "it was used less than ten seconds ago"
    assert late.json()["refresh_token"] not in {first, second, third}


def test_a_refresh_token_that_is_used_later_again_ends_all_of_its_session(api: Api) -> None:
    signed_up = api.sign_up()
    first = signed_up["refresh_token"]
    email = signed_up["user"]["email"]
    other = api.post("/token?grant_type=password", email=email, password=PHRASE).json()
    second = refreshed(api, first).json()["refresh_token"]
    third = refreshed(api, second).json()["refresh_token"]
    make_older(api, first)
    assert refusal(refreshed(api, first)) == (400, "refresh_token_already_used")
    for token in (second, third):
        make_older(api, token)
        assert refusal(refreshed(api, token)) == (400, "refresh_token_already_used")
    assert refreshed(api, other["refresh_token"]).status_code == 200, "another session"


@pytest.mark.parametrize(
    ("scope", "ended"),
    [("local", [True, False]), ("others", [False, True]), ("global", [True, True])],
)
def test_signing_out_ends_the_sessions_that_it_names(
    api: Api, scope: str, ended: list[bool]
) -> None:
    one = api.sign_up()
    email = one["user"]["email"]
    other = api.post("/token?grant_type=password", email=email, password=PHRASE).json()
    assert api.post(f"/logout?scope={scope}", one["access_token"]).status_code == 204
    answers = [api.get("/user", session["access_token"]) for session in (one, other)]
    assert [answer.status_code == 403 for answer in answers] == ended
    assert all(
        refusal(answer) == (403, "session_not_found")
        for answer, gone in zip(answers, ended, strict=True)
        if gone
    )


def test_users_change_their_own_data_and_password(api: Api) -> None:
    session = api.sign_up(data={"a": 1})
    token = {"Authorization": f"Bearer {session['access_token']}"}
    changed = api.http.put("/user", json={"data": {"b": 2}, "password": "other one"}, headers=token)
    assert changed.json()["user_metadata"] == {"a": 1, "b": 2}
    email = session["user"]["email"]
    for password, status in ((PHRASE, 400), ("other one", 200)):
        answer = api.post("/token?grant_type=password", email=email, password=password)
        assert answer.status_code == status
    same = api.http.put("/user", json={"password": "other one"}, headers=token)
    assert refusal(same) == (422, "same_password")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/signup", {"email": "x@example.org", "password": "short"}, (422, "weak_password")),
        ("/signup", {"email": "no address", "password": PHRASE}, (400, "validation_failed")),
        ("/signup", {"email": "x@example.org"}, (422, "validation_failed")),
        ("/signup", {}, (422, "anonymous_provider_disabled")),
        ("/signup", {"email": "a\0@b", "password": PHRASE, "data": 1}, (400, "bad_json")),
        ("/token?grant_type=password", {}, (400, "validation_failed")),
        ("/token?grant_type=pkce", {}, (501, "not_imitated")),
        ("/recover", {"email": "x@example.org"}, (501, "not_imitated")),
        ("/logout", {}, (401, "no_authorization")),
        ("/admin/users", {}, (401, "no_authorization")),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    api: Api, path: str, body: dict[str, object], expected: tuple[int, str]
) -> None:
    assert refusal(api.http.post(path, json=body)) == expected


def test_an_address_is_taken_once(api: Api) -> None:
    email = api.sign_up()["user"]["email"]
    again = api.post("/signup", email=email.upper(), password=PHRASE)
    assert refusal(again) == (422, "user_already_exists")
    made = api.administer("POST", "/admin/users", email=email, password=PHRASE)
    assert refusal(made) == (422, "email_exists")


def test_administrators_make_find_change_and_remove_users(api: Api) -> None:
    email = f"{uuid.uuid4().hex}@example.org"
    made = api.administer("POST", "/admin/users", email=email, password=PHRASE).json()
    pending = api.post("/token?grant_type=password", email=email, password=PHRASE)
    assert refusal(pending) == (400, "email_not_confirmed")
    place = f"/admin/users/{made['id']}"
    changed = api.administer("PUT", place, email_confirm=True, app_metadata={"plan": "pro"})
    assert changed.json()["app_metadata"]["plan"] == "pro"
    session = api.post("/token?grant_type=password", email=email, password=PHRASE).json()
    listed = api.administer("GET", "/admin/users?per_page=1000")
    assert made["id"] in [user["id"] for user in listed.json()["users"]]
    assert api.administer("DELETE", place).status_code == 200
    assert refusal(api.administer("GET", place)) == (404, "user_not_found")
    gone = api.get("/user", session["access_token"])
    assert refusal(gone) == (403, "user_not_found")
    assert refusal(api.administer("GET", "/admin/users/7")) == (404, "validation_failed")


def test_only_administrators_may_administer(api: Api) -> None:
    token = api.sign_up()["access_token"]
    assert refusal(api.get("/admin/users", token)) == (403, "not_admin")
    keys = api.emulator.keys
    assert api.http.get("/user", headers={"apikey": "sb_secret_x"}).status_code == 401
    expired = keys.mint("authenticated", subject=str(uuid.uuid4()), seconds=-5)
    assert refusal(api.get("/user", expired)) == (403, "bad_jwt")
    assert refusal(api.get("/user", keys.mint("authenticated"))) == (403, "bad_jwt")


def test_the_tables_are_closed_to_the_api_roles_and_open_to_migrations(api: Api) -> None:
    with psycopg.connect(api.emulator.dsn("postgres")) as connection:
        connection.execute("select count(*) from auth.users")
        connection.execute(
            "create table public.profiles (id uuid primary key references auth.users (id))"
        )
    with psycopg.connect(api.emulator.dsn("authenticator")) as connection:
        connection.execute("set role service_role")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from auth.users")


def test_tokens_of_a_former_key_are_good_until_it_is_revoked(api: Api) -> None:
    token = api.sign_up()["access_token"]
    former = api.emulator.keys.signing.current.id
    api.emulator.keys.signing.rotate()
    assert api.sign_up()["access_token"].split(".")[0] != token.split(".")[0]
    published = api.http.get("/.well-known/jwks.json").json()["keys"]
    assert [key["kid"] for key in published][1] == former
    assert api.get("/user", token).status_code == 200
    api.emulator.keys.signing.revoke(former)
    assert refusal(api.get("/user", token)) == (403, "bad_jwt")
