"""Connections to the database that are checked before they are used."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

Connection = AsyncConnection[Any]


class CheckedPool(AsyncConnectionPool[Connection]):
    """Looks at all idle connections once one of them is found broken.

    psycopg_pool's own check tries one after the other with growing pauses in between: after a
    restart of the server a caller would wait for ten seconds and more.
    """

    async def getconn(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109
        """A connection that works.

        Raises:
            psycopg_pool.PoolTimeout: there is none within that time, in seconds.
        """
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            held = await super().getconn(until - time.monotonic())
            try:
                await self.check_connection(held)
            except psycopg.Error:
                await self.putconn(held)
                await self.check()
            except BaseException:  # whoever asked gave up: the connection must not be lost with it
                await self.putconn(held)
                raise
            else:
                return held
