"""Commands and lists over HTTP, against a database with the project's rules."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, LiteralString

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg.rows import dict_row

from emulator.running import Emulator
from relay.behalf import Behalf
from relay.commands import router
from relay.origins import allowing
from tests.relay.serving import serving

Database = psycopg.Connection[dict[str, Any]]
STAMPS = {"version", "tx", "changed_at"}


@pytest.fixture
def db(emulator: Emulator) -> Iterator[Database]:
    with psycopg.connect(emulator.dsn(), autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def token(emulator: Emulator) -> str:
    return emulator.keys.mint("authenticated", subject="somebody")


@pytest.fixture
async def client(emulator: Emulator, token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with Behalf(emulator.url, emulator.keys.publishable) as behalf:
        async for each in calling(behalf, local_token=token):
            yield each


async def calling(behalf: Behalf, local_token: str | None) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(
        router(behalf, local_token=local_token, allows=allowing(["https://app.example"]))
    )
    async with serving(app) as host, httpx.AsyncClient(base_url=f"http://{host}") as client:
        yield client


def one(db: Database, statement: LiteralString, *arguments: object) -> dict[str, Any]:
    row = db.execute(statement, arguments).fetchone()
    assert row is not None
    return row


def hotspot(db: Database, severity: str = "critical", status: str = "active") -> int:
    statement: LiteralString = (
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2,"
        " baseline_co2, percent_above, severity, status) values (%s || (select count(*) from"
        " public.hotspots)::text, 'supplier', 'logistics', 93.6, 60, 56, %s, %s) returning id"
    )
    return int(one(db, statement, "Northwind ", severity, status)["id"])


def recommendation(db: Database) -> int:
    statement: LiteralString = (
        "insert into public.recommendations (hotspot_id, action, co2_reduction)"
        " values (%s, 'Consolidate half-empty runs', 11.5) returning id"
    )
    return int(one(db, statement, hotspot(db))["id"])


def alert(db: Database) -> int:
    statement: LiteralString = (
        "insert into public.alerts (hotspot_id, level, message)"
        " values (%s, 'critical', 'Northwind is 56 %% above') returning id"
    )
    return int(one(db, statement, hotspot(db))["id"])


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_scan_is_queued_once_and_its_state_can_be_read(
    client: httpx.AsyncClient, db: Database, method: str
) -> None:
    reply = await client.request(method, "/hotspots/scan")
    assert reply.status_code == 202
    scan = one(db, "select id, status, requested_by from public.scans")
    assert reply.json() == {"id": scan["id"], "status": "queued"}
    assert scan["requested_by"] == "somebody"
    assert (await client.request(method, "/hotspots/scan")).json() == reply.json()
    state = (await client.get(reply.headers["Location"])).json()
    assert (state["id"], state["status"], state["counts"]) == (scan["id"], "queued", None)


async def test_a_scan_that_does_not_exist_is_not_found(client: httpx.AsyncClient) -> None:
    reply = await client.get("/scans/4711")
    assert (reply.status_code, reply.json()) == (404, {"detail": "scan 4711 does not exist"})


@pytest.mark.parametrize(("decision", "status"), [("approve", "approved"), ("reject", "rejected")])
@pytest.mark.parametrize("body", [b"", b"{}", b'{"notes": "as agreed"}'])
async def test_a_decision_returns_the_row_and_is_recorded_with_its_notes(
    client: httpx.AsyncClient, db: Database, decision: str, status: str, body: bytes
) -> None:
    row = recommendation(db)
    reply = await client.post(f"/recommendations/{row}/{decision}", content=body)
    assert reply.status_code == 200
    assert reply.json()["id"] == row
    assert reply.json()["status"] == status
    assert reply.json()["action"] == "Consolidate half-empty runs"
    assert not STAMPS & reply.json().keys()
    written = one(db, "select status from public.recommendations where id = %s", row)
    assert written == {"status": status}
    audit = one(db, "select action, entity_id, user_id, notes from public.audit_log")
    notes = "as agreed" if b"agreed" in body else None
    expected = {"action": status, "entity_id": row, "user_id": "somebody", "notes": notes}
    assert audit == expected


async def test_the_same_decision_again_is_fine_and_the_opposite_one_is_a_conflict(
    client: httpx.AsyncClient, db: Database
) -> None:
    row = recommendation(db)
    first = await client.post(f"/recommendations/{row}/approve")
    again = await client.post(f"/recommendations/{row}/approve", json={"notes": "twice"})
    opposite = await client.post(f"/recommendations/{row}/reject")
    assert (again.status_code, again.json()) == (200, first.json())
    assert opposite.status_code == 409
    assert opposite.json() == {"detail": f"recommendation {row} is already approved"}
    assert one(db, "select count(*) from public.audit_log") == {"count": 1}


async def test_an_alert_is_acknowledged_and_a_hotspot_resolved_again_without_effect(
    client: httpx.AsyncClient, db: Database
) -> None:
    row = alert(db)
    for path, column, value in (
        (f"/alerts/{row}/acknowledge", "acknowledged", True),
        (f"/hotspots/{hotspot(db)}/resolve", "status", "resolved"),
    ):
        reply = await client.post(path)
        assert (reply.status_code, reply.json()[column]) == (200, value)
        assert (await client.post(path)).json() == reply.json()
    assert one(db, "select count(*) from public.audit_log") == {"count": 2}


@pytest.mark.parametrize(
    "path",
    [
        "/recommendations/4711/approve",
        "/recommendations/9223372036854775807/reject",
        "/alerts/4711/acknowledge",
        "/hotspots/4711/resolve",
    ],
)
async def test_what_does_not_exist_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    reply = await client.post(path)
    assert reply.status_code == 404
    assert "does not exist" in reply.json()["detail"]


@pytest.mark.parametrize("id", ["0", "-1", "9223372036854775808", "7.5", "all"])
async def test_an_id_that_cannot_be_is_refused_with_a_reason(
    client: httpx.AsyncClient, id: str
) -> None:
    reply = await client.post(f"/recommendations/{id}/approve")
    assert reply.status_code == 422
    assert reply.json()["detail"].startswith("id: Input should be")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[]", 422), (b'{"notes": 7}', 422), (b'{"x": 1}', 422), (b" " * 4097, 413)],
)
async def test_a_bad_body_changes_nothing(
    client: httpx.AsyncClient, db: Database, body: bytes, status: int
) -> None:
    row = recommendation(db)
    reply = await client.post(f"/recommendations/{row}/approve", content=body)
    assert reply.status_code == status
    assert isinstance(reply.json()["detail"], str)
    written = one(db, "select status from public.recommendations where id = %s", row)
    assert written == {"status": "pending"}


async def test_an_endless_body_without_length_is_cut_off(client: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    reply = await client.post("/recommendations/1/approve", content=body())
    assert reply.status_code == 413


async def test_lists_show_the_newest_first_without_stamps(
    client: httpx.AsyncClient, db: Database
) -> None:
    old, new = recommendation(db), recommendation(db)
    reply = await client.get("/recommendations")
    assert [row["id"] for row in reply.json()] == [new, old]
    columns = {"id", "hotspot_id", "action", "co2_reduction", "root_cause", "source", "status"}
    assert reply.json()[0].keys() == columns | {"created_at"}
    assert len((await client.get("/recommendations?limit=1")).json()) == 1


async def test_lists_are_filtered_by_severity_and_status(
    client: httpx.AsyncClient, db: Database
) -> None:
    hot, warm, old = hotspot(db), hotspot(db, "warn"), hotspot(db, "warn", "resolved")
    seen = alert(db)

    async def ids(path: str) -> list[int]:
        return [row["id"] for row in (await client.get(path)).json()]

    assert await ids("/hotspots?severity=warn") == [old, warm]
    assert await ids("/hotspots?severity=warn&status=active") == [warm]
    assert (await ids("/hotspots?severity=warn,critical"))[-3:] == [old, warm, hot]
    assert await ids("/alerts?severity=critical") == [seen]
    assert await ids("/alerts?severity=info") == []


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 422), ("limit=1001", 422), ("severity=hot", 422), ("colour=red", 400)],
)
async def test_a_bad_list_query_is_refused_with_a_reason(
    client: httpx.AsyncClient, query: str, status: int
) -> None:
    reply = await client.get(f"/hotspots?{query}")
    assert reply.status_code == status
    assert isinstance(reply.json()["detail"], str)


async def test_the_callers_own_token_decides_what_is_seen_and_done(
    client: httpx.AsyncClient, db: Database, emulator: Emulator
) -> None:
    row = recommendation(db)
    user = emulator.keys.mint("authenticated", subject="other")
    headers = {"Authorization": f"Bearer {user}"}
    await client.post(f"/recommendations/{row}/approve", headers=headers)
    assert one(db, "select user_id from public.audit_log") == {"user_id": "other"}
    stranger = {"Authorization": f"Bearer {emulator.keys.mint('anon')}"}
    assert (await client.get("/hotspots", headers=stranger)).status_code in (401, 403)
    refused = await client.post(f"/recommendations/{row}/approve", headers=stranger)
    assert refused.status_code in (401, 403)


@pytest.mark.parametrize("given", ["Bearer", "Bearer not.a.token", "Basic eDp5", "Bearer a b", ""])
async def test_a_token_that_is_none_is_not_replaced_by_the_local_one(
    client: httpx.AsyncClient, given: str
) -> None:
    reply = await client.get("/hotspots", headers={"Authorization": given})
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert isinstance(reply.json()["detail"], str)


async def test_an_expired_token_is_named(client: httpx.AsyncClient, emulator: Emulator) -> None:
    expired = emulator.keys.mint("authenticated", subject="late", seconds=-60)
    reply = await client.get("/hotspots", headers={"Authorization": f"Bearer {expired}"})
    assert reply.status_code == 401
    assert "expired" in reply.json()["detail"]


async def test_the_local_token_is_lent_only_to_requests_that_name_this_machine(
    client: httpx.AsyncClient, token: str
) -> None:
    rebound = {"Host": "evil.example:8003", "Origin": "http://evil.example:8003"}
    assert (await client.get("/hotspots", headers=rebound)).status_code == 403
    assert (await client.get("/hotspots", headers={"Host": "evil.example"})).status_code == 403
    own = {**rebound, "Authorization": f"Bearer {token}"}
    assert (await client.get("/hotspots", headers=own)).status_code == 200


async def test_without_any_token_the_remedy_is_named(emulator: Emulator) -> None:
    async with Behalf(emulator.url, emulator.keys.publishable) as behalf:
        async for client in calling(behalf, local_token=None):
            reply = await client.post("/hotspots/scan")
            assert reply.status_code == 401
            assert "RELAY_LOCAL_TOKEN" in reply.json()["detail"]


async def test_without_a_publishable_key_the_variable_is_named(
    emulator: Emulator, token: str
) -> None:
    async with Behalf(emulator.url, "") as behalf:
        async for client in calling(behalf, local_token=token):
            reply = await client.get("/hotspots")
            assert reply.status_code == 503
            assert "SUPABASE_PUBLISHABLE_KEY" in reply.json()["detail"]


async def test_an_unreachable_supabase_is_temporary(token: str) -> None:
    async with Behalf("http://127.0.0.1:1", "sb_publishable_x") as behalf:
        async for client in calling(behalf, local_token=token):
            reply = await client.post("/hotspots/scan")
            assert reply.status_code == 503
            assert "cannot be reached" in reply.json()["detail"]
            assert int(reply.headers["Retry-After"]) > 0


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_foreign_pages_can_start_nothing(
    client: httpx.AsyncClient, db: Database, method: str, headers: dict[str, str]
) -> None:
    reply = await client.request(method, "/hotspots/scan", headers=headers)
    assert reply.status_code == 403
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert one(db, "select count(*) from public.scans") == {"count": 0}


@pytest.mark.parametrize("origin", ["http://localhost:5173", "https://app.example"])
async def test_allowed_pages_may_read_answers_and_errors(
    client: httpx.AsyncClient, origin: str
) -> None:
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    for path, status in (("/hotspots", 200), ("/hotspots?limit=0", 422), ("/scans/9", 404)):
        reply = await client.get(path, headers=headers)
        assert reply.status_code == status
        assert reply.headers["Access-Control-Allow-Origin"] == origin
        assert reply.headers["Vary"] == "Origin"


async def test_browsers_may_ask_before_they_send(client: httpx.AsyncClient) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Origin": "https://app.example"}
    reply = await client.options("/recommendations/7/approve", headers=asked)
    assert reply.status_code == 204
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert "authorization" in reply.headers["Access-Control-Allow-Headers"]
    foreign = {**asked, "Origin": "https://evil.example"}
    reply = await client.options("/recommendations/7/approve", headers=foreign)
    assert reply.status_code == 403
