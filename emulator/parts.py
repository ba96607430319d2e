"""The parts that every emulated project is served with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.routing import BaseRoute, Mount

from emulator import auth, rest
from emulator.cluster import SUPERUSER
from emulator.faults import actions
from emulator.project import Part, Project
from emulator.realtime import Realtime


@asynccontextmanager
async def mount_realtime(project: Project) -> AsyncIterator[Sequence[BaseRoute]]:
    """Serves /realtime/v1 while it is entered."""
    database = project.database
    served = Realtime(
        database.dsn("postgres"),
        database.dsn(SUPERUSER),
        project.keys,
        project.settings.realtime,
        project.faults,
    )
    async with served:
        yield [Mount("/realtime/v1", routes=served.routes())]


PARTS: tuple[Part, ...] = (rest.mount, auth.mount, mount_realtime, actions.mount)
