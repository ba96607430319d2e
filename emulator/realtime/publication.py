"""Notices that the publication has other tables than before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from emulator.realtime.catalog import Connection
from emulator.realtime.settings import RealtimeSettings

logger = logging.getLogger(__name__)

Pool = AsyncConnectionPool[Connection]

_TABLES = """
select c.oid::bigint
from pg_catalog.pg_publication_tables p
join pg_catalog.pg_namespace n on n.nspname = p.schemaname
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
where p.pubname = %s
"""


async def watch(pool: Pool, settings: RealtimeSettings, changed: Callable[[], None]) -> None:
    """Look for ever, and call `changed` when it is not as it was at the last look."""
    known: set[int] | None = None
    while True:
        try:
            async with pool.connection() as connection:
                cursor = await connection.execute(_TABLES, (settings.publication,))
                found = {row[0] for row in await cursor.fetchall()}
        except (psycopg.Error, PoolTimeout) as exc:
            logger.info("publication not read error=%r", str(exc).strip())
        else:
            if known is not None and found != known:
                changed()
            known = found
        await asyncio.sleep(settings.publication_ms / 1000)
