"""Faults that are done to PostgreSQL itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
from starlette.routing import BaseRoute

from emulator.cluster import SUPERUSER
from emulator.database import Database
from emulator.faults import control
from emulator.faults.registry import Fault, Faults
from emulator.postgres import StartFailed
from emulator.project import Project

logger = logging.getLogger(__name__)

NAMES = ("terminate", "postgres-kill", "postgres-stop")
BACKENDS = {"poller": "realtime_rls", "broadcast": "realtime_broadcast", "all": "realtime%"}
LOOK_SECONDS = 0.05

_TERMINATE = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and application_name like %s
"""


@asynccontextmanager
async def mount(project: Project) -> AsyncIterator[Sequence[BaseRoute]]:
    """Serve the control endpoint and do what it is told to PostgreSQL, while it is entered."""
    faults, loop, changed = project.faults, asyncio.get_running_loop(), asyncio.Event()
    stop = faults.on_change(lambda: loop.call_soon_threadsafe(changed.set))
    async with asyncio.TaskGroup() as tasks:
        acting = tasks.create_task(_act(project.database, faults, changed), name="faults")
        try:
            yield control.routes(faults, project.keys)
        finally:
            stop()
            acting.cancel()


async def _act(database: Database, faults: Faults, changed: asyncio.Event) -> None:
    while True:
        await changed.wait()
        changed.clear()
        for fault in faults.active(*NAMES):
            await _do(database, faults, fault)
            faults.stop(fault)


async def _do(database: Database, faults: Faults, fault: Fault) -> None:
    match fault.name:
        case "terminate":
            try:
                count = await asyncio.to_thread(_terminate, database, fault.options["what"])
            except psycopg.Error as exc:
                logger.warning("termination of connections failed error=%r", str(exc).strip())
            else:
                faults.hit(fault, count)
        case "postgres-kill":
            faults.hit(fault)
            database.server.kill()
        case "postgres-stop":
            faults.hit(fault)
            await _stop(database, faults, fault)


def _terminate(database: Database, what: str) -> int:
    with psycopg.connect(database.dsn(SUPERUSER), autocommit=True) as connection:
        row = connection.execute(_TERMINATE, (BACKENDS[what],)).fetchone()
    return 0 if row is None else int(row[0])


async def _stop(database: Database, faults: Faults, fault: Fault) -> None:
    """Without a time or a stop it is started again at once."""
    try:
        await asyncio.to_thread(database.server.stop)
        # Its end by time is announced to nobody.
        while fault.until is not None and fault in faults.active(fault.name):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        try:
            await asyncio.to_thread(database.server.start)
        except StartFailed as exc:
            database.server.on_failure(f"PostgreSQL cannot be started again: {exc}")
