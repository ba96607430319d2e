"""Commits that Realtime delivers before the database shows them: they wait for a standby."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from emulator.cluster import SUPERUSER
from emulator.database import Database
from emulator.running import Emulator
from tests.relay.clients import SECONDS, Tables, change, greeted, live_relay

ROWS = 600


@asynccontextmanager
async def waiting_for_a_standby(database: Database) -> AsyncIterator[psycopg.Connection]:
    """A connection for what waits; no commit that asks for the standby ends before the block."""
    dsn = database.dsn("postgres")
    with (
        psycopg.connect(dsn, autocommit=True, options="-c synchronous_commit=on") as connection,
        psycopg.connect(database.dsn(SUPERUSER), autocommit=True) as admin,
    ):
        try:
            admin.execute("alter system set synchronous_standby_names = 'absent'")
            admin.execute("select pg_reload_conf()")
            async with asyncio.timeout(SECONDS):
                while not _setting(admin):  # noqa: ASYNC110 of another process
                    await asyncio.sleep(0.02)
            yield connection
        finally:
            admin.execute("alter system reset synchronous_standby_names")
            admin.execute("select pg_reload_conf()")


def _setting(connection: psycopg.Connection) -> bool:
    row = connection.execute("show synchronous_standby_names").fetchone()
    return row is not None and bool(row[0])


async def test_a_new_client_gets_every_row_whose_commit_waits_for_a_standby(
    database: Database, emulator: Emulator, tables: Tables
) -> None:
    hotspot = tables.hotspot()
    async with live_relay(emulator) as relay, relay.follow("alerts") as watching:
        await greeted(watching)
        async with waiting_for_a_standby(database) as connection:
            insert = asyncio.create_task(
                asyncio.to_thread(
                    connection.execute,
                    "insert into alerts (hotspot_id, level, message)"
                    " select %s, 'warn', 'm' from generate_series(1, %s)",
                    (hotspot, ROWS),
                )
            )
            told = {(await change(watching))["record"]["id"] for _ in range(ROWS)}
            assert tables.execute("select count(*) from alerts") == 0
            assert not insert.done()
            async with relay.follow("alerts?severity=warn") as newcomer:
                rows = [each for each in await greeted(newcomer) if "record" in each]
            assert {each["record"]["id"] for each in rows} == told
        await insert
