"""The worker against the emulator: in this process where that suffices, as a process otherwise."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from emulator.running import Emulator
from worker.command_line import main
from worker.detection.observation import Rules
from worker.kilograms.energy import Basis
from worker.kilograms.factors import load
from worker.predictions import FactorPredictor, Predictor
from worker.readings import Reader
from worker.recompute import Recomputer
from worker.scan import ScanOptions

BASIS = Basis(load())


@dataclass(frozen=True)
class Table:
    """The database as its owner sees it."""

    dsn: str

    def rows(self, query: LiteralString, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(query, values).fetchall()

    def execute(self, statement: LiteralString, *values: Any) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement, values)

    def insert(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Add events in one statement; a missing column is null."""
        columns = sql.SQL(", ").join(map(sql.Identifier, EVENT_COLUMNS))
        statement = sql.SQL(
            "insert into events_normalized ({0}) select {0} from jsonb_populate_recordset("
            "null::events_normalized, %s)"
        ).format(columns)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement, [Jsonb([dict(event) for event in events])])

    def contents(self) -> dict[str, list[dict[str, Any]]]:
        """All that a scan leaves, without ids that a sequence gives, times and stamps."""
        return {name: self.rows(query) for name, query in CONTENTS.items()}


EVENT_COLUMNS = (
    "event_type",
    "supplier_id",
    "timestamp",
    "distance_km",
    "load_kg",
    "vehicle_type",
    "fuel_type",
    "speed",
    "planned_distance_km",
    "vehicle_class",
    "fuel_litres",
    "energy_kwh",
    "output_quantity",
    "output_unit",
    "country",
)

CONTENTS: dict[str, LiteralString] = {
    "queue": "select event_id, state, attempts, last_error from event_queue order by event_id",
    "predictions": """select event_id, model_version, entity, entity_type, event_type,
        factor_set, predicted_co2, kg_ttw, kg_wtt, method, factor_ids, vehicle_class, activity,
        activity_basis, inputs, flags, dq, estimated, in_range, hotspot
        from predictions order by event_id""",
    "suppliers": """select supplier_id, vehicle_class, vehicle_class_origin, loads, largest_load_kg
        from suppliers order by supplier_id""",
    "quarantine": """select event_id, entity, event_type, state, kind, reason, column_name,
        raw_value from quarantine order by event_id""",
    "detectors": """select entity, entity_type, event_type, series, method, basis, country,
        learned, usual, spread, newest_at, state
        from detectors order by entity, event_type, series, method, basis, country""",
    "keys": """select entity, entity_type, event_type, newest_at, due_at, late, state
        from detector_keys order by entity, event_type""",
    "notices": """select entity, entity_type, event_type, kind, message, event_id, occurred_at
        from notices order by id""",
    "hotspots": """select entity, entity_type, event_type, predicted_co2, baseline_co2,
        percent_above, severity, status, event_id, version, resolved_at is null as open, phase,
        series, rule, excess_kg, reason, occurred_at, last_seen_at, drivers, announced, resolution
        from hotspots order by id""",
    "alerts": """select h.event_id, a.kind, a.level, a.message, a.acknowledged, a.version
        from alerts a join hotspots h on h.id = a.hotspot_id order by a.id""",
    "recommendations": """select h.event_id, r.action, r.co2_reduction, r.root_cause, r.source,
        r.status, r.version
        from recommendations r join hotspots h on h.id = r.hotspot_id order by r.id""",
}


@pytest.fixture
def tables(emulator: Emulator) -> Table:
    return Table(emulator.dsn("postgres"))


@pytest.fixture
def env(emulator: Emulator) -> dict[str, str]:
    """What a worker process needs. Its Realtime is a port that nobody listens on."""
    return {
        "PATH": os.environ["PATH"],
        "SUPABASE_URL": emulator.url,
        "SUPABASE_SECRET_KEY": emulator.keys.secret,
        "WORKER_REALTIME_URL": "http://127.0.0.1:1/realtime/v1",
        "WORKER_RETRY_SECONDS": "5",
        "WORKER_CLOCK": "events",  # the events of the tests are of the past
    }


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(env: dict[str, str]) -> Iterator[Start]:
    """Start `python -m worker ...`; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, stdin: int | None = None, **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker", *arguments],
            env=env | more,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    """Run a command in this process, on a file with the text: exit status, output, errors."""
    levels = {name: logging.getLogger(name).level for name in ("httpx", "realtime")}

    def finish(*arguments: str, text: str | None = None) -> tuple[int, str, str]:
        file = tmp_path / "events.csv"
        if text is not None:
            file.write_bytes(text.encode())
            arguments = (*arguments, str(file))
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        status = main(arguments)
        return (status, *capfd.readouterr())

    yield finish
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def plan(
    *,
    lease_seconds: int = 30,
    batch_events: int = 500,
    predictor: Predictor | None = None,
    wall: Callable[[], float] | None = None,
) -> ScanOptions:
    """A plan of a holder of its own; the newest event time is the clock if there is no other."""
    return ScanOptions(
        holder=uuid.uuid4(),
        lease_seconds=lease_seconds,
        batch_events=batch_events,
        rules=Rules(),
        predictor=predictor or FactorPredictor(BASIS),
        truck_classes=BASIS.factors.truck_classes,
        recomputer=Recomputer(BASIS),
        reader=Reader(BASIS.factors),
        basis=BASIS,
        wall=wall,
    )
