"""The emulator as a process: killed, stopped, and told to misbehave from a terminal."""

from __future__ import annotations

import asyncio
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from websockets.asyncio.client import connect

from emulator import keys_file
from tests.emulator.faults.conftest import SYNCHRONOUS, TABLES, Client, until
from tests.emulator.test_command import Command, alive, emulator, place

ATTEMPTS = 5  # a busy machine is slow at times
WITHIN_SECONDS = 1.5  # on an idle one; two are allowed
BINDING = {"event": "*", "schema": "public", "table": "hotspots"}


@pytest.fixture
def data() -> Iterator[Path]:
    made = place(None)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def running(data: Path) -> Iterator[Command]:
    with emulator(data, EMULATOR_COLD_JOIN_MS="0") as command:
        yield command


@pytest.fixture
async def client(running: Command, data: Path) -> AsyncIterator[Client]:
    secret = keys_file.load(data / "keys.json").secret
    address = running.url.replace("http", "ws", 1) + f"/realtime/v1/websocket?apikey={secret}"
    async with connect(address, proxy=None, close_timeout=0.2) as connection:
        client = Client(connection)
        await client.join("t", BINDING)
        yield client


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, 1006), (signal.SIGTERM, 1012)])
async def test_a_killed_one_leaves_without_a_word_and_a_stopped_one_says_1012(
    running: Command, client: Client, number: signal.Signals, code: int
) -> None:
    running.process.send_signal(number)
    await until(lambda: client.closed is not None)
    assert client.closed == code
    assert client.told == []


async def test_what_was_not_polled_when_it_was_killed_is_lost(data: Path) -> None:
    async def told(command: Command) -> Client:
        secret = keys_file.load(data / "keys.json").secret
        address = command.url.replace("http", "ws", 1)
        opening = connect(f"{address}/realtime/v1/websocket?apikey={secret}", proxy=None)
        client = Client(await opening)
        await client.join("t", {**BINDING, "table": "ticks"})
        return client

    (data / "migrations").mkdir()
    (data / "migrations" / "20260101000000_ticks.sql").write_text(TABLES)
    arguments = ("--migrations", str(data / "migrations"))
    with emulator(data, *arguments, EMULATOR_COLD_JOIN_MS="0", EMULATOR_POLL_MS="2000") as command:
        before = await told(command)
        await write(command, "insert into ticks (id) values (1), (2)")
        command.process.kill()
        await until(lambda: before.closed == 1006)
    with emulator(data, *arguments, EMULATOR_COLD_JOIN_MS="0") as command:
        after = await told(command)
        await write(command, "insert into ticks (id) values (3)")
        await until(lambda: 3 in after.ids)
        kept = await write(command, "select id from ticks order by id")
    assert (before.ids, after.ids) == ([], [3])
    assert kept == [(1,), (2,), (3,)]


async def write(command: Command, statement: str) -> list[Any]:
    place = f"host={command.sockets} user=postgres dbname=postgres"
    async with await psycopg.AsyncConnection.connect(place, options=SYNCHRONOUS) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


def slowness() -> float:
    """How many times its processor time a child takes here and now, since it has to share."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-c", "import psycopg, uvicorn"], check=True)
    taken, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return max(1.0, taken / used)


def test_killed_it_serves_the_same_data_again_within_two_seconds(data: Path) -> None:
    with emulator(data) as command:
        secret = keys_file.load(data / "keys.json").secret
        headers = {"apikey": secret, "Authorization": f"Bearer {secret}"}
        event = {"event_type": "factory", "supplier_id": "K", "timestamp": "2026-01-01T00:00:00Z"}
        address = "/rest/v1/events_normalized"
        made = httpx.post(
            command.url + address, json=event, headers=headers, trust_env=False, timeout=60
        )
        assert made.status_code == 201
        command.process.kill()
    taken: list[float] = []
    while len(taken) < ATTEMPTS and min(taken, default=WITHIN_SECONDS) >= WITHIN_SECONDS:
        before, began = slowness(), time.monotonic()
        with emulator(data) as again:
            assert alive(again.url)
            seconds = time.monotonic() - began
            taken.append(seconds / ((before + slowness()) / 2))
            address = f"{again.url}/rest/v1/events_normalized?supplier_id=eq.K"
            assert len(httpx.get(address, headers=headers, trust_env=False, timeout=60).json()) == 1
            again.process.kill()
    assert min(taken) < WITHIN_SECONDS, taken


async def fault(command: Command, data: Path, *arguments: str) -> tuple[int, str]:
    port = command.url.rpartition(":")[2]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "emulator", "--port", port, "fault", "--data", str(data)),
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_a_terminal_switches_faults_on_and_off(
    running: Command, data: Path, client: Client
) -> None:
    assert await fault(running, data, "withhold", "--set", "lane=broadcast") == (
        0,
        "1 withhold on, 0 hits\n",
    )
    assert await fault(running, data, "close", "--set", "code=4001") == (0, "2 close on, 0 hits\n")
    await until(lambda: client.closed == 4001)
    assert await fault(running, data, "stall", "--seconds", "0.1") == (0, "3 stall ended, 0 hits\n")
    _, listed = await fault(running, data)
    assert "2 close ended, 1 hits\n" in listed
    assert "withhold       changes are dropped without a word" in listed
    _, cleared = await fault(running, data, "--clear")
    assert "1 withhold ended, 0 hits\n" in cleared
    status, said = await fault(running, data, "closed")
    assert status == 1
    assert said.startswith("emulator: there is no fault 'closed'; there are withhold, ")
