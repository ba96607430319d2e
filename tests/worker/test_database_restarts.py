"""PostgreSQL restarted under a scan: whatever it was doing, the rows are those of a quiet run."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from emulator import launch
from emulator.database import Database
from emulator.postgres import Postgres
from emulator.running import Emulator
from tests.conftest import make_template
from tests.worker.conftest import BASIS, Table, plan
from tests.worker.test_commit import held, trips, waiting_commit
from worker.database import connected
from worker.errors import WorkerError
from worker.events import Event
from worker.predictions import FactorPredictor, Outcome
from worker.scan import ScanOptions, scan
from worker.suppliers import Suppliers

DEADLINE = 90.0
BATCH = 10
HARD = pytest.mark.parametrize(
    "how", [signal.SIGKILL, signal.SIGQUIT, signal.SIGINT], ids=["killed", "immediate", "fast"]
)


def work() -> list[dict[str, Any]]:
    """Three suppliers' trips in turn, with detours; the history of one comes at the end."""
    chance = random.Random(1)
    rows: list[dict[str, Any]] = []
    for supplier, hot in (("A", {40, 58}), ("B", {50}), ("C", {20})):
        kilometres = [
            round(100 * (1 + chance.gauss(0, 0.02)) * (1.6 if day in hot else 1), 2)
            for day in range(60)
        ]
        rows += trips(supplier, *kilometres)
    rows.sort(key=lambda row: row["timestamp"])
    history = [row for row in rows if row["supplier_id"] == "C"][:30]
    return [row for row in rows if row not in history] + history


@pytest.fixture
def server(private_directory: Callable[[], Path]) -> Iterator[Postgres]:
    """One for each test: its supervisor gives a server up that dies again and again."""
    directory = private_directory()
    server = launch.server(directory, parameters=launch.FAST)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture
def emulator(server: Postgres, tmp_path: Path) -> Iterator[Emulator]:
    """A project on that server."""
    with Emulator.running(make_template(server, tmp_path)) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def quiet(template: Database) -> dict[str, list[dict[str, Any]]]:
    """What a run leaves that nobody disturbs."""
    database = template.clone("quiet")
    with Emulator.running(database) as emulator:
        tables = Table(emulator.dsn("postgres"))
        tables.insert(work())
        asyncio.run(until_done(emulator, plan(batch_events=BATCH)))
        contents = tables.contents()
    database.drop()
    return contents


async def until_done(emulator: Emulator, how: ScanOptions) -> int:
    """Scan again after each failure, as a service does; how many scans it took."""
    scans = 0
    async with asyncio.timeout(DEADLINE):
        while True:
            scans += 1
            try:
                async with connected(
                    emulator.url, emulator.keys.secret, retry_seconds=1
                ) as database:
                    if (await scan(database, how, "cron", asyncio.Event())).outcome == "done":
                        return scans
            except WorkerError:
                await asyncio.sleep(0.1)


class Restarting:
    """Ends the postmaster before these batches, between their claim and their commit."""

    def __init__(self, server: Postgres, how: signal.Signals, before: set[int]) -> None:
        self._server, self._how, self._before = server, how, before
        self.batches = 0

    async def predict(self, events: Sequence[Event], suppliers: Suppliers) -> Sequence[Outcome]:
        self.batches += 1
        if self.batches in self._before:
            os.kill(self._server.pid, self._how)
        return await FactorPredictor(BASIS).predict(events, suppliers)


def test_the_quiet_run_has_alarms_and_folds_a_past_anew(
    quiet: dict[str, list[dict[str, Any]]],
) -> None:
    assert [row["entity"] for row in quiet["hotspots"]] == ["A", "B", "A"]
    learned = {
        row["entity"]: row["learned"] for row in quiet["detectors"] if row["series"] == "event"
    }
    assert learned == {"A": 60, "B": 60, "C": 60}  # without a fold C's first 30 are missing
    assert len(quiet["predictions"]) == 180
    assert quiet["queue"] == []


@HARD
async def test_a_database_restarted_between_claim_and_commit_changes_nothing(
    how: signal.Signals,
    server: Postgres,
    emulator: Emulator,
    tables: Table,
    quiet: dict[str, list[dict[str, Any]]],
) -> None:
    tables.insert(work())
    before, restarting = server.restarts, Restarting(server, how, {3, 8, 14})
    await until_done(emulator, plan(batch_events=BATCH, predictor=restarting))
    assert server.restarts - before == 3
    assert tables.contents() == quiet


@HARD
async def test_a_database_restarted_within_a_commit_changes_nothing(
    how: signal.Signals,
    server: Postgres,
    emulator: Emulator,
    tables: Table,
    quiet: dict[str, list[dict[str, Any]]],
) -> None:
    tables.insert(work())
    before = server.restarts
    with suppress(psycopg.OperationalError), held(tables):  # its lock goes with the server
        scanning = asyncio.create_task(until_done(emulator, plan(batch_events=BATCH)))
        await waiting_commit(tables)
        os.kill(server.pid, how)
    assert await scanning >= 1
    assert server.restarts == before + 1
    assert tables.contents() == quiet
