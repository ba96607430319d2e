"""One user who resumes from many places at once, and takes nothing: memory stays where it is."""

import asyncio
import contextlib
import json
import time
import tracemalloc
from typing import Any

import pytest
from websockets.frames import Opcode

from emulator.running import Emulator
from relay.resume import backfill, resume
from relay.resume.backfill import BYTES_A_ROW
from relay.resume.cursor import Cursor, Signer, bound
from relay.stream.change import ALERTS, HOTSPOTS, Endpoint
from relay.stream.filters import Filter
from relay.stream.snapshot import Snapshot
from relay.upstream.rest import Page, Rest
from tests.relay.access.admission import token_of
from tests.relay.clients import Running, Tables, greeted, live_relay
from tests.relay.raw import HEADERS, head, speaking

KEY = "a key of the test"
ROWS = 8_000
CONNECTIONS = 24
SECONDS = 120.0
MEBIBYTE = 1024 * 1024
OTHER_RELAY = "00000000-0000-4000-8000-000000000001"


def cursor(xmax: int, epoch: str, endpoint: Endpoint = HOTSPOTS) -> str:
    """One that another relay of the same key handed out."""
    return Signer(KEY).sign(
        Cursor(
            snapshot=Snapshot(xmax, xmax),
            epoch=epoch,
            instance=OTHER_RELAY,
            beat=7,
            endpoint=endpoint.name,
            filter=bound(Filter(endpoint)),
            issued=int(time.time()),
        )
    )


async def resumed(relay: Running, count: int) -> None:
    """Waits until so many clients have been found what they missed."""
    while relay.sockets()._shared.resumes.kinds["rest"] < count:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_replays_of_many_cursors_share_what_they_hold(
    emulator: Emulator, tables: Tables
) -> None:
    """A copy for each would be about 5 MiB."""
    tables.execute(f"select relay_heartbeat('{OTHER_RELAY}', 7)")
    tables.execute(
        "insert into hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
        " percent_above, severity) select 'S' || n, 'supplier', 'logistics', 2, 1, 100, 'warn'"
        " from generate_series(1, %s) n",
        ROWS,
    )
    epoch = tables.execute("select relay_epoch()")
    oldest = tables.execute("select min(tx) from hotspots")
    variables = {"RELAY_AUTH": "required", "RELAY_CURSOR_KEY": KEY}
    async with (
        asyncio.timeout(SECONDS),
        live_relay(emulator, **variables) as relay,
        contextlib.AsyncExitStack() as opened,
    ):
        headers = HEADERS | {
            "Sec-WebSocket-Protocol": "relay.v1",
            "Authorization": f"Bearer {token_of(emulator)}",
        }
        try:
            for number in range(CONNECTIONS):
                presented = cursor(oldest - CONNECTIONS + number, epoch)
                request = head(f"/ws/hotspots?cursor={presented}", headers)
                await opened.enter_async_context(speaking(relay.host, request, room=4096))
                await resumed(relay, number + 1)
                if number == 0:  # one read serves all of them
                    tracemalloc.start()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held < resume.MOST_BYTES + CONNECTIONS * MEBIBYTE / 4


async def test_reads_of_ever_older_places_keep_to_one_budget(
    emulator: Emulator, tables: Tables
) -> None:
    """Who is in the middle of one that has to make room starts anew, and gets everything."""
    tables.execute(f"select relay_heartbeat('{OTHER_RELAY}', 7)")
    tables.execute(
        "insert into alerts (hotspot_id, level, message) select %s, 'warn',"
        " (select string_agg(md5((n * 1000 + m)::text), '') from generate_series(1, 300) m)"
        " from generate_series(1, 500) n",
        tables.hotspot(),
    )
    epoch = tables.execute("select relay_epoch()")
    oldest = tables.execute("select min(tx) from alerts")
    rows = 20_000  # their budget holds one read of the alerts, not two
    variables = {"RELAY_CURSOR_KEY": KEY, "RELAY_RESUME_ROWS": str(rows)}
    async with (
        asyncio.timeout(SECONDS),
        live_relay(emulator, **variables) as relay,
        contextlib.AsyncExitStack() as opened,
    ):
        reads = relay.sockets()._shared.resumes._missed
        clients = []
        for number in range(3):
            presented = cursor(oldest - number, epoch, ALERTS)
            request = head(
                f"/ws/alerts?cursor={presented}",
                HEADERS | {"Sec-WebSocket-Protocol": "relay.v1"},
            )
            clients.append(
                await opened.enter_async_context(speaking(relay.host, request, room=4096))
            )
            await resumed(relay, number + 1)
            assert 0 < reads.size <= rows * BYTES_A_ROW
        for client, starts_anew in zip(clients, (True, True, False), strict=True):
            told = [json.loads(await client.until(Opcode.TEXT))]
            while told[-1]["type"] != "synced":
                told.append(json.loads(await client.until(Opcode.TEXT)))
            resets = [n for n, each in enumerate(told) if each["type"] == "reset"]
            assert [told[n]["reason"] for n in resets] == ["overflow"] * starts_anew
            held = told[resets[-1] :] if resets else told
            assert sorted(each["record"]["id"] for each in held if "record" in each) == list(
                range(1, 501)
            )


async def known_to(emulator: Emulator, tables: Tables, rows: int) -> tuple[str, int, int]:
    """The epoch, a place from before so many hotspots, and one from after all but the last."""
    tables.execute(f"select relay_heartbeat('{OTHER_RELAY}', 7)")
    old = tables.execute("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    for _ in range(rows):
        tables.hotspot()
    new = tables.execute("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    tables.hotspot()
    return tables.execute("select relay_epoch()"), old, new


async def test_who_was_away_for_long_does_not_make_others_wait(
    emulator: Emulator, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by a read that is under way, nor by one that begins at the same time."""
    monkeypatch.setattr(backfill, "NEAR_TRANSACTIONS", 20)
    epoch, old, new = await known_to(emulator, tables, 40)
    go_on, page = asyncio.Event(), Rest.changes_since

    async def slow(rest: Rest, since: Snapshot | None, **given: Any) -> Page:
        if since is not None and since.xmax <= old:
            await go_on.wait()
        return await page(rest, since, **given)

    monkeypatch.setattr(Rest, "changes_since", slow)
    async with (
        asyncio.timeout(SECONDS),
        live_relay(emulator, RELAY_CURSOR_KEY=KEY) as relay,
    ):
        first = relay.follow(f"hotspots?cursor={cursor(old, epoch)}")
        second = relay.follow(f"hotspots?cursor={cursor(old - 1, epoch)}")
        async with first as under_way:
            for _ in range(2):
                async with second, relay.follow(f"hotspots?cursor={cursor(new, epoch)}") as near:
                    told = await greeted(near)
                    assert told[0]["resumed"] is True
                    assert len([each for each in told if "record" in each]) == 1
            go_on.set()
            assert len([each for each in await greeted(under_way) if "record" in each]) == 41


async def test_what_was_too_much_is_not_read_again(emulator: Emulator, tables: Tables) -> None:
    epoch, old, new = await known_to(emulator, tables, 1001)
    variables = {"RELAY_CURSOR_KEY": KEY, "RELAY_RESUME_ROWS": "1000"}
    async with (
        asyncio.timeout(SECONDS),
        live_relay(emulator, **variables) as relay,
    ):
        reads = relay.sockets()._shared.resumes._missed
        counts = []
        for xmax in (old, old, old - 1):
            async with relay.follow(f"hotspots?last=0&cursor={cursor(xmax, epoch)}") as client:
                told = await greeted(client)
                assert (told[0]["resumed"], told[0]["reason"]) == (False, "expired")
                counts.append(reads.count)
        assert counts[0] > 0
        assert len(set(counts)) == 1
        async with relay.follow(f"hotspots?cursor={cursor(new, epoch)}") as client:
            assert (await greeted(client))[0]["resumed"] is True
