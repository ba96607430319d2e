"""The two lanes of Realtime: which one is taken, and what comes over them."""

import logging
import time
from dataclasses import replace

import psycopg
import pytest

from emulator.database import Database
from emulator.realtime import RealtimeSettings
from emulator.running import Emulator
from emulator.settings import Settings
from relay.stream.change import ALERTS, HOTSPOTS, Incomplete, from_announced, from_row
from relay.upstream.state import LONGEST_PAUSE_SECONDS, Lane, LaneSelector
from tests.relay.clients import Tables, change, greeted, live_relay, relay_of
from tests.relay.rows import hotspot

SELDOM = {"RELAY_CATCH_UP_SECONDS": "60"}


def test_auto_takes_the_other_lane_when_one_is_not_proven() -> None:
    lanes = LaneSelector("auto")
    assert lanes.wanted(0) is Lane.BROADCAST
    lanes.unproven(Lane.BROADCAST, 10)
    assert lanes.wanted(11) is Lane.POSTGRES_CHANGES
    assert lanes.wanted(70) is Lane.BROADCAST
    lanes.unproven(Lane.BROADCAST, 70)
    assert lanes.wanted(189) is Lane.POSTGRES_CHANGES
    lanes.unproven(Lane.POSTGRES_CHANGES, 100)
    assert lanes.wanted(100) is Lane.BROADCAST


def test_broadcast_is_tried_less_and_less_often_until_it_works() -> None:
    lanes = LaneSelector("auto")
    for _ in range(10):
        lanes.unproven(Lane.BROADCAST, 0)
    assert lanes.wanted(LONGEST_PAUSE_SECONDS - 1) is Lane.POSTGRES_CHANGES
    assert lanes.wanted(LONGEST_PAUSE_SECONDS) is Lane.BROADCAST
    lanes.proven(Lane.BROADCAST)
    lanes.unproven(Lane.BROADCAST, 0)
    assert lanes.wanted(60) is Lane.BROADCAST


@pytest.mark.parametrize("lane", list(Lane))
def test_a_lane_that_was_chosen_stays(lane: Lane) -> None:
    lanes = LaneSelector(lane)
    lanes.unproven(lane, 0)
    assert lanes.wanted(1) is lane


def test_an_announced_row_or_deletion_is_a_change() -> None:
    row = hotspot(7, version=3)
    entry = {"operation": "UPDATE", "schema": "public", "table": "hotspots", "record": row}
    assert from_announced(entry) == from_row(HOTSPOTS, row)
    key = {"id": 7, "version": 4, "tx": 90}
    gone = from_announced({"operation": "DELETE", "table": "alerts", "old_record": key})
    assert (gone.endpoint, gone.id, gone.version, gone.tx, gone.record) == (ALERTS, 7, 4, 90, None)
    for bad in ({}, {"table": "x"}, {"table": "alerts"}, entry | {"record": {"id": 7}}):
        with pytest.raises(Incomplete):
            from_announced(bad)


async def test_everything_comes_over_broadcast_at_once(emulator: Emulator, tables: Tables) -> None:
    async with live_relay(emulator, **SELDOM) as relay, relay.follow("hotspots") as events:
        assert (await relay.health())["live"]["lane"] == "broadcast"
        await greeted(events)
        start = time.monotonic()
        hotspot = tables.hotspot()
        tables.execute("update hotspots set status = 'resolved' where id = %s", hotspot)
        tables.execute("delete from hotspots where id = %s", hotspot)
        seen = [await change(events) for _ in range(3)]
        assert [(each["type"], each["version"]) for each in seen] == [
            ("INSERT", 1),
            ("UPDATE", 2),
            ("DELETE", 3),
        ]
        assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("drop function realtime.send(jsonb, text, text, boolean)", "realtime.send is not there"),
        ('drop policy "Relays read changes" on realtime.messages', "the policy"),
        ("drop trigger announce_update on relay_heartbeats", "not ready within"),
    ],
)
async def test_where_broadcast_does_not_work_the_other_lane_is_taken(
    emulator: Emulator,
    tables: Tables,
    caplog: pytest.LogCaptureFixture,
    spoilt: str,
    said: str,
) -> None:
    caplog.set_level(logging.WARNING)
    with psycopg.connect(emulator.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute(spoilt.encode())
        if "heartbeats" in spoilt:
            admin.execute("drop trigger announce_insert on relay_heartbeats")
    async with relay_of(emulator, **SELDOM) as relay, relay.follow("hotspots") as events:
        health = await relay.until(lambda health: health["upstream"] == "live")
        assert health["live"]["lane"] == "postgres_changes"
        assert said in caplog.text
        await greeted(events)
        hotspot = tables.hotspot()
        assert (await change(events))["record"]["id"] == hotspot


@pytest.mark.parametrize(
    "check_ms", [50, 3_600_000], ids=["server that tells when it replicates", "older server"]
)
async def test_the_relay_that_comes_first_has_the_fast_lane_within_seconds(
    database: Database, check_ms: float
) -> None:
    """A server that starts answers the join before it replicates broadcasts."""
    cold = replace(RealtimeSettings.prompt(), cold_broadcast_ms=800, replication_check_ms=check_ms)
    with Emulator.running(database, settings=Settings(realtime=cold)) as emulator:
        async with live_relay(emulator) as relay:
            health = await relay.health()
    assert (health["live"]["lane"], health["live"]["attempts"]) == ("broadcast", 1)


async def test_a_broadcast_that_falls_silent_is_left_without_a_gap(
    emulator: Emulator, tables: Tables
) -> None:
    async with live_relay(emulator) as relay, relay.follow("hotspots") as events:
        await greeted(events)
        ids = [tables.hotspot()]
        assert (await change(events))["record"]["id"] == ids[0]
        for name in ("hotspots", "relay_heartbeats"):
            tables.execute(f"alter table {name} disable trigger announce_insert")
            tables.execute(f"alter table {name} disable trigger announce_update")
        seen: list[int] = []
        ids = [tables.hotspot()]
        while (await relay.health())["live"]["lane"] == "broadcast":
            ids.append(tables.hotspot())
            seen.append((await change(events))["record"]["id"])
        await relay.until(lambda health: health["upstream"] == "live")
        ids.append(tables.hotspot())
        while len(seen) < len(ids):
            seen.append((await change(events))["record"]["id"])
        assert seen == ids
