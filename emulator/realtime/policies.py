"""Who may join and send to a private topic: asked of the policies on realtime.messages."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import CheckViolation, InsufficientPrivilege
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from emulator.realtime.tables import Viewer

Extension = Literal["broadcast", "presence"]
Connection = AsyncConnection[TupleRow]

AWAY = "Realtime was unable to connect to the project database"

_PROBE = """
insert into realtime.messages (id, topic, extension)
select id, %s, extension from unnest(%s::uuid[], %s::text[]) as probe (id, extension)
"""
_CONTEXT = """
select set_config('role', %(role)s, true), set_config('realtime.topic', %(topic)s, true),
  set_config('request.jwt.claims', %(claims)s, true),
  set_config('request.jwt.claim.sub', %(sub)s, true),
  set_config('request.jwt.claim.role', %(role)s, true)
"""


@dataclass(frozen=True, slots=True)
class Undecided:
    """The policies could not be evaluated; `code` and `text` are those of the real server."""

    code: str
    text: str


Verdict = frozenset[Extension] | Undecided


class Policies:
    """Asks as the caller, in transactions that leave nothing behind."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool

    async def readable(
        self, viewer: Viewer, topic: str, extensions: Collection[Extension]
    ) -> Verdict:
        """The extensions whose messages on `topic` the viewer may select."""
        probes = {str(uuid.uuid4()): extension for extension in extensions}
        try:
            async with self._undone() as connection:
                asked = (topic, list(probes), list(probes.values()))
                await connection.execute(_PROBE, asked)
                await _become(connection, viewer, topic)
                cursor = await connection.execute(
                    "select id::text from realtime.messages where id = any (%s::uuid[])",
                    (list(probes),),
                )
                return frozenset(probes[id_] for (id_,) in await cursor.fetchall())
        except (psycopg.Error, PoolTimeout) as exc:
            return _undecided(exc)

    async def writable(self, viewer: Viewer, topic: str) -> Verdict:
        """Whether the viewer may insert a broadcast on `topic`."""
        try:
            async with self._undone() as connection:
                await _become(connection, viewer, topic)
                await connection.execute(
                    "insert into realtime.messages (topic, extension) values (%s, 'broadcast')",
                    (topic,),
                )
                return frozenset(("broadcast",))
        except InsufficientPrivilege:
            return frozenset()
        except (psycopg.Error, PoolTimeout) as exc:
            return _undecided(exc)

    @asynccontextmanager
    async def _undone(self) -> AsyncIterator[Connection]:
        """A connection in a transaction that is rolled back."""
        async with (
            self._pool.connection() as connection,
            connection.transaction(force_rollback=True),
        ):
            yield connection


async def _become(connection: Connection, viewer: Viewer, topic: str) -> None:
    subject = json.loads(viewer.claims).get("sub")
    values = {"role": viewer.role, "topic": topic, "claims": viewer.claims, "sub": subject or ""}
    await connection.execute(_CONTEXT, values)


def _undecided(error: Exception) -> Verdict:
    """A policy that raises denies access."""
    if isinstance(error, psycopg.OperationalError | PoolTimeout):
        return Undecided("UnableToConnectToProject", AWAY)
    if isinstance(error, CheckViolation) and error.diag.table_name == "messages":
        text = "Realtime was unable to find the expected messages partition"
        return Undecided("MissingPartition", text)
    return frozenset()
