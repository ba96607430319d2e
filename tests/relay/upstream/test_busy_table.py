"""A table that somebody has locked holds back its own changes, and no others."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from websockets.asyncio.client import ClientConnection

from emulator.running import Emulator
from tests.relay.clients import Tables, change, frame, greeted, live_relay, relay_of
from tests.relay.test_faults import NOWHERE

WITHOUT_LANE = {"RELAY_REALTIME_URL": f"{NOWHERE}/realtime/v1"}


@contextmanager
def locked(emulator: Emulator, table: str) -> Iterator[psycopg.Connection[Any]]:
    """Held by a transaction that may write into it, and is committed at the end."""
    with psycopg.connect(emulator.dsn("postgres")) as owner:
        owner.execute(f"lock table {table} in access exclusive mode".encode())
        yield owner


async def cursor_after(events: ClientConnection, cursor: str) -> str:
    """The next cursor that is another one."""
    while (message := await frame(events))["type"] != "cursor" or message["cursor"] == cursor:
        pass
    found: str = message["cursor"]
    return found


async def test_the_changes_of_the_other_tables_arrive(emulator: Emulator, tables: Tables) -> None:
    async with (
        relay_of(emulator, **WITHOUT_LANE) as relay,
        relay.follow("hotspots") as hotspots,
        relay.follow("alerts") as alerts,
    ):
        await greeted(hotspots)
        await greeted(alerts)
        before = tables.hotspot()
        assert (await change(hotspots))["record"]["id"] == before
        with locked(emulator, "alerts") as owner:
            owner.execute(
                "insert into alerts (hotspot_id, level, message) values (%s, 'warn', '')", [before]
            )
            began = time.monotonic()
            ids = []
            while time.monotonic() - began < 4:
                ids.append(tables.hotspot())
                assert (await change(hotspots))["record"]["id"] == ids[-1]
            health = await relay.until(lambda health: len(health["reasons"]) == 2)
            assert "table alerts is locked for " in health["reasons"][1]
            health = await relay.until(lambda health: health["ready"])  # a start takes its time
            assert health["upstream"] == "degraded"
            lags = {name: of["lag_seconds"] for name, of in health["endpoints"].items()}
            assert lags["alerts"] > lags["hotspots"] + 1
        assert (await change(alerts))["type"] == "INSERT"
        await relay.until(lambda health: len(health["reasons"]) == 1)
        ids.append(tables.hotspot())
        assert (await change(hotspots))["record"]["id"] == ids[-1]


async def test_clients_of_the_others_are_given_cursors_and_go_on_elsewhere(
    emulator: Emulator, tables: Tables
) -> None:
    same = WITHOUT_LANE | {"RELAY_CURSOR_KEY": "the same for both"}
    async with relay_of(emulator, **same) as relay, relay_of(emulator, **same) as other:
        async with relay.follow("hotspots") as hotspots, relay.follow("alerts") as alerts:
            first = (await greeted(hotspots))[-1]["cursor"]
            held = (await greeted(alerts))[-1]["cursor"]
            with locked(emulator, "alerts") as owner:
                hotspot = tables.hotspot()
                owner.execute(
                    "insert into alerts (hotspot_id, level, message) values (%s, 'warn', '')",
                    [hotspot],
                )
                newer = await cursor_after(hotspots, first)
                async with other.follow(f"hotspots?cursor={newer}") as again:
                    hello, *missed = await greeted(again)
                    assert (hello["resumed"], missed[-1]["type"]) == (True, "synced")
        # The alert is committed by now, after the newest cursor of the hotspots was taken.
        async with other.follow(f"alerts?cursor={held}") as again:
            hello, *missed, _ = await greeted(again)
            assert hello["resumed"]
            if not missed:
                missed = [await change(again)]
            assert [each["record"]["hotspot_id"] for each in missed] == [hotspot]


async def test_who_comes_to_another_endpoint_does_not_wait(
    emulator: Emulator, tables: Tables
) -> None:
    hotspot = tables.hotspot()
    async with live_relay(emulator) as relay:
        with locked(emulator, "alerts"):
            await relay.until(lambda health: health["endpoints"]["alerts"]["lag_seconds"] > 6)
            waiting = [relay.follow(f"alerts?last={number}") for number in range(8)]
            async with asyncio.timeout(60):
                opened = [await each.__aenter__() for each in waiting]
                async with relay.follow("hotspots") as events:
                    _, row, _ = await greeted(events)
                    assert row["record"]["id"] == hotspot
        for events in opened:
            assert (await greeted(events))[-1]["type"] == "synced"
            await events.close()


@pytest.mark.parametrize("lane", ["broadcast", "postgres_changes"])
async def test_what_comes_live_meanwhile_comes_once(
    emulator: Emulator, tables: Tables, lane: str
) -> None:
    async with (
        live_relay(emulator, RELAY_LIVE=lane) as relay,
        relay.follow("hotspots") as events,
    ):
        await greeted(events)
        ids = []
        with locked(emulator, "recommendations"):
            for _ in range(40):
                ids.append(tables.hotspot())
                await asyncio.sleep(0.1)
        ids.append(tables.hotspot())
        seen = []
        while ids[-1] not in seen:
            seen.append((await change(events))["record"]["id"])
        await events.send(json.dumps({"type": "ping"}))
        while (message := await frame(events))["type"] != "pong":
            assert message["type"] in ("status", "cursor")
    assert sorted(seen) == ids
