"""Faults that are switched on from outside, on changes and on Realtime's sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus

from emulator.faults import Faults, InvalidFault
from tests.emulator.faults.conftest import (
    TICKING,
    TICKS,
    Client,
    Ground,
    is_reset,
    until,
    writing,
)

INSERT = "insert into ticks (id) values ({})"
SEND = "select realtime.send('{{\"id\": {}}}', 'e', 't', false)"


@pytest.fixture
async def client(ground: Ground) -> Client:
    """A client that listens to both lanes, with whom all is well."""
    client = await ground.client()
    await client.join("t", TICKS)
    return client


@pytest.fixture
def faults(ground: Ground) -> Faults:
    return ground.emulator.faults


async def test_everything_is_withheld_for_a_time_and_the_socket_stays(
    ground: Ground, client: Client, faults: Faults
) -> None:
    async with writing(ground.emulator.database, TICKING) as ledger:
        await until(lambda: len(client.ids) > 3)
        fault = faults.start("withhold", seconds=0.4)
        await until(lambda: not faults.active("withhold"))
        await ledger.healed(client)
    assert ledger.lost(client)
    assert fault.hits == len(ledger.lost(client)) == faults.lost["withheld"]
    assert await client.is_answered()
    assert client.told == []


async def test_so_many_changes_are_dropped(ground: Ground, client: Client, faults: Faults) -> None:
    fault = faults.start("withhold", count=3)
    await ground.sql("insert into ticks (id) select generate_series(1, 5)")
    await until(lambda: client.ids == [4, 5])
    assert (fault.hits, fault.ended) == (3, True)


async def test_one_lane_is_withheld_and_the_other_flows(
    ground: Ground, client: Client, faults: Faults
) -> None:
    with faults.during("withhold", lane="broadcast"):
        await ground.sql(SEND.format(1), INSERT.format(2))
        await until(lambda: client.ids == [2])
    with faults.during("withhold", lane="postgres_changes") as fault:
        await ground.sql(INSERT.format(3), SEND.format(4))
        await until(lambda: 4 in client.ids and fault.hits == 1)
    assert client.ids == [2, 4]


async def test_one_table_is_withheld(ground: Ground, faults: Faults) -> None:
    client = await ground.client()
    await client.join("t", {"event": "*", "schema": "public"})
    with faults.during("withhold", table="ticks"):
        await ground.sql(INSERT.format(1), "insert into others values (2)")
        await until(lambda: client.ids == [2])


async def test_changes_come_twice(ground: Ground, client: Client, faults: Faults) -> None:
    faults.start("duplicate", count=2)
    await ground.sql(INSERT.format(1), INSERT.format(2), INSERT.format(3))
    await until(lambda: client.ids == [1, 1, 2, 2, 3])


async def test_changes_come_later_and_in_order(
    ground: Ground, client: Client, faults: Faults
) -> None:
    loop = asyncio.get_running_loop()
    with faults.during("delay", by=0.3):
        began = loop.time()
        await ground.sql(INSERT.format(1), INSERT.format(2))
        await until(lambda: client.ids == [1, 2])
        assert loop.time() - began >= 0.3


async def test_changes_of_different_rows_change_places_and_those_of_one_row_do_not(
    ground: Ground, faults: Faults
) -> None:
    client = await ground.client()
    await client.join("t", TICKS)
    with faults.during("reorder"):
        await ground.sql(
            "begin; insert into ticks values (1, 'a'), (2, 'a'), (3, 'a');"
            " update ticks set note = 'b' where id = 1; commit"
        )
        await until(lambda: len(client.ids) == 4)
    assert client.ids == [3, 2, 1, 1]


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 4000])
async def test_sockets_are_closed_with_a_code(client: Client, faults: Faults, code: int) -> None:
    fault = faults.start("close", code=code)
    await until(lambda: client.closed is not None)
    assert client.closed == code
    assert (fault.hits, fault.ended) == (1, True)


@pytest.mark.parametrize("name", ["reset", "close"])
async def test_sockets_end_without_a_close_frame(
    ground: Ground, client: Client, faults: Faults, name: str
) -> None:
    faults.start(name, **({} if name == "reset" else {"code": 1006}))
    await until(lambda: client.closed is not None)
    assert (client.closed, client.reset) == (1006, name == "reset")
    again = await ground.client()
    await again.join("t", TICKS)
    await ground.sql(INSERT.format(1))
    await until(lambda: again.ids == [1])


async def test_only_so_many_sockets_are_reset_also_later_ones(
    ground: Ground, client: Client, faults: Faults
) -> None:
    fault = faults.start("reset", count=2)
    await until(lambda: client.closed == 1006)
    second = await ground.client()
    await until(lambda: second.closed == 1006)
    assert client.reset
    assert second.reset
    third = await ground.client()
    assert await third.is_answered()
    assert (fault.hits, fault.ended) == (2, True)


async def test_a_stalled_socket_goes_on_where_it_stopped(
    ground: Ground, client: Client, faults: Faults
) -> None:
    async with writing(ground.emulator.database, TICKING) as ledger:
        await until(lambda: len(client.ids) > 3)
        with faults.during("stall"):
            other = await ground.client()
            await other.join("t", TICKS)
            before = len(client.ids)
            await client.send("phoenix", "heartbeat", {})
            await until(lambda: len(other.ids) > 20)
            assert len(client.ids) <= before + 5  # what was on the way
            assert client.told == []
        await until(lambda: len(client.told) == 1)
        await ledger.healed(client)
    assert ledger.lost(client) == []
    assert client.closed is None


async def test_a_half_open_socket_says_nothing_any_more_until_it_is_reset(
    ground: Ground, client: Client, faults: Faults
) -> None:
    with faults.during("half-open") as fault:
        other = await ground.client()
        await other.join("t", TICKS)
        await ground.sql(INSERT.format(1))
        await until(lambda: other.ids == [1])
        await client.send("phoenix", "heartbeat", {})
        assert await other.is_answered()
        assert (client.ids, client.told, client.closed) == ([], [], None)
    await until(lambda: client.closed == 1006)
    assert client.reset
    assert client.ids == []
    assert fault.hits == 1
    assert await other.is_answered()


@pytest.mark.parametrize("status", [500, 503])
async def test_connections_are_refused_with_a_status(
    ground: Ground, faults: Faults, status: int
) -> None:
    faults.start("refuse", status=status, count=1)
    with pytest.raises(InvalidStatus) as refused:
        await ground.client()
    assert refused.value.response.status_code == status
    assert await (await ground.client()).is_answered()


async def test_connections_are_refused_by_a_reset(ground: Ground, faults: Faults) -> None:
    faults.start("refuse", status=0, count=2)
    with pytest.raises((OSError, InvalidMessage)):
        await ground.client()
    handshake = (
        f"GET /realtime/v1/websocket?apikey={ground.emulator.keys.publishable} HTTP/1.1\r\n"
        "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert await asyncio.to_thread(is_reset, ground.emulator.url, handshake.encode())
    assert await (await ground.client()).is_answered()


async def test_what_is_committed_while_sockets_are_refused_is_lost(
    ground: Ground, client: Client, faults: Faults
) -> None:
    async with writing(ground.emulator.database, TICKING) as ledger:
        await until(lambda: len(client.ids) > 3)
        faults.start("refuse", status=0, seconds=0.3)
        faults.start("reset")
        await until(lambda: client.closed == 1006)
        await until(lambda: not faults.active("refuse"))
        again = await ground.client()
        await again.join("t", TICKS)
        await ledger.healed(again)
    arrived = {*client.ids, *again.ids}
    lost = [id_ for id_ in ledger.committed if id_ not in arrived and id_ < max(arrived)]
    assert len(lost) > 10


async def test_the_pollers_connection_is_terminated(
    ground: Ground, client: Client, faults: Faults
) -> None:
    async with writing(ground.emulator.database, TICKING) as ledger:
        await until(lambda: len(client.ids) > 3)
        fault = faults.start("terminate", what="poller")
        await ledger.healed(client)
        await until(lambda: fault.ended)
        await until(lambda: bool(ledger.lost(client)))
    assert fault.hits == 1
    assert client.told == []
    assert client.closed is None


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("withold", {}, "there is no fault 'withold'; there are withhold,"),
        ("withhold", {"seconds": 0}, "seconds is 0; it takes a number over 0"),
        ("withhold", {"count": 1.5}, "count is 1.5; it takes a whole number"),
        ("withhold", {"lane": "fast"}, "lane of withhold is 'fast'; it takes all or"),
        ("close", {"code": 1005}, "code of close is 1005; it takes a close code"),
        ("reset", {"code": 1000}, "reset does not take code; it takes nothing"),
        ("delay", {"by": "1"}, "by of delay is '1'; it takes a number"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_is_right(
    name: str, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidFault) as refused:
        Faults().start(name, **given)
    assert str(refused.value).startswith(words)
