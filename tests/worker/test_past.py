"""The past: folded anew when history comes late, and looked at when nothing comes at all."""

from __future__ import annotations

import asyncio
import csv
import io
import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from emulator.running import Emulator
from tests.worker.conftest import Run, Start, Table, plan
from tests.worker.stall import Stall, Where
from worker.database import connected
from worker.errors import WorkerError
from worker.scan import Summary, scan

BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)


def work(count: int, *, hot: Sequence[int] = (), seed: int = 1) -> list[dict[str, Any]]:
    """One trip a day that was planned to have 100 km; the hot ones are detours of 60 %."""
    chance = random.Random(seed)
    return [
        {
            "event_type": "logistics",
            "supplier_id": "A",
            "timestamp": (BEGIN + timedelta(days=day)).isoformat(),
            "distance_km": round(100 * (1 + chance.gauss(0, 0.02)) * (1.6 if day in hot else 1), 2),
            "planned_distance_km": 100,
            "load_kg": round(900 * (1 + chance.gauss(0, 0.1))),
            "vehicle_type": "truck",
            "vehicle_class": "rigid_7_5",
            "fuel_type": "diesel",
        }
        for day in range(count)
    ]


async def scanned(emulator: Emulator, *, batch_events: int = 20, wall: Any = None) -> Summary:
    async with connected(emulator.url, emulator.keys.secret, retry_seconds=5) as database:
        how = plan(batch_events=batch_events, wall=wall)
        return await scan(database, how, "cron", asyncio.Event())


def state(tables: Table) -> dict[str, list[dict[str, Any]]]:
    """What is known of a key, without the ids of events, which follow the order of arrival."""
    hidden = ("event_id", "screening")
    contents = tables.contents()
    detectors = [_without_event_ids(row) for row in contents["detectors"]]
    episodes = [
        {name: row[name] for name in row if name not in (*hidden, "version", "announced")}
        for row in contents["hotspots"]
        if row["open"]
    ]
    keys = [{k: v for k, v in row.items() if k != "state"} for row in contents["keys"]]
    return {"detectors": detectors, "open": episodes, "keys": keys}


def _without_event_ids(row: dict[str, Any]) -> dict[str, Any]:
    stored = row["state"]
    for bucket in [*stored.get("days", {}).values(), stored.get("waiting", [0] * 4)]:
        bucket[3] = None
    return row


async def ordered(emulator: Emulator, tables: Table, rows: list[dict[str, Any]]) -> Any:
    tables.insert(rows)
    await scanned(emulator)
    found = state(tables)
    tables.execute("delete from events_normalized")
    for statement in (
        "delete from hotspots", "delete from detectors", "delete from detector_keys",
        "delete from rebuilds", "delete from notices", "delete from suppliers",
    ):  # fmt: skip
        tables.execute(statement)
    return found


@pytest.mark.parametrize("order", ["newest first", "shuffled", "history after live events"])
async def test_whatever_the_order_the_state_is_that_of_ordered_events(
    order: str, emulator: Emulator, tables: Table
) -> None:
    rows = work(120, hot=[70, 118, 119])
    expected = await ordered(emulator, tables, rows)
    assert len(expected["open"]) == 1
    match order:
        case "newest first":
            tables.insert(rows[::-1])
        case "shuffled":
            tables.insert(random.Random(1).sample(rows, len(rows)))
        case _:
            tables.insert(rows[80:])
            await scanned(emulator)
            tables.insert(rows[:80])
    summary = await scanned(emulator)
    assert summary.counts["rebuilt"] >= 1
    assert state(tables) == expected
    assert tables.rows("select * from rebuilds") == []


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The rows as a file, in this order."""
    written = io.StringIO()
    writer = csv.DictWriter(written, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


@pytest.mark.parametrize("order", ["newest first", "shuffled", "history after live events"])
def test_whatever_the_order_of_a_file_its_import_ends_as_that_of_an_ordered_one(
    order: str, emulator: Emulator, tables: Table, run: Run
) -> None:
    """Through `ingest` and `scan`, as a person does it; the history has a fault of its own."""
    rows = work(120, hot=[40, 70, 118, 119])
    expected = asyncio.run(ordered(emulator, tables, rows))
    assert len(expected["open"]) == 1
    files = {
        "newest first": [rows[::-1]],
        "shuffled": [random.Random(1).sample(rows, len(rows))],
        "history after live events": [rows[80:], rows[:80][::-1]],
    }
    for part in files[order]:
        assert run("ingest", text=as_csv(part))[0] == 0
        assert run("scan")[0] == 0
    assert state(tables) == expected
    assert tables.rows("select count(*)::int from predictions") == [{"count": 120}]
    assert tables.rows("select * from rebuilds") == []


async def test_batches_after_a_fold_go_on_from_what_it_has_stored(
    emulator: Emulator, tables: Table
) -> None:
    """Not from what the scan held of the key before."""
    rows = work(80)
    expected = await ordered(emulator, tables, rows)
    tables.insert(
        [row | ({"speed": 140} if day == 38 else {}) for day, row in enumerate(rows[:40])]
    )
    await scanned(emulator)
    (held,) = tables.rows("select event_id from quarantine where state = 'held'")
    tables.rows("select decide_quarantine(array[%s::bigint], 'released')", held["event_id"])
    tables.insert(rows[40:])
    assert (await scanned(emulator)).counts["rebuilt"] == 1  # before the second of three batches
    assert state(tables) == expected


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_worker_killed_while_it_folds_a_past_anew_changes_nothing(
    where: Where, emulator: Emulator, tables: Table, start: Start
) -> None:
    rows = work(60, hot=[58, 59])
    expected = await ordered(emulator, tables, rows)
    tables.insert(rows[::-1])
    with Stall(emulator.url, where, "/rest/v1/rpc/commit_pass").running() as stall:
        worker = start("scan", SUPABASE_URL=stall.url, WORKER_LEASE_SECONDS="1")
        assert await asyncio.to_thread(stall.reached.wait, 60)
        worker.kill()
        worker.wait()
    async with asyncio.timeout(60):
        while (await scanned(emulator)).outcome == "held":  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.1)
    assert state(tables) == expected
    assert [row["kind"] for row in tables.rows("select kind from alerts")] == ["opened"]


async def test_a_database_that_drops_everybody_again_and_again_changes_nothing(
    emulator: Emulator, tables: Table
) -> None:
    rows = work(100, hot=[70, 98, 99])
    expected = await ordered(emulator, tables, rows)
    tables.insert(random.Random(1).sample(rows, len(rows)))

    async def until_done() -> None:
        while True:
            try:
                if (await scanned(emulator, batch_events=5)).outcome == "done":
                    return
            except WorkerError:
                continue

    scanning = asyncio.create_task(until_done())
    for _ in range(15):
        await asyncio.sleep(0.1)
        tables.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and usename = 'authenticator'"
        )
    await scanning
    assert state(tables) == expected


async def test_a_few_late_events_are_recorded_and_nothing_is_folded_anew(
    emulator: Emulator, tables: Table
) -> None:
    rows = work(80, hot=[10])
    tables.insert(rows[20:])
    await scanned(emulator)
    before = state(tables)["detectors"]
    tables.insert(rows[:20])
    summary = await scanned(emulator)
    assert summary.counts["rebuilt"] == 0
    assert tables.rows("select late from detector_keys") == [{"late": 20}]
    assert tables.rows("select * from hotspots") == []
    learned = [row["learned"] for row in before]
    assert [row["learned"] for row in state(tables)["detectors"]] == learned


async def test_history_alarms_nobody_unless_it_lasts(emulator: Emulator, tables: Table) -> None:
    now = (BEGIN + timedelta(days=100, hours=1)).timestamp()
    tables.insert(work(101, hot=[60]))
    await scanned(emulator, wall=lambda: now)
    (past,) = tables.rows("select status, announced from hotspots")
    assert past == {"status": "resolved", "announced": False}
    assert tables.rows("select * from alerts") == []


async def test_history_that_is_still_open_at_the_end_is_told_once(
    emulator: Emulator, tables: Table
) -> None:
    now = (BEGIN + timedelta(days=92)).timestamp()
    rows = work(80, hot=range(70, 80))
    tables.insert(rows)
    for _ in range(2):
        await scanned(emulator, wall=lambda: now)
    assert tables.rows("select status, announced from hotspots") == [
        {"status": "active", "announced": True}
    ]
    (alert,) = tables.rows("select kind, message from alerts")
    (hotspot,) = tables.rows("select entity, reason from hotspots")
    assert alert == {"kind": "opened", "message": f"A: {hotspot['reason']}"}


async def test_a_fold_that_knows_better_supersedes_what_is_open(
    emulator: Emulator, tables: Table
) -> None:
    tables.insert(work(60, hot=[59]))
    await scanned(emulator)
    assert tables.rows("select status from hotspots") == [{"status": "active"}]
    tables.execute("update events_normalized set distance_km = 100 where id = "
                   "(select max(id) from events_normalized)")  # fmt: skip
    tables.execute("update predictions set predicted_co2 = 57 where event_id = "
                   "(select max(event_id) from predictions)")  # fmt: skip
    tables.rows("select request_rebuilds(null, 'kilograms were recomputed')")
    await scanned(emulator)
    (row,) = tables.rows("select status, resolution from hotspots")
    assert row == {"status": "resolved", "resolution": "superseded"}
    assert tables.rows("select kind from notices") == [{"kind": "superseded"}]
    assert [row["kind"] for row in tables.rows("select kind from alerts order by id")] == [
        "opened",
        "resolved",
    ]


def test_a_person_has_the_past_folded_anew(emulator: Emulator, tables: Table, run: Run) -> None:
    tables.insert(work(30))
    asyncio.run(scanned(emulator))
    before = state(tables)
    tables.execute("delete from detectors")
    assert run("rebuild", "B")[0] == 2
    status, out, _ = run("rebuild", "A")
    assert (status, "rebuilt=1" in out) == (0, True)
    assert state(tables) == before


def test_the_name_of_a_supplier_begins_no_line_of_the_log(
    emulator: Emulator, tables: Table, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    name = "A\n2026-01-01 ERROR worker: made up"
    tables.insert([row | {"supplier_id": name} for row in work(3)])
    asyncio.run(scanned(emulator))
    with caplog.at_level(logging.INFO):
        assert run("rebuild", name)[0] == 0
        assert run("recompute", "--supplier", name)[0] == 0
    said = [record.getMessage() for record in caplog.records]
    assert sum("made up" in each for each in said) >= 2
    assert not [each for each in said if "\n" in each]


async def test_what_a_person_ended_stays_ended_when_the_past_is_folded_anew(
    emulator: Emulator, tables: Table
) -> None:
    rows = work(70, hot=range(60, 70))
    tables.insert(rows[:66])
    await scanned(emulator)
    (hotspot,) = tables.rows("select id from hotspots")
    tables.rows("select resolve_hotspot(%s)", hotspot["id"])
    tables.rows("select request_rebuilds(null, 'a test')")
    await scanned(emulator)
    assert tables.rows("select id, status from hotspots") == [
        {"id": hotspot["id"], "status": "resolved"}
    ]
    tables.insert(rows[66:67])
    await scanned(emulator)  # one more is no new evidence
    assert tables.rows("select count(*)::int from hotspots") == [{"count": 1}]


async def test_a_key_that_falls_silent_is_told_once_and_again_when_it_is_back(
    emulator: Emulator, tables: Table
) -> None:
    now = BEGIN + timedelta(days=36)
    tables.insert(work(30))
    for hours in (0, 1, 2):
        await scanned(emulator, wall=lambda: (now + timedelta(hours=hours)).timestamp())  # noqa: B023
    (told,) = tables.rows("select kind, message from notices")
    assert told == {"kind": "no_data", "message": "no logistics events for 7 days"}
    tables.insert(work(37)[36:])
    await scanned(emulator, wall=lambda: now.timestamp())
    kinds = tables.rows("select kind from notices order by id")
    assert [row["kind"] for row in kinds] == ["no_data", "data_again"]


async def test_late_events_of_the_past_do_not_end_a_silence_that_goes_on(
    emulator: Emulator, tables: Table
) -> None:
    now = BEGIN + timedelta(days=60)
    tables.insert(work(30))
    await scanned(emulator, wall=lambda: now.timestamp())
    for day in (30, 31, 32):
        tables.insert(work(day + 1)[day:])
        await scanned(emulator, wall=lambda: now.timestamp())
    assert tables.rows("select kind from notices") == [{"kind": "no_data"}]


async def test_an_episode_is_not_pursued_when_nothing_comes_for_a_month(
    emulator: Emulator, tables: Table
) -> None:
    tables.insert(work(60, hot=[58, 59]))
    await scanned(emulator)
    assert tables.rows("select status from hotspots") == [{"status": "active"}]
    later = (BEGIN + timedelta(days=91)).timestamp()
    await scanned(emulator, wall=lambda: later)
    (row,) = tables.rows("select status, resolution from hotspots")
    assert row == {"status": "resolved", "resolution": "superseded"}


async def test_days_that_the_watch_for_silence_closed_are_closed_in_a_fold_as_well(
    emulator: Emulator, tables: Table
) -> None:
    rows = work(60)
    for number, row in enumerate(rows):  # five a day: each day is a period
        row["timestamp"] = (BEGIN + timedelta(days=number // 5, hours=number % 5)).isoformat()
    tables.insert(rows)
    later = (BEGIN + timedelta(days=25)).timestamp()
    await scanned(emulator, wall=lambda: later)
    before = state(tables)
    (period,) = (row for row in before["detectors"] if row["series"] == "period")
    assert period["learned"] == 12
    tables.rows("select request_rebuilds(null, 'a test')")
    await scanned(emulator, wall=lambda: later)
    assert state(tables) == before
