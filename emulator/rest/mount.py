"""The REST API as a part of an emulated project."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.routing import BaseRoute, Mount

from emulator.pool import CheckedPool
from emulator.project import Project
from emulator.rest.cache import SchemaCache
from emulator.rest.execution import Pool
from emulator.rest.listening import listen
from emulator.rest.routes import served_from

CONNECTIONS = 10
WAITING = 1000
# After that a pool gives up, and tries anew for the next request: at once when all is well again.
RECONNECT_SECONDS = 1.0


@asynccontextmanager
async def mount(project: Project) -> AsyncIterator[Sequence[BaseRoute]]:
    """Serve /rest/v1 and follow changes of the schema within the context."""
    dsn = project.database.dsn("authenticator")
    async with open_pool(dsn) as pool, asyncio.TaskGroup() as tasks:
        cache = SchemaCache(pool, "public")
        listening = tasks.create_task(listen(dsn, cache), name="rest schema")
        yield [Mount("/rest/v1", routes=served_from(cache, pool, project.keys))]
        listening.cancel()


def open_pool(dsn: str) -> Pool:
    """A pool to be entered; its connections are checked before they are used."""
    return CheckedPool(
        dsn,
        kwargs={"autocommit": True},
        min_size=1,
        max_size=CONNECTIONS,
        max_waiting=WAITING,
        reconnect_timeout=RECONNECT_SECONDS,
        open=False,
        name="rest",
    )
