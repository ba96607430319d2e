"""What clients get while one source, or both, are away."""

import asyncio
import json
import logging
import socket
import time
from itertools import groupby

import psycopg
import pytest
from psycopg import sql
from websockets.asyncio.client import ClientConnection

from emulator.running import Emulator
from tests.relay.clients import (
    SECONDS,
    Frame,
    Running,
    Tables,
    change,
    frame,
    greeted,
    live_relay,
    relay_of,
)
from tests.relay.proxy import proxy_to

NOWHERE = "http://127.0.0.1:9"


async def test_without_a_live_lane_rows_and_deletions_arrive_by_catch_up(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        relay_of(emulator, RELAY_REALTIME_URL=f"{NOWHERE}/realtime/v1") as relay,
        relay.follow("hotspots") as events,
    ):
        await greeted(events)
        hotspot = tables.hotspot()
        first = await change(events)
        assert (first["type"], first["record"]["id"]) == ("INSERT", hotspot)
        tables.execute("delete from hotspots where id = %s", hotspot)
        assert (await change(events))["type"] == "DELETE"
        health = await relay.health()
        assert health["live"]["proven"] is False
        assert any("live lane" in reason for reason in health["reasons"])


async def test_rows_committed_while_realtime_is_away_arrive_once(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        proxy_to(emulator.url) as proxy,
        live_relay(emulator, RELAY_REALTIME_URL=f"{proxy.url}/realtime/v1") as relay,
        relay.follow("hotspots") as events,
    ):
        await greeted(events)
        ids = [tables.hotspot()]
        assert (await change(events))["record"]["id"] == ids[0]
        proxy.cut()
        ids += [tables.hotspot() for _ in range(5)]
        seen = [await frame(events)]
        while {"type": "status", "upstream": "degraded"} not in seen:
            seen.append(await frame(events))
        proxy.open = True
        await relay.until(lambda health: health["upstream"] == "live")
        ids.append(tables.hotspot())
        while rows_of(seen)[-1:] != ids[-1:]:
            seen.append(await frame(events))
        assert rows_of(seen) == ids[1:]


def rows_of(frames: list[Frame]) -> list[int]:
    return [each["record"]["id"] for each in frames if "record" in each]


async def test_rest_that_is_down_at_start_is_said_and_waited_for(
    emulator: Emulator, tables: Tables
) -> None:
    hotspot = tables.hotspot()
    async with proxy_to(emulator.url) as proxy:
        proxy.open = False
        async with (
            relay_of(emulator, SUPABASE_URL=proxy.url) as relay,
            relay.follow("hotspots") as events,
        ):
            health = await relay.until(lambda health: health["upstream"] == "down")
            assert health["ready"] is False
            assert any("catch-up" in reason for reason in health["reasons"])
            assert (await frame(events))["type"] == "hello"
            while (told := await frame(events)) != {"type": "status", "upstream": "down"}:
                assert told["type"] == "status"
            proxy.open = True
            row, synced = await greeted(events)
            assert row["record"]["id"] == hotspot
            assert synced["complete"] is True
            await relay.until(lambda health: health["ready"])


async def test_live_rows_flow_while_rest_is_down(emulator: Emulator, tables: Tables) -> None:
    realtime = f"{emulator.url}/realtime/v1"
    async with (
        proxy_to(emulator.url) as proxy,
        live_relay(emulator, SUPABASE_URL=proxy.url, RELAY_REALTIME_URL=realtime) as relay,
        relay.follow("hotspots") as events,
    ):
        await greeted(events)
        proxy.cut()
        hotspot = tables.hotspot()
        assert (await change(events))["record"]["id"] == hotspot


async def test_with_realtime_down_a_change_takes_two_seconds_at_most(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        proxy_to(emulator.url) as proxy,
        live_relay(emulator, RELAY_REALTIME_URL=f"{proxy.url}/realtime/v1") as relay,
        relay.follow("hotspots") as events,
    ):
        await greeted(events)
        proxy.cut()
        await relay.until(lambda health: health["upstream"] == "degraded")
        for _ in range(3):
            assert await seconds_to_arrive(tables, events) < 2


async def seconds_to_arrive(tables: Tables, events: ClientConnection) -> float:
    start = time.monotonic()
    hotspot = tables.hotspot()
    while (await change(events))["record"]["id"] != hotspot:
        pass
    return time.monotonic() - start


@pytest.mark.parametrize("lane", ["broadcast", "postgres_changes"])
async def test_realtime_that_withholds_everything_is_found_out(
    emulator: Emulator, tables: Tables, lane: str
) -> None:
    async with (
        live_relay(emulator, RELAY_LIVE=lane) as relay,
        relay.follow("hotspots") as events,
    ):
        await greeted(events)
        with emulator.faults.during("withhold") as withheld:
            assert await seconds_to_arrive(tables, events) < 6
            for _ in range(3):
                assert await seconds_to_arrive(tables, events) < 2
            assert withheld.hits >= 4
            health = await relay.until(lambda health: health["live"]["healed"] > 0)
            assert health["live"]["proven"] is False
            assert any("lost changes" in reason for reason in health["reasons"])
            await relay.until(lambda health: health["live"]["attempts"] > 1)
        await relay.until(lambda health: health["upstream"] == "live")


async def test_a_lane_that_goes_on_to_lose_changes_is_told_once(
    emulator: Emulator, tables: Tables, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows of one table are lost, those of another prove the lane again and again."""
    caplog.set_level(logging.INFO)
    async with (
        live_relay(emulator, RELAY_LIVE="postgres_changes") as relay,
        relay.follow("alerts") as events,
    ):
        await greeted(events)
        told: list[str] = []
        reading = asyncio.create_task(read_states(events, told))
        healed = 0
        with emulator.faults.during("withhold", table="hotspots"):
            while healed < 60:  # ten a second, five seconds after they came
                await asyncio.to_thread(tables.alert, await asyncio.to_thread(tables.hotspot))
                await asyncio.sleep(0.1)
                healed = (await relay.health())["live"]["healed"]
        reading.cancel()
    # A busy machine may fall behind in catching up, which is `down` for a while: not of the lane.
    lane = [state for state, _ in groupby(state for state in told if state != "down")]
    assert len(lane) <= 3, told
    assert lane[-1] == "degraded"
    said = [record.message for record in caplog.records if "lost changes" in record.message]
    assert len(said) + caplog.text.count("live lane loses changes") <= 3, caplog.text


async def test_a_mass_deletion_is_caught_up_with_and_no_failure(
    emulator: Emulator, tables: Tables
) -> None:
    """It takes longer than a catch-up may take that reads nothing."""
    without_lane = {"RELAY_REALTIME_URL": f"{NOWHERE}/realtime/v1"}
    async with relay_of(emulator, **without_lane) as relay, relay.follow("hotspots") as events:
        await greeted(events)
        await relay.until(lambda health: health["upstream"] == "degraded" and health["ready"])
        await asyncio.to_thread(
            tables.execute,
            "insert into hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
            " percent_above, severity) select 'SUP-' || n, 'supplier', 'logistics', 12, 10, 20,"
            " 'warn' from generate_series(1, 20000) n",
        )
        while (await change(events))["record"]["entity"] != "SUP-20000":
            continue
        states: list[str] = []
        watching = asyncio.create_task(watch(relay, states))
        with emulator.faults.during("rest-slow", by=0.5):
            await asyncio.to_thread(tables.execute, "delete from hotspots")
            for _ in range(20000):
                assert (await change(events))["type"] == "DELETE"
        watching.cancel()
        assert "catching_up ready" in states
        assert [state for state in states if "down" in state or "not" in state] == []


async def watch(relay: Running, states: list[str]) -> None:
    while True:
        health = await relay.health()
        ready = "ready" if health["ready"] else f"not ready: {health['reasons']}"
        states.append(f"{health['upstream']} {ready}")
        await asyncio.sleep(0.05)


async def read_states(events: ClientConnection, told: list[str]) -> None:
    while True:
        message = json.loads(await events.recv())
        if message["type"] == "status":
            told.append(message["upstream"])


@pytest.mark.parametrize("lane", ["broadcast", "postgres_changes"])
async def test_rows_that_come_twice_late_or_not_at_all_are_sent_on_once(
    emulator: Emulator, tables: Tables, lane: str
) -> None:
    quick = {"RELAY_LIVE": lane, "RELAY_CATCH_UP_SECONDS": "0.3"}
    async with live_relay(emulator, **quick) as relay, relay.follow("hotspots") as events:
        await greeted(events)
        with (
            emulator.faults.during("duplicate"),
            emulator.faults.during("delay", by=0.2),
            emulator.faults.during("withhold", count=10),
        ):
            ids = [tables.hotspot() for _ in range(30)]
            tables.execute("update hotspots set status = 'resolved'")
            tables.execute("delete from hotspots where id = %s", ids[0])
            newest: dict[int, int] = {}
            while newest != {each: 3 if each == ids[0] else 2 for each in ids}:
                event = await change(events)
                row_id = (event["record"] or event["old_record"])["id"]
                assert event["version"] > newest.get(row_id, 0)
                newest[row_id] = event["version"]
        last = tables.hotspot()
        assert (await change(events))["record"]["id"] == last


async def test_with_both_down_clients_stay_and_get_everything_afterwards(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        proxy_to(emulator.url) as proxy,
        live_relay(emulator, SUPABASE_URL=proxy.url) as relay,
        relay.follow("hotspots") as events,
    ):
        await greeted(events)
        proxy.cut()
        while (await frame(events)) != {"type": "status", "upstream": "down"}:
            pass
        ids = [tables.hotspot() for _ in range(5)]
        tables.execute("delete from hotspots where id = %s", ids[0])
        proxy.open = True
        seen = [await change(events) for _ in range(5)]
        assert sorted(each["type"] for each in seen) == ["DELETE", *["INSERT"] * 4]
        assert rows_of([each for each in seen if each["record"]]) == ids[1:]
        while (await frame(events)) != {"type": "status", "upstream": "live"}:
            pass


async def test_a_key_that_is_not_accepted_is_said(emulator: Emulator) -> None:
    async with relay_of(emulator, SUPABASE_SECRET_KEY="sb_secret_of_another_project") as relay:
        health = await relay.until(lambda health: health["authentication"] == "refused")
        assert health["ready"] is False
        assert any("does not accept the relay's key" in reason for reason in health["reasons"])


async def test_a_long_backlog_is_read_while_live_rows_flow(
    emulator: Emulator, tables: Tables
) -> None:
    realtime = f"{emulator.url}/realtime/v1"
    async with (
        proxy_to(emulator.url) as proxy,
        live_relay(
            emulator,
            SUPABASE_URL=proxy.url,
            RELAY_REALTIME_URL=realtime,
            RELAY_LIVE="postgres_changes",
        ) as relay,
        relay.follow("hotspots?entity=SUP-1", events=False) as rows,
    ):
        tables.execute("alter publication supabase_realtime drop table alerts")
        proxy.cut()
        hotspot = tables.hotspot()
        assert (await frame(rows))["id"] == hotspot
        tables.execute(
            "insert into alerts (hotspot_id, level, message)"
            " select %s, 'warn', 'text' from generate_series(1, 12000)",
            hotspot,
        )
        proxy.open = True
        await relay.until(lambda health: health["endpoints"]["alerts"]["sent"] > 0)
        tables.execute("update hotspots set severity = 'critical' where id = %s", hotspot)
        assert (await frame(rows))["severity"] == "critical"
        await relay.until(lambda health: health["endpoints"]["alerts"]["sent"] == 12_000)


async def test_a_large_value_left_out_by_realtime_is_read_again(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        live_relay(emulator, RELAY_CATCH_UP_SECONDS="60", RELAY_LIVE="postgres_changes") as relay,
        relay.follow("recommendations") as events,
    ):
        await greeted(events)
        recommendation = tables.recommendation(tables.hotspot())
        cause = "".join(chr(33 + number * 7919 % 90) for number in range(20_000))
        tables.execute("alter table recommendations alter root_cause set storage external")
        tables.execute(
            "update recommendations set root_cause = %s where id = %s", cause, recommendation
        )
        tables.execute(
            "update recommendations set status = 'approved' where id = %s", recommendation
        )
        while (last := await change(events))["version"] < 3:
            pass
        assert (last["record"]["status"], last["record"]["root_cause"]) == ("approved", cause)


async def test_a_client_that_does_not_read_delays_nobody_and_is_cut_off(
    emulator: Emulator, tables: Tables
) -> None:
    async with live_relay(emulator, RELAY_MAX_BEHIND_BYTES="200000") as relay:
        stalled = await handshaken(relay, "alerts")
        hotspot = tables.hotspot()
        async with relay.follow("alerts", events=False) as rows:
            received = 0
            for _ in range(80):
                tables.execute(
                    "insert into alerts (hotspot_id, level, message)"
                    " select %s, 'warn', repeat('x', 10000) from generate_series(1, 10)",
                    hotspot,
                )
                for _ in range(10):
                    assert (await frame(rows))["hotspot_id"] == hotspot
                    received += 1
                if (await relay.health())["clients"] == 1:
                    break
            await relay.until(lambda health: health["clients"] == 1)
            tables.alert(hotspot)
            assert (await frame(rows))["message"] == "text"
        stalled.close()


async def handshaken(relay: Running, endpoint: str) -> socket.socket:
    """A raw client of bare rows with little room that never reads."""
    host, port = relay.host.split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, (host, int(port)))
    request = (
        f"GET /ws/{endpoint} HTTP/1.1\r\nHost: {relay.host}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await loop.sock_sendall(raw, request.encode())
    assert (await loop.sock_recv(raw, 4096)).startswith(b"HTTP/1.1 101")
    return raw


async def test_an_event_client_that_fell_behind_starts_anew(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        relay_of(
            emulator,
            RELAY_MAX_BEHIND_BYTES="70000",
            RELAY_REALTIME_URL=f"{NOWHERE}/realtime/v1",  # catch-up brings many at once
        ) as relay,
        relay.follow("alerts") as events,
    ):
        await greeted(events)
        hotspot = tables.hotspot()
        tables.execute(  # more at once than the log holds
            "insert into alerts (hotspot_id, level, message, acknowledged)"
            " select %s, 'warn', repeat('x', 2000), true from generate_series(1, 300)",
            hotspot,
        )
        held: set[int] = set()
        resets = []
        while len(held) < 300:
            message = await frame(events)
            if message["type"] == "reset":
                resets.append(message["reason"])
                held.clear()
            elif "record" in message:
                held.add(message["record"]["id"])
        assert set(resets) == {"overflow"}


async def test_another_history_of_the_database_makes_event_clients_start_anew(
    emulator: Emulator, tables: Tables
) -> None:
    hotspot = tables.hotspot()
    async with (
        live_relay(emulator, RELAY_CATCH_UP_SECONDS="0.2") as relay,
        relay.follow("hotspots") as events,
    ):
        await greeted(events)
        tables.execute(
            "create or replace function relay_epoch() returns text language sql stable"
            " set search_path = '' as $$ select 'another' $$"
        )
        while (told := await frame(events))["type"] != "reset":
            assert told["type"] in ("cursor", "status")
        assert told["reason"] == "epoch"
        row, synced = await greeted(events)
        assert row["record"]["id"] == hotspot
        assert synced["complete"] is True


async def test_nothing_is_read_for_clients_that_have_left(emulator: Emulator) -> None:
    async with (
        proxy_to(emulator.url) as proxy,
        live_relay(emulator, SUPABASE_URL=proxy.url) as relay,
    ):
        proxy.cut()
        clients = [await relay.follow(f"hotspots?entity=E{number}") for number in range(20)]
        for client in clients:
            assert (await frame(client))["type"] == "hello"
        states = relay.sockets()._shared.states
        assert len(states._reads) == len(clients)
        for client in clients:
            await client.close()
        async with asyncio.timeout(SECONDS):
            while len(states._reads):  # noqa: ASYNC110 of the relay
                await asyncio.sleep(0.02)


async def test_a_database_that_became_read_only_is_said_with_where_to_read_on(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Hosted projects do so before their disk is full."""
    async with live_relay(emulator) as relay:
        with psycopg.connect(emulator.dsn("postgres"), autocommit=True) as owner:
            name = sql.Identifier(owner.info.dbname)
            owner.execute(
                sql.SQL("alter database {} set default_transaction_read_only = on").format(name)
            )
            owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where usename = 'authenticator' and datname = current_database()"
            )
        health = await relay.until(
            lambda health: any("heartbeat is not written" in each for each in health["reasons"])
        )
    assert any("see The disk is full in docs/operate.md" in each for each in health["reasons"])
    assert "heartbeat is not written, retrying error=" in caplog.text
