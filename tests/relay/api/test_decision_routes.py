"""Decisions over HTTP: as a user, as another user, and as nobody."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from emulator.running import Emulator
from relay.api.decisions import MOST_IDS, WORDS
from tests.relay.clients import Frame, Tables, change, frame, greeted, live_relay

Database = psycopg.Connection[dict[str, Any]]
ROUTES: dict[str, dict[str, Any] | None] = {
    **{f"/hotspots/1/{verb}": None for verb in WORDS},
    "/hotspots/decide": {"ids": [1], "decision": "resolved"},
    "/alerts/1/acknowledge": None,
    "/alerts/acknowledge": {"ids": [1]},
    "/silences": {"until": "2090-01-01T00:00:00Z", "why": "works", "entity": "A"},
    "/silences/1/end": None,
    "/keys/reset": {"entity": "A", "event_type": "factory"},
    "/undo": {"kind": "hotspot", "ids": [1]},
}


@pytest.fixture
def db(emulator: Emulator) -> Iterator[Database]:
    with psycopg.connect(emulator.dsn(), autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def bob(emulator: Emulator) -> dict[str, str]:
    return {"Authorization": f"Bearer {emulator.keys.mint('authenticated', subject='bob')}"}


@pytest.fixture
def anon(emulator: Emulator) -> dict[str, str]:
    return {"Authorization": f"Bearer {emulator.keys.mint('anon')}"}


def one(db: Database, statement: LiteralString, *arguments: object) -> dict[str, Any]:
    row = db.execute(statement, arguments).fetchone()
    assert row is not None
    return row


def hotspot(db: Database) -> int:
    statement: LiteralString = (
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2,"
        " baseline_co2, percent_above, severity) values ('Northwind ' || (select count(*) from"
        " public.hotspots), 'supplier', 'logistics', 93.6, 60, 56, 'critical') returning id"
    )
    return int(one(db, statement)["id"])


def alert(db: Database, hotspot: int) -> int:
    statement: LiteralString = (
        "insert into public.alerts (hotspot_id, level, message)"
        " values (%s, 'critical', 'Northwind is 56 %% above') returning id"
    )
    return int(one(db, statement, hotspot)["id"])


@pytest.mark.parametrize(
    ("verb", "shown"),
    [
        ("acknowledge", {"status": "active", "held": False, "resolution": None}),
        ("resolve", {"status": "resolved", "held": False, "resolution": None}),
        ("ignore", {"status": "ignored", "held": False, "resolution": None}),
        ("accept", {"status": "resolved", "held": False, "resolution": "new_normal"}),
        ("reject", {"status": "active", "held": True, "resolution": None}),
    ],
)
async def test_a_decision_returns_the_row_is_recorded_and_taken_back(
    client: httpx.AsyncClient, db: Database, verb: str, shown: dict[str, Any]
) -> None:
    row = hotspot(db)
    alert(db, row)
    before = one(db, "select * from public.hotspots where id = %s", row)
    reply = await client.post(f"/hotspots/{row}/{verb}", json={"notes": "as agreed"})
    assert reply.status_code == 200
    assert {name: reply.json()[name] for name in shown} == shown
    assert not {"version", "tx", "changed_at"} & reply.json().keys()
    again = await client.post(f"/hotspots/{row}/{verb}")
    assert (again.status_code, again.json()) == (200, reply.json())
    audit = one(db, "select action, entity_id, user_id, notes from public.audit_log")
    assert audit == {
        "action": WORDS[verb], "entity_id": row, "user_id": "alice", "notes": "as agreed",
    }  # fmt: skip
    undone = await client.post("/undo", json={"kind": "hotspot", "ids": [row]})
    assert undone.json() == {"done": [row], "refused": []}
    after = one(db, "select * from public.hotspots where id = %s", row)
    hidden = {"version", "tx", "changed_at"}
    assert {k: v for k, v in after.items() if k not in hidden} == {
        k: v for k, v in before.items() if k not in hidden
    }
    assert one(db, "select acknowledged, acknowledged_at from public.alerts") == {
        "acknowledged": False, "acknowledged_at": None,
    }  # fmt: skip


async def test_five_hundred_are_decided_at_once_and_those_that_cannot_be_are_named(
    client: httpx.AsyncClient, db: Database
) -> None:
    rows = [hotspot(db) for _ in range(MOST_IDS - 1)]
    gone = max(rows) + 1
    body = {"ids": [*map(str, rows), gone], "decision": "ignored", "notes": "ü" * 2000}
    reply = await client.post("/hotspots/decide", json=body)
    assert reply.status_code == 200
    assert reply.json() == {
        "done": rows,
        "refused": [{"id": gone, "reason": f"hotspot {gone} does not exist"}],
    }
    undone = await client.post("/undo", json={"kind": "hotspot", "ids": rows})
    assert undone.json() == {"done": rows, "refused": []}
    counted = one(db, "select count(*) from public.hotspots where status = 'active'")
    assert counted == {"count": len(rows)}


async def test_alerts_are_acknowledged_at_once_and_taken_back(
    client: httpx.AsyncClient, db: Database
) -> None:
    rows = [alert(db, hotspot(db)) for _ in range(3)]
    reply = await client.post("/alerts/acknowledge", json={"ids": rows})
    assert reply.json() == {"done": rows, "refused": []}
    assert one(db, "select bool_and(acknowledged) as all from public.alerts") == {"all": True}
    await client.post("/undo", json={"kind": "alert", "ids": rows[:1]})
    found = db.execute("select id from public.alerts where not acknowledged").fetchall()
    assert found == [{"id": rows[0]}]


async def test_a_silence_is_listed_until_it_is_ended(
    client: httpx.AsyncClient, db: Database
) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    body = {"until": until.isoformat(), "why": "works on the line", "entity": "Northwind"}
    reply = await client.post("/silences", json={**body, "severity": "warn"})
    assert reply.status_code == 201
    made = reply.json()
    assert datetime.fromisoformat(made["until"]) == until
    assert (made["entity"], made["severity"], made["event_type"]) == ("Northwind", "warn", None)
    assert (await client.get("/silences")).json() == [made]
    ended = await client.post(f"/silences/{made['id']}/end", json={"notes": "done early"})
    assert ended.status_code == 200
    assert ended.json()["ended_at"] is not None
    assert (await client.get("/silences")).json() == []
    undone = await client.post("/undo", json={"kind": "silence", "ids": [made["id"]]})
    assert undone.json()["done"] == [made["id"]]
    assert (await client.get("/silences")).json() == [made]
    actions = db.execute("select action, notes from public.audit_log order by id").fetchall()
    assert [tuple(row.values()) for row in actions] == [
        ("silenced", "works on the line"),
        ("ended", "done early"),
    ]


async def test_a_key_is_reset_and_that_is_taken_back(
    client: httpx.AsyncClient, db: Database
) -> None:
    row = hotspot(db)
    db.execute(
        "insert into public.detector_keys (entity, entity_type, event_type, state)"
        " select entity, entity_type, event_type, '{}' from public.hotspots"
    )
    body = {"entity": "Northwind 0", "event_type": "logistics", "notes": "a new fleet"}
    reply = await client.post("/keys/reset", json=body)
    assert reply.status_code == 200
    assert reply.json()["hotspot"] == row
    shown = one(db, "select status, resolution from public.hotspots")
    assert shown == {"status": "resolved", "resolution": "superseded"}
    undone = await client.post("/undo", json={"kind": "key", "ids": [reply.json()["id"]]})
    assert undone.json()["refused"] == []
    shown = one(db, "select status, resolution from public.hotspots")
    assert shown == {"status": "active", "resolution": None}
    unknown = await client.post("/keys/reset", json=body | {"entity": "Nobody"})
    assert unknown.status_code == 404


async def test_another_user_decides_but_does_not_undo(
    client: httpx.AsyncClient, db: Database, bob: dict[str, str]
) -> None:
    row = hotspot(db)
    await client.post(f"/hotspots/{row}/ignore")
    refused = await client.post("/undo", json={"kind": "hotspot", "ids": [row]}, headers=bob)
    assert refused.json()["done"] == []
    assert "not yours" in refused.json()["refused"][0]["reason"]
    conflict = await client.post(f"/hotspots/{row}/accept", headers=bob)
    assert (conflict.status_code, conflict.json()) == (409, {"detail": f"hotspot {row} is ignored"})
    other = hotspot(db)
    assert (await client.post(f"/hotspots/{other}/accept", headers=bob)).status_code == 200
    users = db.execute("select user_id from public.audit_log order by id").fetchall()
    assert [entry["user_id"] for entry in users] == ["alice", "bob"]


@pytest.mark.parametrize("path", ROUTES)
async def test_nobody_decides_anything(
    client: httpx.AsyncClient, db: Database, anon: dict[str, str], path: str
) -> None:
    hotspot(db)
    reply = await client.post(path, json=ROUTES[path], headers=anon)
    assert reply.status_code in (401, 403)
    assert one(db, "select count(*) from public.audit_log") == {"count": 0}


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/undo", "{", 400, "JSON"),
        ("/undo", '{"kind": "hotspot", "ids": []}', 422, "ids"),
        ("/undo", '{"kind": "episode", "ids": [1]}', 422, "kind"),
        ("/undo", '{"kind": "alert", "ids": [0]}', 422, "ids"),
        ("/undo", '{"kind": "alert", "ids": ["9223372036854775808"]}', 422, "range"),
        ("/hotspots/decide", '{"ids": [1], "decision": "closed"}', 422, "decision"),
        ("/hotspots/decide", '{"ids": [true], "decision": "ignored"}', 422, "ids"),
        ("/alerts/acknowledge", '{"ids": [1], "more": 1}', 422, "more"),
        ("/silences", '{"until": "2090-01-01T00:00:00", "why": "x"}', 422, "timezone"),
        ("/silences", '{"until": 7, "why": "x"}', 422, "until"),
        ("/silences", '{"until": "2090-01-01T00:00:00Z", "why": ""}', 422, "why"),
        ("/silences", '{"until": "2090-01-01T00:00:00Z", "why": "x"}', 422, "year"),
        ("/silences", '{"until": "2020-01-01T00:00:00Z", "why": "x"}', 422, "later"),
        ("/keys/reset", '{"entity": "\\u0000", "event_type": "factory"}', 422, "NUL"),
        ("/keys/reset", '{"entity": "A", "event_type": "ship"}', 422, "event_type"),
        ("/alerts/acknowledge", " " * 32_769, 413, "32768"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_a_reason(
    client: httpx.AsyncClient, path: str, body: str, status: int, text: str
) -> None:
    reply = await client.post(path, content=body)
    assert reply.status_code == status, reply.text
    assert text in reply.json()["detail"]


async def test_a_silence_of_everything_is_refused(client: httpx.AsyncClient) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    reply = await client.post("/silences", json={"until": until, "why": "x"})
    assert reply.status_code == 422
    assert "entity" in reply.json()["detail"]
    refused = await client.post("/silences", json={"until": until, "why": "  ", "entity": "A"})
    assert (refused.status_code, "why" in refused.json()["detail"]) == (422, True)


async def test_a_decision_older_than_a_minute_stays(
    client: httpx.AsyncClient, db: Database
) -> None:
    row = hotspot(db)
    await client.post(f"/hotspots/{row}/resolve")
    db.execute("update public.audit_log set created_at = created_at - interval '61 seconds'")
    reply = await client.post("/undo", json={"kind": "hotspot", "ids": [row]})
    assert "older than a minute" in reply.json()["refused"][0]["reason"]


NEWS_SECONDS = 2.0


@pytest.mark.parametrize("body", [b"", b"{}", b'{"notes": "as agreed"}'])
async def test_an_approval_reaches_both_formats_as_a_whole_row_in_time(
    emulator: Emulator, tables: Tables, body: bytes
) -> None:
    recommendation = tables.recommendation(tables.hotspot())
    token = emulator.keys.mint("authenticated", subject="somebody")
    async with (
        live_relay(emulator, RELAY_LOCAL_TOKEN=token) as relay,
        relay.follow("recommendations") as events,
        relay.follow("recommendations", events=False) as rows,
        httpx.AsyncClient(base_url=f"http://{relay.host}", trust_env=False, timeout=60) as client,
    ):
        *_, before, _ = await greeted(events)
        assert before["record"]["id"] == recommendation
        asked = time.monotonic()
        reply = await client.post(f"/recommendations/{recommendation}/approve", content=body)
        assert reply.status_code == 200
        expected: Frame = before["record"] | {"status": "approved"}
        row, event = await asyncio.gather(frame(rows), change(events))
        assert time.monotonic() - asked < NEWS_SECONDS
        assert row == expected
        assert (event["type"], event["record"], event["version"]) == ("UPDATE", expected, 2)
