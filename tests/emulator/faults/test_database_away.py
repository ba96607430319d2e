"""PostgreSQL killed, stopped for a while, and away for longer than the poller waits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from emulator import launch
from emulator.database import Database
from tests.emulator.faults.conftest import (
    TABLES,
    TICKING,
    TICKS,
    Ground,
    scaled,
    serving,
    until,
    writing,
)

USER = "11111111-1111-1111-1111-111111111111"


@pytest.fixture(scope="module")
def own_database(private_directory: Callable[[], Path]) -> Iterator[Database]:
    """On a server of its own, which can be taken away."""
    directory = private_directory()
    server = launch.server(directory, parameters=launch.FAST)
    server.start()
    database = Database(server, "postgres")
    empty = directory / "no migrations"
    empty.mkdir()
    database.prepare(empty)
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute(TABLES)
    yield database
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture
def emptied(own_database: Database) -> Database:
    with psycopg.connect(own_database.dsn(), autocommit=True) as connection:
        connection.execute("truncate ticks")
    return own_database


@pytest.mark.parametrize("seconds", [None, 0.6])
async def test_what_is_committed_after_postgresql_is_back_is_lost_until_the_poller_is(
    emptied: Database, seconds: float | None
) -> None:
    async with serving(emptied, scaled(reconnect_ms=400, longest_reconnect_ms=1500)) as ground:
        client = await ground.client()
        await client.join("t", TICKS)
        async with writing(emptied, TICKING) as ledger:
            await until(lambda: len(client.ids) > 3)
            name = "postgres-kill" if seconds is None else "postgres-stop"
            fault = ground.emulator.faults.start(name, seconds=seconds)
            await until(lambda: fault.ended and bool(ledger.lost(client)))
        lost = ledger.lost(client)
        assert len(lost) > 3
        assert await client.is_answered()
        assert client.told == []


async def refusal(ground: Ground) -> Response:
    """The answer to the first client that is not let in any more."""
    while True:
        try:
            await ground.client()
        except InvalidStatus as exc:
            return exc.response


async def test_channels_are_dead_for_good_when_it_was_away_for_too_long(emptied: Database) -> None:
    """The cures are to leave and join, and a token that is another one."""
    away = scaled(
        give_up_seconds=0.5, tenant_seconds=0.8, database_ms=300, reconnect_ms=50, cold_join_ms=50
    )
    async with serving(emptied, away) as ground:
        token = ground.user(USER)
        rejoining, refreshed = await ground.client(token), await ground.client(token)
        for client in (rejoining, refreshed):
            await client.join("t", TICKS)
        faults = ground.emulator.faults
        async with writing(emptied, TICKING) as ledger:
            await until(lambda: len(rejoining.ids) > 3)
            faults.start("postgres-stop", seconds=2)
            joining = await ground.client()
            await joining.start_join("j", TICKS)
            await until(lambda: joining.systems("j") == ["error"])
            message = joining.told[-1]["payload"]["message"]
            assert message == '{:error, "Too many database timeouts"}'
            refused = await refusal(ground)
            assert refused.status_code == 500
            assert refused.headers["content-type"] == "text/html; charset=utf-8"
            assert refused.body == b"Internal Server Error"
            await until(lambda: not faults.active("postgres-stop"))
            await ledger.written(20)
            joined_later = await ground.client()
            await joined_later.join("t", TICKS)
            await refreshed.send("realtime:t", "access_token", {"access_token": token})
            await ledger.healed(joined_later)
            assert await rejoining.is_answered()
            assert await refreshed.is_answered()
            assert rejoining.told == refreshed.told == []
            before = [max(rejoining.ids), max(refreshed.ids)]
            await ledger.written(20)
            assert [max(rejoining.ids), max(refreshed.ids)] == before

            other = ground.user(USER, seconds=4000)
            await refreshed.send("realtime:t", "access_token", {"access_token": other})
            await until(lambda: refreshed.systems("t") == ["ok"])
            await ledger.healed(refreshed)
            assert max(rejoining.ids) == before[0]
            await rejoining.send("realtime:t", "phx_leave", {})
            await until(lambda: len(rejoining.told) == 2)
            rejoining.told.clear()
            await rejoining.join("t", TICKS)
            await ledger.healed(rejoining)
        assert len(ledger.lost(refreshed)) >= 40
        assert len(ledger.lost(rejoining)) > len(ledger.lost(refreshed))
