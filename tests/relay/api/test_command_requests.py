"""What is refused before Supabase is asked. Here it cannot be reached: 503 means let through."""

from collections.abc import AsyncIterator

import httpx
import pytest

from relay.api.user_client import UserClient, refusal
from tests.relay.serving import commands

NOWHERE = "http://127.0.0.1:1"
DECISION = "/recommendations/7/approve"


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with UserClient(NOWHERE, "publishable") as behalf, commands(behalf, "local") as client:
        yield client


async def test_an_unreachable_supabase_is_temporary(client: httpx.AsyncClient) -> None:
    reply = await client.post("/hotspots/scan")
    assert reply.status_code == 503
    assert "cannot be reached" in reply.json()["detail"]
    assert int(reply.headers["Retry-After"]) > 0


@pytest.mark.parametrize("id", ["0", "-1", "9223372036854775808", "7.5", "all"])
async def test_an_id_that_cannot_be_is_refused_with_a_reason(
    client: httpx.AsyncClient, id: str
) -> None:
    reply = await client.post(f"/recommendations/{id}/approve")
    assert reply.status_code == 422
    assert reply.json()["detail"].startswith("id: Input should be")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 422),
        (b'{"notes": 7}', 422),
        (b'{"x": 1}', 422),
        (b" " * 4097, 413),
        (b" " * 4096, 503),
    ],
)
async def test_a_bad_body_is_refused(client: httpx.AsyncClient, body: bytes, status: int) -> None:
    reply = await client.post(DECISION, content=body)
    assert reply.status_code == status
    assert isinstance(reply.json()["detail"], str)


async def test_an_endless_body_without_length_is_cut_off(client: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    assert (await client.post(DECISION, content=body())).status_code == 413


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 422), ("limit=1001", 422), ("severity=hot", 400), ("colour=red", 400)],
)
async def test_a_bad_list_query_is_refused_with_a_reason(
    client: httpx.AsyncClient, query: str, status: int
) -> None:
    reply = await client.get(f"/hotspots?{query}")
    assert reply.status_code == status
    assert isinstance(reply.json()["detail"], str)


@pytest.mark.parametrize("given", ["Bearer", "Basic eDp5", "Bearer a b", "Bearer \xfc", ""])
async def test_what_is_no_token_is_not_replaced_by_the_local_one(
    client: httpx.AsyncClient, given: str
) -> None:
    headers = httpx.Headers({"Authorization": given}, encoding="latin-1")
    reply = await client.get("/hotspots", headers=headers)
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert "user's token" in reply.json()["detail"]


async def test_the_local_token_is_lent_only_to_requests_that_name_this_machine(
    client: httpx.AsyncClient,
) -> None:
    rebound = {"Host": "evil.example:8003", "Origin": "http://evil.example:8003"}
    assert (await client.get("/hotspots", headers=rebound)).status_code == 403
    assert (await client.get("/hotspots", headers={"Host": "evil.example"})).status_code == 403
    own = {**rebound, "Authorization": "Bearer their.own"}
    assert (await client.get("/hotspots", headers=own)).status_code == 503


async def test_without_any_token_the_remedy_is_named() -> None:
    async with UserClient(NOWHERE, "publishable") as behalf, commands(behalf, None) as client:
        reply = await client.post("/hotspots/scan")
    assert reply.status_code == 401
    assert "RELAY_LOCAL_TOKEN" in reply.json()["detail"]


async def test_without_a_publishable_key_the_variable_is_named() -> None:
    async with UserClient(NOWHERE, "") as behalf, commands(behalf, "local") as client:
        reply = await client.get("/hotspots")
    assert reply.status_code == 503
    assert "SUPABASE_PUBLISHABLE_KEY" in reply.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_foreign_pages_can_start_nothing(
    client: httpx.AsyncClient, method: str, headers: dict[str, str]
) -> None:
    reply = await client.request(method, "/hotspots/scan", headers=headers)
    assert reply.status_code == 403
    assert "Access-Control-Allow-Origin" not in reply.headers


IMAGE = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
LINK = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}
SCRIPT = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
LISTED = {"Origin": "https://app.example"}


@pytest.mark.parametrize("headers", [IMAGE, LINK, SCRIPT, IMAGE | LISTED, LINK | LISTED])
async def test_an_image_or_link_on_a_page_of_the_same_site_starts_no_scan(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await client.get("/hotspots/scan", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},  # curl
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},  # typed into the address bar
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        SCRIPT | LISTED,
    ],
)
async def test_a_script_that_names_an_allowed_origin_and_no_browser_may_get_a_scan(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await client.get("/hotspots/scan", headers=headers)).status_code == 503


@pytest.mark.parametrize("origin", ["http://localhost:5173", "https://app.example"])
async def test_allowed_pages_may_read_answers_and_errors(
    client: httpx.AsyncClient, origin: str
) -> None:
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    for path, status in (("/hotspots", 503), ("/hotspots?limit=0", 422), ("/scans/x", 422)):
        reply = await client.get(path, headers=headers)
        assert reply.status_code == status
        assert reply.headers["Access-Control-Allow-Origin"] == origin
        assert reply.headers["Vary"] == "Origin"


async def test_browsers_may_ask_before_they_send(client: httpx.AsyncClient) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Origin": "https://app.example"}
    reply = await client.options(DECISION, headers=asked)
    assert reply.status_code == 204
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert "authorization" in reply.headers["Access-Control-Allow-Headers"]
    foreign = {**asked, "Origin": "https://evil.example"}
    assert (await client.options(DECISION, headers=foreign)).status_code == 403


@pytest.mark.parametrize(
    ("status", "body", "answered"),
    [
        (404, b'{"code":"PT404","message":"alert 7 does not exist"}', 404),
        (409, b'{"code":"PT409","message":"recommendation 7 is already approved"}', 409),
        (404, b'{"code":"PGRST202","message":"no function"}', 503),
        (401, b'{"code":"PGRST301","message":"JWT expired"}', 401),
        (403, b'{"code":"42501","message":"permission denied"}', 403),
        (400, b'{"code":"22003","message":"out of range"}', 422),
        (400, b'{"code":"23514","message":"violates check"}', 422),
        (429, b"", 429),
        (500, b'{"code":"57014","message":"statement timeout"}', 503),
        (503, b"<html>", 503),
        (502, b"[]", 503),
        (400, b'{"message":"no code"}', 502),
        (418, b"", 502),
    ],
)
def test_what_supabase_answers_is_translated(status: int, body: bytes, answered: int) -> None:
    error = refusal(status, body)
    assert error.status == answered
    assert str(error)
