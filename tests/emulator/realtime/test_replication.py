"""Polling, and what is lost without a word when the stream is interrupted."""

from __future__ import annotations

import asyncio

from emulator.database import Database
from emulator.realtime import RealtimeSettings
from tests.emulator.realtime.conftest import DEADLINE_SECONDS, Server, serving

HOTSPOTS = {"event": "*", "schema": "public", "table": "hotspots"}
SLOTS = "select active_pid from pg_replication_slots where database = current_database()"


async def walsender(server: Server) -> int | None:
    cursor = await server.writer.execute(SLOTS)
    rows = await cursor.fetchall()
    return rows[0][0] if rows else None


async def test_an_interrupted_stream_comes_back_and_the_socket_stays(own_server: Server) -> None:
    server = own_server
    client = await server.client()
    await client.join("t", HOTSPOTS)
    former = await walsender(server)
    await server.sql("select pg_terminate_backend(%s)", former)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await walsender(server) in (None, former):
            pass
    await server.settled()
    await server.sql("insert into hotspots (name) values ('after')")
    assert (await client.change())["record"]["name"] == "after"


async def test_postgresql_15_serves_as_well(recorded_schema_15: Database) -> None:
    """The newest server is what the other tests run on."""
    alerts = {**HOTSPOTS, "table": "alerts", "filter": "level=eq.warn"}
    async with serving(recorded_schema_15, RealtimeSettings.prompt()) as server:
        hidden, client = await server.client(), await server.client(server.user())
        await hidden.join("t", alerts)
        await client.join("t", alerts)
        await server.sql("insert into alerts (id, level) values (1, 'warn'), (2, 'info')")
        assert (await client.change())["record"]["id"] == 1
        await server.nothing_for(hidden)


async def test_more_rows_than_a_poll_holds_arrive_in_order(recorded: Database) -> None:
    settings = RealtimeSettings(poll_ms=10, join_ms=0)
    async with serving(recorded, settings) as server:
        client = await server.client()
        await client.join("t", HOTSPOTS)
        await server.sql("insert into hotspots (id) select generate_series(1, 250)")
        found = [(await client.change())["record"]["id"] for _ in range(250)]
    assert found == [*range(1, 251)]
