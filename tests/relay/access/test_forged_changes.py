"""Changes that a user makes up and sends to the relays' own topic."""

import asyncio
import json
import logging
from typing import LiteralString

import httpx
import psycopg
import pytest
from realtime import AsyncRealtimeClient
from realtime.types import RealtimeChannelOptions

from emulator import cluster
from emulator.running import Emulator
from relay.upstream import live
from tests.relay.access.admission import token_of
from tests.relay.clients import Frame, Tables, change, greeted, live_relay

SECONDS = 60.0
EXAMPLE: tuple[LiteralString, ...] = (
    "create policy e1 on realtime.messages for select to authenticated using (true)",
    "create policy e2 on realtime.messages for insert to authenticated with check (true)",
)
OPEN: LiteralString = 'drop policy "Only the database sends changes" on realtime.messages'


def plant(emulator: Emulator, *statements: LiteralString) -> None:
    with psycopg.connect(emulator.dsn(cluster.SUPERUSER), autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement)


def forged(row: int, tx: int = 9_000_000_000) -> list[Frame]:
    """A deletion and a version that would silence the row for ever."""
    record = {"id": row, "entity": "forged", "version": 2_000_000_000, "tx": tx}
    key = {"schema": "public", "table": "hotspots"}
    return [
        {**key, "operation": "UPDATE", "record": record, "old_record": None},
        {
            **key,
            "operation": "DELETE",
            "record": None,
            "old_record": {"id": row, "version": 1_000_000_000, "tx": tx},
        },
    ]


async def post(emulator: Emulator, changes: list[Frame], *, by_the_secret_key: bool = False) -> int:
    """Sends the forged changes by HTTP, as a signed-in user or with the secret key."""
    message = {
        "topic": "relay:changes",
        "event": "changes",
        "payload": {"changes": changes},
        "private": True,
    }
    headers = {
        "apikey": emulator.keys.publishable,
        "Authorization": f"Bearer {token_of(emulator)}",
    }
    if by_the_secret_key:
        headers = {"apikey": emulator.keys.secret}
    async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=SECONDS) as client:
        url = f"{emulator.url}/realtime/v1/api/broadcast"
        return (await client.post(url, json={"messages": [message]})).status_code


async def send(emulator: Emulator, row: int) -> None:
    """Sends the forged changes over a WebSocket of the official client, as a signed-in user."""
    client = AsyncRealtimeClient(
        f"{emulator.url}/realtime/v1", emulator.keys.publishable, auto_reconnect=False
    )
    try:
        await client.set_auth(token_of(emulator))
        joined = asyncio.Event()
        config: RealtimeChannelOptions = {
            "config": {"broadcast": None, "presence": None, "private": True}
        }
        channel = client.channel("relay:changes", config)
        await channel.subscribe(lambda state, error: joined.set())
        await joined.wait()
        await channel.send_broadcast("changes", {"changes": forged(row)})
    finally:
        await client.close()


@pytest.mark.parametrize("way", ["HTTP", "WebSocket"])
async def test_a_change_that_a_user_made_up_reaches_nobody(
    emulator: Emulator, tables: Tables, way: str
) -> None:
    plant(emulator, *EXAMPLE)
    row = tables.hotspot()
    async with live_relay(emulator) as relay, asyncio.timeout(SECONDS):
        assert (await relay.health())["live"]["lane"] == "broadcast"
        async with relay.follow("hotspots") as client:
            await greeted(client)
            if way == "HTTP":
                assert (
                    await post(emulator, forged(row)) == 202
                )  # Realtime leaves it out without a word
            else:
                await send(emulator, row)
            tables.execute("update hotspots set percent_above = 77 where id = %s", row)
            genuine = await change(client)
    assert (genuine["type"], genuine["version"]) == ("UPDATE", 2)
    assert genuine["record"]["percent_above"] == 77
    assert "forged" not in json.dumps(genuine)


async def test_an_open_topic_is_not_listened_to_and_the_log_says_why(
    emulator: Emulator, tables: Tables, caplog: pytest.LogCaptureFixture
) -> None:
    plant(emulator, *EXAMPLE, OPEN)
    row = tables.hotspot()
    with caplog.at_level(logging.WARNING):
        async with live_relay(emulator) as relay, asyncio.timeout(SECONDS):
            assert (await relay.health())["live"]["lane"] == "postgres_changes"
            async with relay.follow("hotspots") as client:
                await greeted(client)
                await post(emulator, forged(row))
                tables.execute("update hotspots set percent_above = 77 where id = %s", row)
                assert (await change(client))["version"] == 2
    assert "holders of authenticated may send to the topic relay:changes" in caplog.text


async def test_a_topic_that_is_opened_later_is_left(
    emulator: Emulator, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "POLICY_SECONDS", 0.1)
    async with live_relay(emulator) as relay, asyncio.timeout(SECONDS):
        assert (await relay.health())["live"]["lane"] == "broadcast"
        plant(emulator, *EXAMPLE, OPEN)
        await relay.until(lambda health: health["live"]["lane"] == "postgres_changes")


async def test_a_relay_on_the_fast_lane_needs_no_published_table(
    emulator: Emulator, tables: Tables
) -> None:
    plant(
        emulator,
        "alter publication supabase_realtime drop table"
        " public.hotspots, public.alerts, public.recommendations",
    )
    async with (
        live_relay(emulator, RELAY_LIVE="broadcast") as relay,
        asyncio.timeout(SECONDS),
        relay.follow("hotspots") as client,
    ):
        await greeted(client)
        row = tables.hotspot()
        assert (await change(client))["record"]["id"] == row


async def test_the_relay_warns_of_rights_that_its_role_inherits(
    emulator: Emulator, tables: Tables, caplog: pytest.LogCaptureFixture
) -> None:
    plant(
        emulator,
        "grant anon to relay_reader",
        "create table public.todos (id int)",
        "grant select on public.todos to anon",
    )
    variables = {
        "SUPABASE_SECRET_KEY": "",
        "RELAY_SUPABASE_KEY": emulator.keys.mint("relay_reader"),
        "RELAY_AUTH": "required",
    }
    with caplog.at_level(logging.WARNING):
        async with live_relay(emulator, **variables):
            pass
    assert "rights that it does not need" in caplog.text


@pytest.mark.parametrize("tx", ["of the future", "of the past"])
@pytest.mark.parametrize("known", [True, False], ids=["a row", "a row that never was"])
async def test_what_the_secret_key_forged_is_corrected_by_what_the_database_has(
    emulator: Emulator, tables: Tables, tx: str, known: bool
) -> None:
    row = tables.hotspot()
    forged_id = row if known else row + 1000
    async with (
        live_relay(emulator) as relay,
        asyncio.timeout(SECONDS),
        relay.follow("hotspots") as client,
    ):
        await greeted(client)
        here = int(tables.execute("select pg_current_xact_id()::text"))
        made_up = forged(forged_id, 9_000_000_000 if tx == "of the future" else here + 1)[:1]
        assert await post(emulator, made_up, by_the_secret_key=True) == 202
        assert (await change(client))["version"] == 2_000_000_000
        for _ in range(4):  # transactions after it, so that it is one of the past
            tables.execute("select pg_current_xact_id()")
        corrected = await change(client)
        assert corrected == {"type": "reset", "reason": "epoch"}
        state = await greeted(client)
        held = {each["record"]["id"]: each["version"] for each in state if "record" in each}
        assert held == {row: 1}
        tables.execute("update hotspots set percent_above = 77 where id = %s", row)
        assert (await change(client))["version"] == 2
