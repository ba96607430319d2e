"""Commands and lists over HTTP, against a database with the project's rules."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, LiteralString

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from emulator.running import Emulator
from relay.api.user_client import UserClient
from tests.relay.serving import commands

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
    project = UserClient(emulator.url, emulator.keys.publishable)
    async with project as behalf, commands(behalf, token) as client:
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
    scan = one(db, "select id, status from public.scans")
    assert reply.json() == {"id": scan["id"], "status": "queued"}
    assert one(db, "select user_id from public.audit_log") == {"user_id": "somebody"}
    assert (await client.request(method, "/hotspots/scan")).json() == reply.json()
    state = (await client.get(reply.headers["Location"])).json()
    assert (state["id"], state["status"], state["counts"]) == (scan["id"], "queued", None)


async def test_no_proxy_is_asked_for_the_project(
    emulator: Emulator, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    project = UserClient(emulator.url, emulator.keys.publishable)
    async with project:
        assert await project.rows(token, "hotspots", {"limit": "1"}) == []


@pytest.mark.parametrize(
    ("decision", "status", "body"),
    [
        ("approve", "approved", b""),
        ("reject", "rejected", b"{}"),
        ("approve", "approved", b'{"notes": "as agreed"}'),
    ],
)
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


async def test_what_does_not_exist_is_not_found(client: httpx.AsyncClient) -> None:
    for path in (
        "/recommendations/4711/approve",
        "/recommendations/9223372036854775807/reject",
        "/alerts/4711/acknowledge",
        "/hotspots/4711/resolve",
    ):
        reply = await client.post(path)
        assert reply.status_code == 404
        assert "does not exist" in reply.json()["detail"]
    reply = await client.get("/scans/4711")
    assert (reply.status_code, reply.json()) == (404, {"detail": "scan 4711 does not exist"})


async def test_lists_show_the_newest_first_without_stamps(
    client: httpx.AsyncClient, db: Database
) -> None:
    old, new = recommendation(db), recommendation(db)
    reply = await client.get("/recommendations")
    assert [row["id"] for row in reply.json()] == [new, old]
    columns = {"id", "hotspot_id", "action", "co2_reduction", "root_cause", "source", "status"}
    of_advice = {"rule", "driver", "actual", "usual", "unit", "co2_reduction_month"}
    assert reply.json()[0].keys() == columns | of_advice | {"created_at"}
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


async def test_a_token_that_supabase_does_not_accept_is_named(
    client: httpx.AsyncClient, emulator: Emulator
) -> None:
    expired = emulator.keys.mint("authenticated", subject="late", seconds=-60)
    for token, reason in ((expired, "expired"), ("not.a.token", "token")):
        reply = await client.get("/hotspots", headers={"Authorization": f"Bearer {token}"})
        assert reply.status_code == 401
        assert reason in reply.json()["detail"]
