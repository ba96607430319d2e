"""`python -m relay --workers`: several relays on one port."""

import asyncio
import contextlib
import os
import re
import signal
from asyncio.subprocess import Process
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from emulator.running import Emulator
from tests.relay.test_process import environment, line_with, rest_of, started

SECONDS = 60


async def pids(process: Process, count: int) -> dict[str, int]:
    """The processes of so many relays that are said to run next."""
    found: dict[str, int] = {}
    while len(found) < count:
        line = await line_with(process, "relay process started")
        match = re.search(r"relay=(\d+) pid=(\d+)", line)
        assert match is not None
        found[match[1]] = int(match[2])
    return found


def is_gone(pid: int) -> bool:
    """Whether it has ended, also where nobody has taken note of that yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def cut(clients: list[ClientConnection]) -> int:
    """How many have lost their connection."""
    for client in clients:
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(5):
                await (await client.ping())
    return sum(client.close_code is not None for client in clients)


async def test_relays_share_a_port_and_a_dead_one_is_started_again(emulator: Emulator) -> None:
    async with (
        asyncio.timeout(SECONDS),
        started(environment(emulator), "--workers", "2") as process,
    ):
        relays = await pids(process, 2)
        host = (await line_with(process, "listening on http://")).split("http://")[1].strip()
        await line_with(process, f"listening on http://{host}")
        clients = [await connect(f"ws://{host}/ws/hotspots", proxy=None) for _ in range(24)]
        os.kill(relays["1"], signal.SIGKILL)
        again = await pids(process, 1)
        assert 0 < await cut(clients) < len(clients)
        more = [await connect(f"ws://{host}/ws/alerts", proxy=None) for _ in range(12)]
        assert await cut(more) == 0
        process.send_signal(signal.SIGTERM)
        said = await rest_of(process)
        assert await process.wait() == 128 + signal.SIGTERM
        assert all(is_gone(pid) for pid in (relays["2"], again["1"]))
        assert "Traceback" not in said
        assert {client.close_code for client in more} <= {None, 1012}
        for client in (*clients, *more):
            await client.close()


async def test_relays_end_with_the_process_that_started_them(emulator: Emulator) -> None:
    async with (
        asyncio.timeout(SECONDS),
        started(environment(emulator), "--workers", "2") as process,
    ):
        relays = await pids(process, 2)
        await line_with(process, "listening on http://")
        await line_with(process, "listening on http://")
        process.kill()
        await rest_of(process)  # the pipe is closed when all of them end
        while not all(is_gone(pid) for pid in relays.values()):  # noqa: ASYNC110 of others
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("count", ["0", "65", "many"])
async def test_a_number_that_makes_no_sense_is_refused(emulator: Emulator, count: str) -> None:
    async with started(environment(emulator), "--workers", count) as process:
        assert "is not a number from 1 to 64" in await rest_of(process)
        assert await process.wait() == 2
