"""The Python client against a relay, through interruptions."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

import pytest

from emulator.running import Emulator
from relay.client import ConnectionLost, Frame, Replica, follow
from tests.relay.access.admission import token_of
from tests.relay.clients import SECONDS, Tables, live_relay
from tests.relay.proxy import proxy_to

each_server = pytest.mark.usefixtures("each_server")


async def until(frames: AsyncIterator[Frame], kind: str) -> list[Frame]:
    """The frames up to one of that type."""
    found: list[Frame] = []
    async with asyncio.timeout(SECONDS):
        while not found or found[-1]["type"] != kind:
            found.append(await anext(frames))
    return found


@each_server
async def test_an_interruption_costs_no_change_and_repeats_none(
    emulator: Emulator, tables: Tables
) -> None:
    first, second = tables.hotspot(), tables.hotspot()
    replica = Replica()
    async with (
        live_relay(emulator) as relay,
        proxy_to(f"http://{relay.host}") as proxy,
        contextlib.aclosing(follow(proxy.url, "hotspots", replica=replica)) as frames,
    ):
        hello, *_ = await until(frames, "synced")
        assert hello["resumed"] is False
        assert sorted(replica.rows) == [first, second]
        proxy.cut()
        tables.execute("delete from hotspots where id = %s", first)
        third = tables.hotspot()
        await relay.until(lambda health: health["endpoints"]["hotspots"]["sent"] == 2)
        proxy.open = True
        hello, *missed, _ = await until(frames, "synced")
        assert hello["resumed"] is True
        changes = [each["type"] for each in missed if "version" in each]
        assert sorted(changes) == ["DELETE", "INSERT"]
        assert sorted(replica.rows) == [second, third]


async def test_a_program_that_has_seen_enough_ends_in_silence(emulator: Emulator) -> None:
    program = """
import asyncio, sys
from relay.client import follow

async def first_frame():
    async for frame in follow(sys.argv[1], "hotspots"):
        print(frame["type"])
        break

asyncio.run(first_frame())
"""
    async with live_relay(emulator) as relay:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, f"ws://{relay.host}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(SECONDS):
            said, complained = await process.communicate()
    assert (said, complained, process.returncode) == (b"hello\n", b"", 0)


@each_server
async def test_a_replica_that_was_kept_resumes_where_it_ended(
    emulator: Emulator, tables: Tables
) -> None:
    replica = Replica()
    async with live_relay(emulator) as relay:
        url = f"ws://{relay.host}"
        async with contextlib.aclosing(follow(url, "hotspots", replica=replica)) as frames:
            await until(frames, "synced")
        row = tables.hotspot()
        await relay.until(lambda health: health["endpoints"]["hotspots"]["sent"] == 1)
        async with contextlib.aclosing(follow(url, "hotspots", replica=replica)) as frames:
            assert (await until(frames, "synced"))[0]["resumed"] is True
    assert sorted(replica.rows) == [row]


@each_server
async def test_what_a_relay_refuses_for_good_is_not_asked_again(emulator: Emulator) -> None:
    expired = token_of(emulator, exp=int(time.time()) - 60)
    async with live_relay(emulator, RELAY_AUTH="required") as relay:
        url = f"ws://{relay.host}"
        for parameters, token, text in (
            ([("colour", "red")], token_of(emulator), "4502"),
            ([], None, "asks for a user's token"),
            ([], expired, "4001"),
        ):
            with pytest.raises(ConnectionLost, match=text):
                async with asyncio.timeout(SECONDS):
                    await anext(follow(url, "hotspots", parameters, token=token))


@each_server
async def test_a_token_is_fetched_anew_for_each_connection(
    emulator: Emulator, tables: Tables
) -> None:
    tokens = [token_of(emulator), token_of(emulator, exp=int(time.time()) - 60)]

    async def fetch() -> str:
        return tokens.pop()

    async with (
        live_relay(emulator, RELAY_AUTH="required") as relay,
        contextlib.aclosing(follow(f"ws://{relay.host}", "hotspots", token=fetch)) as frames,
    ):
        await until(frames, "synced")
    assert tokens == []


def test_rows_that_vanished_before_the_first_synced_are_not_kept() -> None:
    replica = Replica()
    row = {"type": "INSERT", "record": {"id": 1}, "old_record": None, "version": 1}
    hello = {"type": "hello", "resumed": False}
    for frame in (hello, row, hello):
        replica.apply(frame)
    assert replica.rows == {}
    assert replica.apply(row)
    assert not replica.apply(row)
