"""Auth as a part of an emulated project."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.routing import BaseRoute

from emulator.auth.routes import Endpoints
from emulator.auth.service import Pool, Service
from emulator.cluster import SUPERUSER
from emulator.pool import CheckedPool
from emulator.project import Project

CONNECTIONS = 4
WAIT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0


@asynccontextmanager
async def mount(project: Project) -> AsyncIterator[Sequence[BaseRoute]]:
    """Serves /auth/v1 while it is entered."""
    pool: Pool = CheckedPool(
        project.database.dsn(SUPERUSER),
        min_size=0,  # most projects never sign anybody in
        max_size=CONNECTIONS,
        timeout=WAIT_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        open=False,
        name="auth",
    )
    async with pool:
        yield Endpoints(Service(pool, project.keys, f"{project.url}/auth/v1")).routes()
