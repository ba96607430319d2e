"""What the relay says of the worker."""

import asyncio

import psycopg
import pytest

from emulator.running import Emulator
from relay.upstream import worker_status
from tests.relay.clients import Tables, live_relay
from tests.relay.test_metrics import samples

HOLDER = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_status, "READ_SECONDS", 0.2)


async def test_it_tells_for_how_long_no_worker_was_heard_of(
    emulator: Emulator, tables: Tables
) -> None:
    async with live_relay(emulator) as relay:
        health = await relay.until(lambda health: health["worker"] is not None)
        assert health["worker"]["age_seconds"] is None  # none was ever here
        assert health["ready"]
        tables.execute("select public.worker_heartbeat(%s, 30)", HOLDER)
        told = (await relay.until(lambda health: health["worker"]["age_seconds"]))["worker"]
        assert told["last_scan_seconds"] - told["age_seconds"] == pytest.approx(30, abs=0.1)
        assert (told["pending"], told["oldest_pending_seconds"]) == (0, None)
        later = await relay.until(
            lambda health: health["worker"]["age_seconds"] > told["age_seconds"] + 0.5
        )
        assert later["ready"]
        found = await samples(relay)
        assert found["relay_worker_age_seconds",] >= later["worker"]["age_seconds"]
        assert found["relay_worker_last_scan_seconds",] >= 30
        assert found["relay_worker_pending_events",] == 0


async def test_events_that_arrive_after_the_worker_died_are_counted(
    emulator: Emulator, tables: Tables
) -> None:
    tables.execute("select public.worker_heartbeat(%s, 1)", HOLDER)  # its last word: none wait
    async with live_relay(emulator) as relay:
        await relay.until(lambda health: (health["worker"] or {}).get("pending") == 0)
        tables.execute(
            "insert into public.events_normalized (event_type, supplier_id, timestamp)"
            " select 'factory', 'A', now() from generate_series(1, 1355)"
        )
        told = (await relay.until(lambda health: health["worker"]["pending"]))["worker"]
        assert told["pending"] == 1355
        assert told["oldest_pending_seconds"] >= 0
        found = await samples(relay)
        assert found["relay_worker_pending_events",] == 1355
        assert found["relay_worker_oldest_pending_seconds",] >= told["oldest_pending_seconds"]


async def test_ages_go_on_while_the_database_does_not_answer() -> None:
    status = worker_status.WorkerStatus(3.0, None, 7, 40.0)
    assert status.after(10) == worker_status.WorkerStatus(13.0, None, 7, 50.0)


async def test_without_the_migration_it_works_and_knows_nothing_of_a_worker(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with psycopg.connect(emulator.dsn("postgres"), autocommit=True) as owner:
        owner.execute("drop function public.worker_status()")
    async with live_relay(emulator) as relay:
        while "worker status unknown" not in caplog.text:  # noqa: ASYNC110 a log line
            await asyncio.sleep(0.02)
        assert (await relay.health())["worker"] is None
