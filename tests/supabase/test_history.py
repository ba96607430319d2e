"""The history of a hotspot tells who said what about it, when, and what was taken back."""

from __future__ import annotations

from typing import Any, LiteralString

import pytest

from tests.supabase import rows
from tests.supabase.servers import Connection, Database, one

Entry = tuple[str, str, str | None, str | None]  # kind, what, text, by


@pytest.fixture
def worker(database: Database) -> Connection:
    return database.connect("service_role")


@pytest.fixture
def alice(database: Database) -> Connection:
    claims = {"sub": "alice", "role": "authenticated"}
    return database.connect("authenticated", claims, user="authenticator")


@pytest.fixture
def bob(database: Database) -> Connection:
    return database.connect(
        "authenticated", {"sub": "bob", "role": "authenticated"}, user="authenticator"
    )


def hotspot(worker: Connection, entity: str = "Foundry", severity: str = "warn") -> int:
    id: int = one(
        worker,
        "insert into hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
        " percent_above, severity, reason) values (%s, 'supplier', 'factory', 150, 100, 50, %s,"
        " '50 %% more kg per t') returning id",
        *(entity, severity),
    )
    return id


def history(reader: Connection, id: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = one(reader, "select hotspot_history(%s)", id)
    assert [entry["at"] for entry in told] == sorted(entry["at"] for entry in told)
    return told


def said(reader: Connection, id: int) -> list[Entry]:
    """What people said: entries by somebody, but for who proposed advice."""
    return [
        (entry["kind"], entry["what"], entry["text"], entry["by"])
        for entry in history(reader, id)
        if entry["by"] is not None and entry["what"] != "proposed"
    ]


def silence(person: Connection, **more: Any) -> int:
    columns: dict[str, Any] = {"entity": "Foundry", "event_type": None, "severity": None} | more
    id: int = one(
        person,
        "select id from silence(until => now() + interval '1 day', why => 'furnace is relined',"
        " entity => %s, event_type => %s, severity => %s)",
        *columns.values(),
    )
    return id


def test_a_silence_its_end_and_who_said_so_are_in_the_history(
    worker: Connection, alice: Connection, bob: Connection
) -> None:
    id, other = hotspot(worker), hotspot(worker, "Mill")
    made = silence(alice)
    bob.execute("select end_silence(%s, 'done early')", (made,))
    assert said(alice, id) == [
        ("silence", "silenced", "furnace is relined", "alice"),
        ("silence", "ended", "done early", "bob"),
    ]
    until = one(worker, "select to_jsonb(until) from silences")
    assert {entry["until"] for entry in history(bob, id) if entry["kind"] == "silence"} == {until}
    assert said(alice, other) == []


def test_a_silence_that_was_taken_back_says_so(worker: Connection, alice: Connection) -> None:
    id = hotspot(worker)
    made = silence(alice, event_type="factory")
    one(alice, "select undo('silence', %s)", [made])
    assert said(alice, id) == [
        ("silence", "silenced", "furnace is relined", "alice"),
        ("silence", "undone", "taken back: silenced", "alice"),
    ]


def test_a_silence_that_was_over_by_itself_says_so(database: Database, worker: Connection) -> None:
    owner = database.connect()
    id = hotspot(worker)
    owner.execute("update hotspots set created_at = now() - interval '2 days'")
    owner.execute(
        "insert into silences (entity, starts_at, until, why, created_at) values ('Foundry',"
        " now() - interval '1 day', now() - interval '1 hour', 'x', now() - interval '1 day')"
    )
    told = [(e["kind"], e["what"], e["by"]) for e in history(worker, id) if e["kind"] == "silence"]
    assert told == [("silence", "over", None)]


def test_a_silence_that_lets_this_hotspot_through_is_not_told(
    worker: Connection, alice: Connection
) -> None:
    critical, warn = hotspot(worker, severity="critical"), hotspot(worker, "Mill")
    silence(alice, severity="warn")
    silence(alice, entity=None, severity="warn")
    silence(alice, entity="Mill", event_type="delivery")
    assert said(alice, critical) == []
    assert len(said(alice, warn)) == 1


def test_a_silence_that_had_ended_before_the_hotspot_is_not_told(
    worker: Connection, alice: Connection
) -> None:
    alice.execute("select end_silence(%s)", (silence(alice),))
    assert said(alice, hotspot(worker)) == []


def test_what_advice_was_decided_on_and_taken_back_is_told_with_its_words(
    worker: Connection, alice: Connection, bob: Connection
) -> None:
    id = hotspot(worker)
    advice = rows.insert(worker, "recommendations", id)
    alice.execute("select decide_recommendation(%s, 'approved', 'before winter')", (advice,))
    one(alice, "select undo('recommendation', %s)", [advice])
    bob.execute("select decide_recommendation(%s, 'rejected')", (advice,))
    assert said(bob, id) == [
        ("recommendation", "approved", "before winter", "alice"),
        ("recommendation", "undone", "taken back: approved", "alice"),
        ("recommendation", "rejected", None, "bob"),
    ]
    told = [entry["about"] for entry in history(bob, id) if entry["kind"] == "recommendation"]
    assert told == ["Fill the trucks"] * 4


def test_a_reset_of_the_key_is_told_with_the_hotspot_that_it_ended(
    worker: Connection, alice: Connection
) -> None:
    id = hotspot(worker)
    worker.execute(
        "insert into detector_keys (entity, entity_type, event_type, state)"
        " values ('Foundry', 'supplier', 'factory', '{}')"
    )
    alice.execute("select reset_key('Foundry', 'factory', notes => 'another furnace')")
    assert said(alice, id) == [("key", "reset", "another furnace", "alice")]


@pytest.mark.parametrize("statement", ["update", "delete"])
def test_nobody_rewrites_the_history(
    worker: Connection, alice: Connection, statement: LiteralString
) -> None:
    hotspot(worker)
    silence(alice)
    change: dict[str, LiteralString] = {
        "update": "update audit_log set notes = 'x'",
        "delete": "delete from audit_log",
    }
    for person in (worker, alice):
        with pytest.raises(Exception, match="permission denied"):
            person.execute(change[statement])


def test_what_the_engine_found_has_the_time_of_its_event_beside_when_it_was_told(
    worker: Connection, alice: Connection
) -> None:
    id = hotspot(worker)
    opened, worse = "2026-01-31T06:36:00+00:00", "2026-02-01T08:00:00+00:00"
    worker.execute("update hotspots set occurred_at = %s where id = %s", (opened, id))
    for kind, at in (("opened", opened), ("escalated", worse)):
        worker.execute(
            "insert into alerts (hotspot_id, level, kind, message, occurred_at)"
            " values (%s, 'warn', %s, 'Foundry: 50 %% more', %s)",
            (id, kind, at),
        )
    silence(alice)
    told = history(alice, id)
    assert {entry["what"]: entry["event_at"] for entry in told} == {
        "found": opened,
        "opened": opened,
        "escalated": worse,
        "silenced": None,
    }
    assert all(entry["at"] > worse for entry in told)
