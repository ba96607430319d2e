"""`python -m relay` as a process: how it starts, what it says, how it ends."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from emulator.database import Database
from emulator.running import Emulator
from relay.close_codes import CloseCode

SECONDS = 30


def environment(emulator: Emulator) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SUPABASE_URL": emulator.url,
        "SUPABASE_SECRET_KEY": emulator.keys.secret,
        "PORT": "0",
        "RELAY_AUTH": "off",
    }


@asynccontextmanager
async def started(env: dict[str, str], *arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "relay",
        *arguments,
        env=env,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_with(process: Process, text: str) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(SECONDS):
        while text not in (line := (await process.stderr.readline()).decode()):
            assert line, f"the process ended before it said {text!r}"
    return line


async def rest_of(process: Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(SECONDS):
        return (await process.stderr.read()).decode()


async def test_it_says_where_it_is_and_ends_in_time_when_told_to(emulator: Emulator) -> None:
    async with started(environment(emulator)) as process:
        host = (await line_with(process, "listening on http://")).split("http://")[1].strip()
        await line_with(process, f"ws://{host}/ws/recommendations")
        await line_with(process, "live lane configured lane=auto")
        await line_with(process, "upstream state changed state=live")
        async with (
            connect(f"ws://{host}/ws/alerts", proxy=None) as rows,
            connect(
                f"ws://{host}/ws/alerts", subprotocols=[Subprotocol("relay.v1")], proxy=None
            ) as events,
        ):
            await events.recv()
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                await asyncio.gather(rows.wait_closed(), events.wait_closed())
                said = await rest_of(process)
                await process.wait()
        assert {rows.close_code, events.close_code} == {CloseCode.RESTARTING}
        assert process.returncode == -signal.SIGTERM
        assert said.count("reason='relay restarts'") == 2
        assert "Traceback" not in said
        assert emulator.keys.secret not in said


async def test_it_serves_without_supabase_and_says_so(emulator: Emulator) -> None:
    env = environment(emulator) | {"SUPABASE_URL": "http://127.0.0.1:9"}
    async with started(env) as process:
        host = (await line_with(process, "listening on http://")).split("http://")[1].strip()
        await line_with(process, "catch-up fails, retrying")
        await line_with(process, "upstream state changed state=down")
        async with httpx.AsyncClient(
            base_url=f"http://{host}", trust_env=False, timeout=60
        ) as client:
            assert (await client.get("/healthz")).status_code == 200
            ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert len(ready.json()["reasons"]) == 2
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in await rest_of(process)
        assert await process.wait() == 130


@pytest.mark.parametrize("command", ["relay", "relay --workers 2", "worker run", "worker scan"])
async def test_a_project_without_the_schema_is_refused_with_the_remedy(
    empty_database: Database, tmp_path: Path, command: str
) -> None:
    empty_database.prepare(tmp_path)
    async with Emulator.start(empty_database) as emulator:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *command.split()),
            env=environment(emulator),
            stderr=asyncio.subprocess.PIPE,
        )
        said = await rest_of(process)
        assert await process.wait() != 0
    assert "apply supabase/migrations to it (`supabase link`, then `supabase db push`)" in said
    assert "Traceback" not in said
    assert "listening" not in said


async def test_a_port_in_use_is_named(emulator: Emulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with started(environment(emulator), "--port", str(port)) as process:
            said = await rest_of(process)
            assert await process.wait() == 1
    assert f"127.0.0.1:{port} is in use" in said
    assert "--port" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "variables", "reason"),
    [
        (["--host", "0.0.0.0"], {"RELAY_AUTH": "off"}, "RELAY_AUTH=required"),  # noqa: S104
        ([], {"SUPABASE_URL": ""}, "SUPABASE_URL is not set"),
    ],
)
async def test_what_it_cannot_do_is_refused_with_the_reason(
    emulator: Emulator, arguments: list[str], variables: dict[str, str], reason: str
) -> None:
    async with started(environment(emulator) | variables, *arguments) as process:
        said = await rest_of(process)
        assert await process.wait() == 2
    assert reason in said
    assert len(said.splitlines()) == 1
