"""Hears `notify pgrst, 'reload schema'`."""

from __future__ import annotations

import asyncio
import logging
from typing import NoReturn

import psycopg

from emulator.rest.cache import SchemaCache

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
CHANNEL = "pgrst"
RELOADS = frozenset({"", "reload schema"})


async def listen(dsn: str, cache: SchemaCache) -> NoReturn:
    """Make `cache` forget at each notification; ends only when it is cancelled.

    While there is no connection notifications are missed, so a new one makes it forget as well.
    """
    while True:
        try:
            await _listen_once(dsn, cache)
        except psycopg.OperationalError as exc:
            logger.debug("not listening for schema changes: %s", exc)
        cache.forget()
        await asyncio.sleep(RETRY_SECONDS)


async def _listen_once(dsn: str, cache: SchemaCache) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(f"listen {CHANNEL}")
        cache.forget()
        async for notification in connection.notifies():
            if notification.payload in RELOADS:
                cache.forget()
