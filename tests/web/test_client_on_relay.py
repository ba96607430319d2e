"""The browser client against a relay, across a restart of it."""

import asyncio
import json
import os
import shutil
import socket
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from emulator.running import Emulator
from tests.relay.access.admission import token_of
from tests.relay.clients import live_relay
from tests.relay.proxy import proxy_to
from tests.relay.serving import relaying

DEADLINE = 20
FOLLOW = Path(__file__).parent / "follow.mjs"
NODE = shutil.which("node")

Database = psycopg.Connection[tuple[Any, ...]]

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


class Follower:
    """The client in a process of its own, and all that it has told."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.told: list[dict[str, Any]] = []

    async def until(self, **expected: object) -> None:
        """Reads on until something like this was told."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            while not self.told or not expected.items() <= self.told[-1].items():
                line = await self._process.stdout.readline()
                assert line, f"ended before {expected}; told {self.told}"
                self.told.append(json.loads(line))

    async def leave(self) -> int:
        """Tells the client to disconnect; the status that its process ends with."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(DEADLINE):
            return await self._process.wait()

    def rows(self) -> dict[int, str]:
        """What an application holds that applied all that was told; none of it told twice."""
        rows: dict[int, str] = {}
        seen: set[tuple[int, int]] = set()
        for frame in self.told:
            match frame.get("type"):
                case "reset":
                    rows.clear()
                    seen.clear()
                case "INSERT" | "UPDATE":
                    rows[frame["id"]] = frame["severity"]
                case "DELETE":
                    rows.pop(frame["id"], None)
                case _:
                    continue
            if "id" in frame:
                assert (frame["id"], frame["version"]) not in seen
                seen.add((frame["id"], frame["version"]))
        return rows


@pytest.fixture
def db(emulator: Emulator) -> Iterator[Database]:
    with psycopg.connect(emulator.dsn(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def free_port() -> int:
    """A port below those that outgoing connections are given, so that it stays free."""
    for port in range(20_000 + os.getpid() % 10_000, 32_768):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no free port")


@asynccontextmanager
async def following(url: str, *tokens: str) -> AsyncIterator[Follower]:
    """The client, which follows the relay at that address with these tokens in turn."""
    assert NODE is not None
    process = await asyncio.create_subprocess_exec(
        NODE,
        "--experimental-websocket",
        "--no-warnings",
        str(FOLLOW),
        url,
        stdin=PIPE,
        stdout=PIPE,
        env=dict(os.environ) | ({"TOKENS": " ".join(tokens)} if tokens else {}),
    )
    try:
        yield Follower(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def hotspot(db: Database, severity: str) -> int:
    row = db.execute(
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2,"
        " baseline_co2, percent_above, severity) values (%s, 'supplier', 'logistics', 93.6, 60,"
        " 56, %s) returning id",
        (f"Northwind {severity}", severity),
    ).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_client_finds_the_relay_again_and_holds_what_the_database_holds(
    emulator: Emulator, db: Database, free_port: int
) -> None:
    async with following(f"http://127.0.0.1:{free_port}") as follower:
        await follower.until(state="waiting")  # there is no relay yet
        first, second = hotspot(db, "info"), hotspot(db, "warn")
        async with relaying(emulator, free_port):
            await follower.until(type="synced")
            assert follower.rows() == {first: "info", second: "warn"}
            db.execute("update public.hotspots set severity = 'critical' where id = %s", (first,))
            await follower.until(type="UPDATE", id=first)
        await follower.until(state="waiting")
        db.execute("delete from public.hotspots where id = %s", (second,))
        third = hotspot(db, "warn")
        async with relaying(emulator, free_port):
            await follower.until(type="synced")
            assert follower.rows() == {first: "critical", third: "warn"}
            assert await follower.leave() == 0


async def test_a_client_that_was_cut_goes_on_where_it_was_on_the_same_relay(
    emulator: Emulator, db: Database
) -> None:
    async with (
        relaying(emulator) as host,
        proxy_to(f"http://{host}") as proxy,
        following(proxy.url) as follower,
    ):
        while True:  # without a cursor, which comes with the first heartbeat, nobody is resumed
            await follower.until(type="synced")
            row = hotspot(db, "warn")
            await follower.until(type="INSERT", id=row)
            proxy.cut()
            await follower.until(state="waiting")
            missed = hotspot(db, "info")
            proxy.open = True
            await follower.until(type="INSERT", id=missed)
            async with httpx.AsyncClient(timeout=60) as client:
                resumes = (await client.get(f"http://{host}/readyz")).json()["resumes"]
            if resumes:
                break
        assert resumes == {"seq": 1}
        assert follower.rows().items() >= {row: "warn", missed: "info"}.items()


@pytest.mark.parametrize("claim", ["exp", "nbf"], ids=["expired", "not valid yet"])
async def test_a_client_whose_first_token_is_out_of_time_asks_for_another_and_connects(
    emulator: Emulator, db: Database, claim: str
) -> None:
    row = hotspot(db, "warn")
    offset = -60 if claim == "exp" else 300
    bad = token_of(emulator, "ES256", **{claim: int(time.time()) + offset})
    variables = {"RELAY_AUTH": "required", "SUPABASE_JWT_SECRET": emulator.keys.jwt_secret}
    async with (
        live_relay(emulator, **variables) as relay,
        following(f"http://{relay.host}", bad, bad, token_of(emulator)) as follower,
    ):
        await follower.until(state="waiting", code=4001)
        await follower.until(type="synced")
        assert follower.rows() == {row: "warn"}
        # The bad one was shown once: when it came again, no connection was made for it.
        assert [each["asked"] for each in follower.told if each.get("code") == 4001] == [1, 2]


async def test_a_client_without_a_token_is_refused_at_once_with_the_reason(
    emulator: Emulator,
) -> None:
    async with (
        live_relay(emulator, RELAY_AUTH="required", RELAY_AUTH_SECONDS="3600") as relay,
        following(f"http://{relay.host}") as follower,
    ):
        await follower.until(state="refused", code=4500)
