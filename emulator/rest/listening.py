"""Listens for `notify pgrst, 'reload schema'`."""

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
    """Invalidate `cache` at each notification, until cancelled.

    Notifications are missed while there is no connection, so a new one invalidates it too.
    """
    while True:
        try:
            await _listen_once(dsn, cache)
        except psycopg.OperationalError as exc:
            logger.debug("listening for schema changes failed error=%r", str(exc).strip())
        cache.forget()
        await asyncio.sleep(RETRY_SECONDS)


async def _listen_once(dsn: str, cache: SchemaCache) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(f"listen {CHANNEL}")
        cache.forget()
        async for notification in connection.notifies():
            if notification.payload in RELOADS:
                cache.forget()
