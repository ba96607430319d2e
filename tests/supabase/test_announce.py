"""Changes as they are announced on Realtime's fast lane, which may fail in any way but one."""

from __future__ import annotations

import time
from typing import Any

from tests.supabase import rows
from tests.supabase.calls import Worker, add
from tests.supabase.results import alert, episode, result
from tests.supabase.servers import Connection, Database, one

MANY = (
    "insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
    " percent_above, severity) select 'many-' || n, 'supplier', 'factory', 130, 100, 30, 'warn'"
    " from generate_series(1, 250) n"
)


def announced(connection: Connection) -> list[list[dict[str, Any]]]:
    """The changes of each message, in the order of sending."""
    found = connection.execute(
        "select payload, topic, event, private from realtime.messages"
        " where extension = 'broadcast' order by ctid"
    ).fetchall()
    assert {(row["topic"], row["event"], row["private"]) for row in found} <= {
        ("relay:changes", "changes", True)
    }
    return [row["payload"]["changes"] for row in found]


def clear(database: Database) -> Connection:
    """A connection of the superuser, and no messages."""
    admin = database.connect(user="supabase_admin")
    admin.execute("delete from realtime.messages")
    return admin


def test_a_statement_is_announced_in_messages_of_a_hundred_rows(database: Database) -> None:
    admin = clear(database)
    admin.execute("set timezone = 'Asia/Tokyo'")
    admin.execute(MANY)
    admin.execute("set timezone = 'UTC'")
    messages = announced(admin)
    assert [len(message) for message in messages] == [100, 100, 50]
    expected = admin.execute(
        "select to_jsonb(h) as record from public.hotspots h order by id"
    ).fetchall()
    changes = [change for message in messages for change in message]
    assert [change["record"] for change in changes] == [row["record"] for row in expected]
    assert {(change["operation"], change["schema"], change["table"]) for change in changes} == {
        ("INSERT", "public", "hotspots")
    }


def test_the_alerts_of_a_batch_are_announced_together(worker: Worker, shared: Database) -> None:
    events = add(worker.connection, 1)
    batch = worker.claim()["batch"]
    admin = clear(shared)
    found = [episode(0, "A"), episode(1, "B", status="resolved"), episode(2, "C")]
    told = [alert(0), alert(1), alert(2), alert(1, "resolved", "info")]
    assert worker.commit(batch, result(events, episodes=found, alerts=told))["alerts"] == 4
    messages = [
        [change["record"] for change in changes]
        for changes in announced(admin)
        if changes[0]["table"] == "alerts"
    ]
    assert [len(alerts) for alerts in messages] == [4]
    ids = [row["id"] for row in messages[0]]
    assert ids == sorted(ids)
    assert [row["kind"] for row in messages[0]] == [*["opened"] * 3, "resolved"]


def test_large_rows_are_parted(database: Database) -> None:
    admin = clear(database)
    hotspot = rows.insert(admin, "hotspots")
    admin.execute("delete from realtime.messages")
    admin.execute(
        "insert into public.alerts (hotspot_id, level, message)"
        " select %s, 'warn', repeat('x', 100000) from generate_series(1, 6)",
        (hotspot,),
    )
    assert [len(message) for message in announced(admin)] == [2, 3, 1]


def test_a_deletion_is_announced_as_it_is_remembered(database: Database) -> None:
    admin = clear(database)
    alert = rows.insert(admin, "alerts")
    rows.change(admin, "alerts", alert, 1.0)
    admin.execute("delete from realtime.messages")
    admin.execute("delete from public.alerts where id = %s", (alert,))
    ((change,),) = announced(admin)
    tx = one(admin, "select tx from public.deletions where t = 2 and id = %s", alert)
    assert change["record"] is None
    assert change["old_record"] == {"id": alert, "version": 3, "tx": tx}


def test_what_is_wrong_with_realtime_does_not_keep_a_write_from_succeeding(
    database: Database,
) -> None:
    admin = clear(database)
    with database.connect(user="supabase_admin") as other, other.transaction():
        other.execute("lock table realtime.messages in access exclusive mode")
        start = time.monotonic()
        admin.execute(MANY)
        assert time.monotonic() - start < 1.5
    assert one(admin, "select count(*) from public.hotspots") == 250
    with admin.transaction(force_rollback=True):
        admin.execute("drop function realtime.send(jsonb, text, text, boolean)")
        rows.insert(admin, "hotspots")
    assert one(admin, "select count(*) from public.hotspots") == 250


def test_a_restored_dump_is_given_transactions_of_this_cluster(database: Database) -> None:
    admin = clear(database)
    kept, gone = rows.insert(admin, "alerts"), rows.insert(admin, "alerts")
    rows.change(admin, "alerts", kept, 1.0)
    admin.execute("delete from public.alerts where id = %s", (gone,))
    before = admin.execute("select id, version from public.alerts").fetchall()
    with database.connect("service_role") as service, service.transaction():
        here = one(service, "select pg_current_xact_id()::text::bigint")
        counts = one(service, "select public.restamp()")
    assert counts == {"hotspots": 2, "alerts": 1, "recommendations": 0, "deletions": 1}
    assert admin.execute("select id, version from public.alerts").fetchall() == before
    for table in ("hotspots", "alerts", "deletions"):
        found = admin.execute(f"select distinct tx from public.{table}").fetchall()  # noqa: S608
        assert [row["tx"] for row in found] == [here]
    rows.change(admin, "alerts", kept, 2.0)
    assert one(admin, "select version from public.alerts where id = %s", kept) == 3
