"""Rows that were deleted and put back under their ids: every client shows them."""

import asyncio
import io
import json
from collections.abc import Iterator

import psycopg
import pytest
from websockets.asyncio.client import ClientConnection

from emulator.running import Emulator
from tests.relay.clients import SECONDS, Frame, Running, Tables, change, frame, greeted, live_relay

LANES = ["auto", "postgres_changes"]


@pytest.fixture
def operator(emulator: Emulator) -> Iterator[psycopg.Connection]:
    """A connection of somebody who mends a mistake."""
    with psycopg.connect(emulator.dsn("postgres"), autocommit=True) as connection:
        yield connection


def delete_and_copy_back(operator: psycopg.Connection) -> None:
    copied = io.BytesIO()
    with operator.cursor().copy("copy recommendations to stdout") as out:
        for chunk in out:
            copied.write(chunk)
    with operator.transaction():
        operator.execute("delete from recommendations")
        with operator.cursor().copy("copy recommendations from stdin") as into:
            into.write(copied.getvalue())


class Holder:
    """A client of relay.v1, and the newest version of each row that it was told of."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.versions: dict[int, int] = {}

    async def until(self, versions: dict[int, int]) -> list[Frame]:
        """What is told until these are the newest versions; none is told after a newer one."""
        told: list[Frame] = []
        async with asyncio.timeout(SECONDS):
            while self.versions != versions:
                message = await change(self.connection)
                if message["type"] in ("INSERT", "UPDATE", "DELETE"):
                    told.append(message)
                    row_id = (message["record"] or message["old_record"])["id"]
                    assert message["version"] > self.versions.get(row_id, 0)
                    self.versions[row_id] = message["version"]
        return told

    async def cursor(self) -> None:
        """Waits for the next one, which a completed catch-up brings."""
        while (await frame(self.connection))["type"] != "cursor":
            pass


async def new_client(relay: Running) -> dict[int, int]:
    """The versions of the rows that a new client is sent."""
    async with relay.follow("recommendations?status=pending") as client:
        frames = await greeted(client)
    return {each["record"]["id"]: each["version"] for each in frames if "record" in each}


@pytest.mark.parametrize("lane", LANES)
async def test_rows_that_are_copied_back_are_shown_to_old_and_new_clients(
    emulator: Emulator, tables: Tables, operator: psycopg.Connection, lane: str
) -> None:
    hotspot = tables.hotspot()
    rows = [tables.recommendation(hotspot) for _ in range(3)]
    async with (
        live_relay(emulator, RELAY_LIVE=lane, RELAY_CATCH_UP_SECONDS="0.2") as relay,
        relay.follow("recommendations") as connection,
        relay.follow("recommendations", events=False) as plain,
    ):
        events = Holder(connection)
        await events.until(dict.fromkeys(rows, 1))
        await asyncio.to_thread(delete_and_copy_back, operator)
        told = await events.until(dict.fromkeys(rows, 3))
        assert {each["type"] for each in told if each["record"]} == {"UPDATE"}
        assert await new_client(relay) == dict.fromkeys(rows, 3)
        async with asyncio.timeout(SECONDS):
            missing = set(rows)
            while missing:
                row = json.loads(await plain.recv())
                if not row.get("deleted"):
                    assert row["action"] == "drive slower"
                    missing.discard(row["id"])


@pytest.mark.parametrize("lane", LANES)
async def test_a_row_that_is_put_back_long_after_its_deletion_is_shown_again(
    emulator: Emulator, tables: Tables, operator: psycopg.Connection, lane: str
) -> None:
    row = tables.recommendation(tables.hotspot())
    operator.execute("create temporary table kept as select * from recommendations")
    async with (
        live_relay(emulator, RELAY_LIVE=lane, RELAY_CATCH_UP_SECONDS="0.2") as relay,
        relay.follow("recommendations") as connection,
    ):
        events = Holder(connection)
        await events.until({row: 1})
        operator.execute("delete from recommendations where id = %s", (row,))
        await events.until({row: 2})
        await events.cursor()  # the relay forgets what a completed catch-up has shown
        operator.execute("insert into recommendations overriding system value select * from kept")
        (told,) = await events.until({row: 3})
        assert (told["type"], told["old_record"]) == ("UPDATE", {"id": row})
        assert await new_client(relay) == {row: 3}


@pytest.mark.parametrize("lane", LANES)
async def test_a_row_that_is_put_back_while_its_deletion_is_open_is_shown_again(
    emulator: Emulator, tables: Tables, operator: psycopg.Connection, lane: str
) -> None:
    row = tables.recommendation(tables.hotspot())
    operator.execute("create table kept as select * from recommendations")
    async with (
        live_relay(emulator, RELAY_LIVE=lane, RELAY_CATCH_UP_SECONDS="0.2") as relay,
        relay.follow("recommendations") as connection,
    ):
        events = Holder(connection)
        await events.until({row: 1})
        tables.execute("begin")
        tables.execute("delete from recommendations where id = %s", row)
        putting_back = asyncio.create_task(
            asyncio.to_thread(
                operator.execute,
                "insert into recommendations overriding system value select * from kept",
            )
        )
        async with asyncio.timeout(SECONDS):
            while not tables.execute(  # noqa: ASYNC110 of the database
                "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s",
                operator.info.backend_pid,
            ):
                await asyncio.sleep(0.02)
        tables.execute("commit")
        await putting_back
        await events.until({row: 3})
        assert await new_client(relay) == {row: 3}
