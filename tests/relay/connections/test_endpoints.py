"""Rows written by SQL, as they reach clients of the three endpoints."""

import asyncio
from collections import Counter

import pytest
from websockets.exceptions import InvalidStatus

from emulator.running import Emulator
from relay.close_codes import CloseCode
from tests.relay.clients import Tables, change, frame, greeted, live_relay
from tests.relay.proxy import proxy_to

STAMPS = {"version", "tx", "changed_at"}

pytestmark = pytest.mark.usefixtures("each_server")


async def test_a_row_arrives_on_its_endpoint_in_both_formats(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        live_relay(emulator) as relay,
        relay.follow("hotspots") as hotspot_events,
        relay.follow("hotspots", events=False) as hotspot_rows,
        relay.follow("alerts", events=False) as alert_rows,
        relay.follow("recommendations") as recommendation_events,
    ):
        hello, synced = await greeted(hotspot_events)
        assert (hello["resumed"], hello["reason"]) == (False, "no_cursor")
        assert synced["complete"] is True
        await greeted(recommendation_events)
        hotspot = tables.hotspot("critical")
        alert = tables.alert(hotspot, "critical")
        recommendation = tables.recommendation(hotspot)
        row = await frame(hotspot_rows)
        assert row == {
            "id": hotspot,
            "entity": "SUP-1",
            "entity_type": "supplier",
            "event_type": "logistics",
            "predicted_co2": 12.5,
            "baseline_co2": 10,
            "percent_above": 25,
            "severity": "critical",
            "status": "active",
            "event_id": None,
            "created_at": row["created_at"],
            "resolved_at": None,
            "phase": "firing",
            "series": "event",
            "rule": "spike",
            "excess_kg": 0,
            "reason": "",
            "occurred_at": row["occurred_at"],
            "last_seen_at": row["last_seen_at"],
            "drivers": [],
            "announced": True,
            "resolution": None,
            "acknowledged_at": None,
            "held": False,
            "peak_severity": "info",
            "previous_id": None,
        }
        event = await change(hotspot_events)
        assert (event["type"], event["record"], event["version"]) == ("INSERT", row, 1)
        assert (await frame(alert_rows))["id"] == alert
        advice = (await change(recommendation_events))["record"]
        assert (advice["id"], advice["status"]) == (recommendation, "pending")
        assert not STAMPS & (row.keys() | advice.keys())


async def test_updates_and_deletions_follow(emulator: Emulator, tables: Tables) -> None:
    async with (
        live_relay(emulator) as relay,
        relay.follow("hotspots") as events,
        relay.follow("hotspots", events=False) as rows,
    ):
        await greeted(events)
        hotspot = tables.hotspot()
        assert (await frame(rows))["status"] == "active"
        tables.execute("update hotspots set status = 'resolved' where id = %s", hotspot)
        assert (await frame(rows))["status"] == "resolved"
        tables.execute("delete from hotspots where id = %s", hotspot)
        assert await frame(rows) == {"id": hotspot, "deleted": True}
        seen = [await change(events) for _ in range(3)]
        assert [(event["type"], event["version"]) for event in seen] == [
            ("INSERT", 1),
            ("UPDATE", 2),
            ("DELETE", 3),
        ]
        assert [event["old_record"] for event in seen] == [None, {"id": hotspot}, {"id": hotspot}]


async def test_no_version_comes_twice_when_both_sources_bring_it(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        live_relay(emulator, RELAY_CATCH_UP_SECONDS="0.1") as relay,
        relay.follow("hotspots") as events,
        relay.follow("hotspots", events=False) as rows,
    ):
        await greeted(events)
        ids = [tables.hotspot() for _ in range(60)]
        tables.execute("update hotspots set status = 'resolved'")
        tables.execute("delete from hotspots where id = %s", ids[-1])
        seen: Counter[tuple[int, int]] = Counter()
        bare: Counter[tuple[int, str]] = Counter()
        last = None
        while last != {"id": ids[-1], "deleted": True}:
            last = await frame(rows)
            bare[last["id"], last.get("status", "deleted")] += 1
        while (event := await change(events))["type"] != "DELETE":
            seen[event["record"]["id"], event["version"]] += 1
        assert {version for _, version in seen} <= {1, 2}
        assert {row_id for row_id, version in seen if version == 2} >= set(ids[:-1])
        assert set(seen.values()) | set(bare.values()) == {1}


async def test_a_client_gets_what_is_there_and_then_what_changes(
    emulator: Emulator, tables: Tables
) -> None:
    first, second, third = (tables.hotspot() for _ in range(3))
    tables.execute("update hotspots set status = 'resolved' where id = %s", second)
    async with live_relay(emulator) as relay:
        async with relay.follow("hotspots") as events:
            _, *rows, synced = await greeted(events)
            assert [(row["type"], row["record"]["id"]) for row in rows] == [
                ("INSERT", first),
                ("UPDATE", second),
                ("INSERT", third),
            ]
            assert synced["complete"] is True
            assert synced["cursor"]
        async with relay.follow("hotspots?last=1") as events:
            _, *rows, synced = await greeted(events)
            assert [row["record"]["id"] for row in rows] == [third]
            assert synced["complete"] is False
        async with relay.follow("hotspots?last=0") as events:
            _, synced = await greeted(events)
            assert synced["complete"] is False
        async with relay.follow("hotspots?last=3") as events:
            assert (await greeted(events))[-1]["complete"] is True
        async with relay.follow("hotspots?last=2", events=False) as bare:
            assert [(await frame(bare))["id"] for _ in range(2)] == [second, third]


@pytest.mark.parametrize("filter", ["", "&severity=warn"])
async def test_last_is_the_newest_rows_as_they_are_when_a_client_comes(
    emulator: Emulator, tables: Tables, filter: str
) -> None:
    """Also when the state was read long ago, and old rows have changed often since."""
    hotspot = tables.hotspot()
    async with live_relay(emulator) as relay, relay.follow("alerts") as watching:
        await greeted(watching)
        oldest = tables.alert(hotspot)
        async with relay.follow(f"alerts?last=1{filter}", events=False) as plain:
            assert (await frame(plain))["id"] == oldest
        newest = [tables.alert(hotspot) for _ in range(5)][-1]
        for _ in range(40):
            tables.execute(
                "update alerts set acknowledged = not acknowledged where id = %s", oldest
            )
        while (event := await change(watching))["version"] != 41:
            pass
        assert event["record"]["id"] == oldest
        async with (
            relay.follow(f"alerts?last=1{filter}", events=False) as plain,
            relay.follow(f"alerts?last=0{filter}", events=False) as nothing,
            relay.follow(f"alerts?last=1{filter}") as events,
        ):
            assert (await frame(plain))["id"] == newest
            _, row, synced = await greeted(events)
            assert (row["record"]["id"], row["version"], synced["complete"]) == (newest, 1, False)
            next_one = tables.alert(hotspot)
            assert (await frame(plain))["id"] == next_one
            assert (await frame(nothing))["id"] == next_one
            assert (await change(events))["record"]["id"] == next_one
            tables.execute("delete from alerts where id = %s", next_one)
            assert await frame(plain) == {"id": next_one, "deleted": True}
            assert (await change(events))["type"] == "DELETE"
        async with relay.follow(f"alerts?last=1{filter}", events=False) as plain:
            assert (await frame(plain))["id"] == newest


async def test_a_filter_lets_through_what_matches_and_tells_what_leaves(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        live_relay(emulator) as relay,
        relay.follow("hotspots?severity=warn,critical&status=active") as events,
        relay.follow("hotspots?severity=critical", events=False) as rows,
    ):
        await greeted(events)
        tables.hotspot("info")
        warn, critical = tables.hotspot("warn"), tables.hotspot("critical")
        tables.execute("update hotspots set status = 'resolved' where id = %s", warn)
        seen = [await change(events) for _ in range(3)]
        assert [event["record"]["id"] for event in seen[:2]] == [warn, critical]
        assert {key: seen[2][key] for key in ("type", "table", "id", "version")} == {
            "type": "LEAVE",
            "table": "hotspots",
            "id": warn,
            "version": 2,
        }
        assert (await frame(rows))["id"] == critical


async def test_a_row_leaves_whatever_column_was_corrected(
    emulator: Emulator, tables: Tables
) -> None:
    hotspot = tables.hotspot()
    alert = tables.alert(hotspot, "critical")
    entity = tables.execute("select entity from hotspots where id = %s", hotspot)
    async with live_relay(emulator) as relay:
        for path, correction, row in (
            (f"hotspots?entity={entity}", "update hotspots set entity = 'x'", hotspot),
            ("alerts?severity=critical", "update alerts set level = 'warn'", alert),
        ):
            async with relay.follow(path) as events:
                _, held, synced = await greeted(events)
                assert held["record"]["id"] == row
                tables.execute(f"{correction} where id = %s", row)
                left = await change(events)
                assert (left["type"], left["id"]) == ("LEAVE", row)
            async with relay.follow(f"{path}&cursor={synced['cursor']}") as back:
                _, left, _ = await greeted(back)
                assert (left["type"], left["id"]) == ("LEAVE", row)


async def test_the_severity_of_alerts_is_their_level(emulator: Emulator, tables: Tables) -> None:
    hotspot = tables.hotspot()
    wanted = tables.alert(hotspot, "critical")
    tables.alert(hotspot, "info")
    async with live_relay(emulator) as relay, relay.follow("alerts?severity=critical") as events:
        _, row, _ = await greeted(events)
        assert row["record"]["id"] == wanted


async def test_a_hundred_clients_share_the_reads(emulator: Emulator, tables: Tables) -> None:
    ids = [tables.hotspot() for _ in range(20)]
    async with (
        proxy_to(emulator.url) as proxy,
        live_relay(emulator, SUPABASE_URL=proxy.url) as relay,
    ):
        proxy.count_requests(b"GET /rest/v1/hotspots")
        clients = await asyncio.gather(*(relay.follow("hotspots") for _ in range(100)))
        for found in await asyncio.gather(*(greeted(client) for client in clients)):
            assert [row["record"]["id"] for row in found[1:-1]] == ids
        assert proxy.count == 2  # the rows, and a page that says there are no more
        extra = tables.hotspot()
        events = await asyncio.gather(*(change(client) for client in clients))
        assert {event["record"]["id"] for event in events} == {extra}
        await asyncio.gather(*(client.close() for client in clients))


async def test_a_bad_cursor_is_answered_by_reset_and_the_state(
    emulator: Emulator, tables: Tables
) -> None:
    hotspot = tables.hotspot()
    async with live_relay(emulator) as relay:
        async with relay.follow("hotspots") as events:
            cursor = (await greeted(events))[-1]["cursor"]
        for presented, endpoint, reason in (
            (cursor, "hotspots?severity=warn", "mismatch"),
            (cursor, "alerts", "mismatch"),
            ("garbage", "hotspots", "invalid"),
        ):
            path = f"{endpoint}{'&' if '?' in endpoint else '?'}cursor={presented}"
            async with relay.follow(path) as events:
                hello, reset, *rows, synced = await greeted(events)
                assert (hello["resumed"], hello["reason"]) == (False, reason)
                assert reset == {"type": "reset", "reason": reason}
                expected = [] if endpoint == "alerts" else [hotspot]
                assert [row["record"]["id"] for row in rows] == expected
                assert synced["cursor"]


async def test_a_new_cursor_comes_after_what_it_stands_for(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        live_relay(emulator, RELAY_CATCH_UP_SECONDS="0.2") as relay,
        relay.follow("hotspots") as events,
    ):
        first = (await greeted(events))[-1]["cursor"]
        hotspot = tables.hotspot()
        seen: list[dict[str, object]] = []
        while not seen or seen[-1]["type"] != "cursor" or hotspot not in ids_of(seen):
            seen.append(await frame(events))
        assert seen[-1]["cursor"] != first


def ids_of(frames: list[dict[str, object]]) -> list[object]:
    records = [each["record"] for each in frames if "record" in each]
    return [record["id"] for record in records if isinstance(record, dict)]


async def test_ping_is_answered_and_a_token_accepted(emulator: Emulator) -> None:
    async with live_relay(emulator) as relay, relay.follow("alerts") as events:
        await greeted(events)
        await events.send('{"type":"ping"}')
        assert await change(events) == {"type": "pong"}
        await events.send('{"type":"auth","token":"a.b.c"}')
        assert await change(events) == {"type": "authenticated", "expires_in": None}


async def test_other_messages_end_the_connection(emulator: Emulator) -> None:
    long = '{"type":"ping","more":"' + "x" * 4096 + '"}'
    async with live_relay(emulator) as relay:
        for message in ("hello", long, b"\x00", '{"type":"x"}'):
            async with relay.follow("alerts") as events:
                await greeted(events)
                await events.send(message)
                await events.wait_closed()
                assert events.close_code == CloseCode.BAD_MESSAGE


async def test_who_gets_bare_rows_may_say_what_it_likes_up_to_a_limit(
    emulator: Emulator, tables: Tables
) -> None:
    async with (
        live_relay(emulator) as relay,
        relay.follow("hotspots", events=False) as rows,
    ):
        for message in ("hello", b"\x00", "x" * 4096):
            await rows.send(message)
        hotspot = tables.hotspot()
        assert (await frame(rows))["id"] == hotspot
        await rows.send("x" * 4097)
        await rows.wait_closed()
        assert rows.close_code == CloseCode.BAD_MESSAGE


async def test_a_bad_parameter_is_told_after_the_handshake(emulator: Emulator) -> None:
    async with live_relay(emulator) as relay:
        for path, events in (
            ("hotspots?colour=red", True),
            ("hotspots?last=1001", False),
            ("hotspots?severity=high", True),
            ("recommendations?status=open", False),
            ("alerts?cursor=a.b", False),
        ):
            client = await relay.follow(path, events=events)
            await client.wait_closed()
            assert client.close_code == CloseCode.BAD_PARAMETER
            assert client.close_reason


async def test_an_unknown_subprotocol_is_refused(emulator: Emulator) -> None:
    async with live_relay(emulator) as relay:
        client = await relay.follow("hotspots", subprotocol="relay.v9")
        await client.wait_closed()
        assert client.close_code == CloseCode.BAD_PARAMETER
        assert "relay.v1" in (client.close_reason or "")


async def test_a_page_of_another_site_is_refused_before_the_upgrade(emulator: Emulator) -> None:
    async with live_relay(emulator, RELAY_ALLOWED_ORIGINS="http://localhost:*") as relay:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            with pytest.raises(InvalidStatus) as refused:
                await relay.follow("hotspots", additional_headers=headers)
            assert refused.value.response.status_code == 403
        for origin in ("http://localhost:5173", f"http://{relay.host}"):
            allowed = {"Origin": origin}
            async with relay.follow("hotspots", additional_headers=allowed) as client:
                assert (await frame(client))["type"] == "hello"
