"""The commit under faults: whatever happens, the rows are those of an undisturbed run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
import pytest

from emulator.database import Database
from emulator.running import Emulator
from tests.worker.conftest import BASIS, Start, Table, plan
from tests.worker.stall import Stall, Where
from worker.database import connected
from worker.errors import WorkerError
from worker.events import Event
from worker.kilograms.calculate import Prediction
from worker.predictions import FactorPredictor, Outcome, predict
from worker.scan import ScanOptions, Summary, scan
from worker.suppliers import Suppliers

LOCK = 4711
DEADLINE = 40.0


def trips(supplier: str, *kilometres: float | None, first: int = 0) -> list[dict[str, Any]]:
    """One trip a day from that day on, each planned to have 100 km."""
    return [
        {
            "event_type": "logistics",
            "supplier_id": supplier,
            "timestamp": (BEGIN + timedelta(days=day)).isoformat(),
            "distance_km": distance,
            "planned_distance_km": 100,
            "load_kg": 500,
            "vehicle_type": "truck",
            "fuel_type": "diesel",
            "speed": 60,
        }
        for day, distance in enumerate(kilometres, start=first)
    ]


BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
# Afterwards A and C are open, B quiet.
BEFORE = [
    *trips("A", *[100] * 60, 135),
    *trips("B", *[100] * 60),
    *trips("C", *[100] * 60, 200),
]
# One of each: worsens and escalates, opens, resolves, is quarantined.
DURING = [
    *trips("A", 200, first=61),
    *trips("B", 160, first=61),
    *trips("C", 100, 100, 100, first=61),
    *trips("D", None, first=61),
]


async def scanned(url: str, key: str, how: ScanOptions | None = None) -> Summary:
    async with connected(url, key, retry_seconds=5) as database:
        return await scan(database, how or plan(), "cron", asyncio.Event())


async def scanned_after_the_lease(emulator: Emulator) -> Summary:
    """A scan as soon as the lease of a killed worker has run out."""
    async with asyncio.timeout(DEADLINE):
        while True:
            done = await scanned(emulator.url, emulator.keys.secret)
            if done.outcome != "held":
                return done
            await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def undisturbed(template: Database) -> dict[str, list[dict[str, Any]]]:
    database = template.clone("undisturbed")
    with Emulator.running(database) as emulator:
        tables = Table(emulator.dsn("postgres"))
        for events in (BEFORE, DURING):
            tables.insert(events)
            asyncio.run(scanned(emulator.url, emulator.keys.secret))
        contents = tables.contents()
    database.drop()
    return contents


@pytest.fixture
async def prepared(emulator: Emulator, tables: Table) -> Table:
    """Everything is ready for the scan that is to be disturbed."""
    tables.insert(BEFORE)
    await scanned(emulator.url, emulator.keys.secret)
    tables.insert(DURING)
    return tables


@contextmanager
def held(tables: Table) -> Iterator[None]:
    """Hold every commit where it writes its alerts."""
    tables.execute("""
        create function hold() returns trigger language plpgsql as $$
        begin perform pg_advisory_xact_lock(4711); return null; end $$;
        grant execute on function hold() to service_role;
        create trigger hold before insert on alerts for each statement execute function hold()""")
    with psycopg.connect(tables.dsn) as connection:
        connection.execute("select pg_advisory_lock(%s)", [LOCK])
        yield
        connection.execute("select pg_advisory_unlock(%s)", [LOCK])


async def waiting_commit(tables: Table) -> int:
    """The backend that waits in a held commit."""
    async with asyncio.timeout(DEADLINE):
        while True:
            found = tables.rows(
                """select pid from pg_locks where locktype = 'advisory' and not granted
                and database = (select oid from pg_database where datname = current_database())"""
            )
            if found:
                return int(found[0]["pid"])
            await asyncio.sleep(0.02)


def test_the_undisturbed_run_has_one_of_each(
    undisturbed: dict[str, list[dict[str, Any]]],
) -> None:
    assert [(row["entity"], row["status"]) for row in undisturbed["hotspots"]] == [
        ("A", "active"),
        ("C", "resolved"),
        ("B", "active"),
    ]
    assert [row["kind"] for row in undisturbed["alerts"]] == [
        "opened",
        "opened",
        "escalated",
        "opened",
        "resolved",
    ]
    assert undisturbed["queue"] == []
    assert [row["kind"] for row in undisturbed["quarantine"]] == ["energy"]


STATEMENTS: list[tuple[LiteralString, LiteralString]] = [
    ("event_queue", "delete"),
    ("event_queue", "update of state"),
    ("quarantine", "insert"),
    ("suppliers", "insert"),
    ("predictions", "insert"),
    ("detectors", "insert"),
    ("detectors", "update"),
    ("detector_keys", "insert"),
    ("hotspots", "update"),
    ("hotspots", "insert"),
    ("alerts", "insert"),
    ("recommendations", "insert"),
    ("batches", "update of result"),
]


async def test_whichever_statement_fails_nothing_is_left_behind(
    prepared: Table, emulator: Emulator, undisturbed: dict[str, list[dict[str, Any]]]
) -> None:
    before = prepared.contents()
    for table, statement in STATEMENTS:
        prepared.execute(
            f"""create function refuse() returns trigger language plpgsql as $$
            begin raise exception 'refused: {statement} {table}'; end $$;
            grant execute on function refuse() to service_role;
            create trigger zz_refuse after {statement} on {table}
            for each statement execute function refuse()"""
        )
        with pytest.raises(WorkerError, match=f"refused: {statement} {table}"):
            await scanned(emulator.url, emulator.keys.secret)
        assert prepared.contents() == before
        (last,) = prepared.rows("select status, error from scans order by id desc limit 1")
        assert last["status"] == "failed"
        assert f"refused: {statement} {table}" in last["error"]
        prepared.execute(f"drop trigger zz_refuse on {table}; drop function refuse()")
    assert (await scanned(emulator.url, emulator.keys.secret)).outcome == "done"
    assert prepared.contents() == undisturbed


async def test_a_terminated_backend_is_waited_out(
    prepared: Table, emulator: Emulator, undisturbed: dict[str, list[dict[str, Any]]]
) -> None:
    with held(prepared):
        scanning = asyncio.create_task(scanned(emulator.url, emulator.keys.secret))
        backend = await waiting_commit(prepared)
        prepared.rows("select pg_terminate_backend(%s)", backend)
    assert (await scanning).outcome == "done"
    assert prepared.contents() == undisturbed


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_worker_killed_around_its_commit_loses_and_doubles_nothing(
    where: Where,
    prepared: Table,
    emulator: Emulator,
    start: Start,
    undisturbed: dict[str, list[dict[str, Any]]],
) -> None:
    with Stall(emulator.url, where).running() as stall:
        worker = start("scan", SUPABASE_URL=stall.url, WORKER_LEASE_SECONDS="1")
        assert await asyncio.to_thread(stall.reached.wait, DEADLINE)
        worker.kill()
        worker.wait()
    assert (prepared.contents() == undisturbed) == (where == "after")
    assert (await scanned_after_the_lease(emulator)).outcome == "done"
    assert prepared.contents() == undisturbed


@pytest.mark.parametrize("carried_through", [True, False])
async def test_a_worker_killed_during_its_commit_loses_and_doubles_nothing(
    carried_through: bool,
    prepared: Table,
    emulator: Emulator,
    start: Start,
    undisturbed: dict[str, list[dict[str, Any]]],
) -> None:
    """Whether the server goes on with a request whose client is gone or gives it up."""
    with Stall(emulator.url, "nowhere").running() as stall, held(prepared):
        url = stall.url if carried_through else emulator.url
        worker = start("scan", SUPABASE_URL=url, WORKER_LEASE_SECONDS="1")
        await waiting_commit(prepared)
        worker.kill()
        worker.wait()
    assert (await scanned_after_the_lease(emulator)).outcome == "done"
    assert prepared.contents() == undisturbed


async def test_a_commit_whose_answer_is_lost_is_repeated_and_counts_once(
    prepared: Table, emulator: Emulator, undisturbed: dict[str, list[dict[str, Any]]]
) -> None:
    with Stall(emulator.url, "after").running() as stall:
        scanning = asyncio.create_task(scanned(stall.url, emulator.keys.secret))
        assert await asyncio.to_thread(stall.reached.wait, DEADLINE)
        stall.break_off()
        summary = await scanning
    assert summary.counts["events"] == 5
    assert prepared.contents() == undisturbed


class Pausing:
    """A predictor that lets the test do something between claim and commit, once."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def predict(self, events: Sequence[Event], suppliers: Suppliers) -> Sequence[Outcome]:
        self.reached.set()
        await self.go_on.wait()
        return await FactorPredictor(BASIS).predict(events, suppliers)


async def test_of_two_scans_at_once_one_works_and_one_leaves(
    prepared: Table, emulator: Emulator, undisturbed: dict[str, list[dict[str, Any]]]
) -> None:
    pausing = Pausing()
    first = asyncio.create_task(
        scanned(emulator.url, emulator.keys.secret, plan(predictor=pausing))
    )
    await pausing.reached.wait()
    second = await scanned(emulator.url, emulator.keys.secret)
    assert second.outcome == "held"
    assert str(second).startswith("another scan is running: ")
    pausing.go_on.set()
    assert (await first).outcome == "done"
    assert prepared.contents() == undisturbed


async def test_a_worker_that_slept_through_its_lease_writes_nothing(
    prepared: Table, emulator: Emulator, undisturbed: dict[str, list[dict[str, Any]]]
) -> None:
    pausing = Pausing()
    sleeper = asyncio.create_task(
        scanned(emulator.url, emulator.keys.secret, plan(predictor=pausing, lease_seconds=1))
    )
    await pausing.reached.wait()
    assert (await scanned_after_the_lease(emulator)).outcome == "done"
    pausing.go_on.set()
    assert (await sleeper).outcome == "lost"
    assert prepared.contents() == undisturbed


async def test_an_episode_resolved_by_a_person_meanwhile_is_judged_again(
    prepared: Table, emulator: Emulator
) -> None:
    pausing = Pausing()
    scanning = asyncio.create_task(
        scanned(emulator.url, emulator.keys.secret, plan(predictor=pausing))
    )
    await pausing.reached.wait()
    prepared.execute(
        "update hotspots set status = 'resolved', resolved_at = now() where entity = 'A'"
    )
    pausing.go_on.set()
    assert (await scanning).outcome == "done"
    found = prepared.rows("select status, severity from hotspots where entity = 'A' order by id")
    assert found == [
        {"status": "resolved", "severity": "warn"},
        {"status": "active", "severity": "critical"},
    ]


async def test_every_column_of_a_prediction_is_stored_as_it_was_computed(
    tables: Table, emulator: Emulator
) -> None:
    when = BEGIN.isoformat()
    site = {"event_type": "factory", "supplier_id": "E", "timestamp": when, "energy_kwh": 900}
    tables.insert(
        [
            *trips("A", 100, 130),
            trips("A", 90)[0] | {"fuel_litres": 20},
            site | {"country": "DEU", "output_quantity": 3, "output_unit": "t"},
            site,
        ]
    )
    await scanned(emulator.url, emulator.keys.secret)
    stored = tables.rows("select to_jsonb(p) of from predictions p order by event_id")
    events = tables.rows("select to_jsonb(e) of from events_normalized e order by id")
    suppliers = Suppliers([], BASIS.factors.truck_classes)
    for row, found in zip(events, stored, strict=True):
        event = Event.from_row(row["of"])
        prediction = predict(event, suppliers, BASIS)
        assert isinstance(prediction, Prediction)
        expected = {"event_id": event.id, **event.key._asdict(), **prediction.row()}
        assert {name: found["of"][name] for name in expected} == expected
        given = {name for name, value in found["of"].items() if value is not None}
        assert given - set(expected) == {"occurred_at", "day", "hotspot", "created_at"}
        assert found["of"]["occurred_at"] == row["of"]["timestamp"]
        assert found["of"]["day"] == row["of"]["timestamp"][:10]


async def test_many_small_batches_lead_to_the_same_rows(
    prepared: Table, emulator: Emulator, undisturbed: dict[str, list[dict[str, Any]]]
) -> None:
    began = time.monotonic()
    summary = await scanned(emulator.url, emulator.keys.secret, plan(batch_events=1))
    assert summary.counts["events"] == 5
    assert summary.seconds <= time.monotonic() - began
    hidden = {"version"}  # counts the batches that changed the episode
    same = {
        name: [{key: row[key] for key in row if key not in hidden} for row in rows]
        for name, rows in prepared.contents().items()
    }
    assert same == {
        name: [{key: row[key] for key in row if key not in hidden} for row in rows]
        for name, rows in undisturbed.items()
    }


async def test_a_stopped_scan_commits_the_batch_in_flight_and_gives_the_lease_back(
    prepared: Table, emulator: Emulator
) -> None:
    pausing, stop = Pausing(), asyncio.Event()
    async with connected(emulator.url, emulator.keys.secret) as database:
        how = plan(predictor=pausing, batch_events=2)
        scanning = asyncio.create_task(scan(database, how, "cron", stop))
        await pausing.reached.wait()
        stop.set()
        pausing.go_on.set()
        summary = await scanning
    assert (summary.outcome, summary.counts["events"]) == ("stopped", 2)
    assert (await scanned(emulator.url, emulator.keys.secret)).counts["events"] == 3
