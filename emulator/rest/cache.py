"""The schema as it was last read, kept for all requests."""

from __future__ import annotations

import asyncio
import logging

import psycopg

from emulator.rest import errors, introspection
from emulator.rest.execution import Pool, connection
from emulator.rest.schema import Schema

logger = logging.getLogger(__name__)


class SchemaCache:
    """Reads the schema when it is first needed and when told to."""

    def __init__(self, pool: Pool, name: str) -> None:
        self._pool = pool
        self._name = name
        self._schema: Schema | None = None
        self._changes = 0
        self._reading = asyncio.Lock()

    async def current(self) -> Schema:
        """The schema; raises ApiError 503 while it cannot be read."""
        if self._schema is not None:
            return self._schema
        return await self.newer_than(None)

    async def newer_than(self, seen: Schema | None) -> Schema:
        """A schema read after `seen`; requests that wait for one share the reading."""
        async with self._reading:
            if self._schema is not None and self._schema is not seen:
                return self._schema
            changes = self._changes
            schema = await self._read()
            # What was announced meanwhile may be missing: good for this request, not for the next.
            self._schema = schema if changes == self._changes else None
            return schema

    def forget(self) -> None:
        """Make the next request read the schema again."""
        self._schema = None
        self._changes += 1

    async def _read(self) -> Schema:
        async with connection(self._pool) as held:
            try:
                schema = await introspection.read(held, self._name)
            except psycopg.Error as exc:
                raise errors.no_schema() from exc
        tables, functions = len(schema.tables), len(schema.functions)
        logger.info("schema read schema=%s tables=%d functions=%d", self._name, tables, functions)
        return schema
