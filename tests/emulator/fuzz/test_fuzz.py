"""Whatever arrives, nothing crashes, nothing is injected, and no answer is one of our accidents.

`FUZZ=50000 pytest tests/emulator/fuzz` makes that many attempts, otherwise they are few. The
seed is fixed, or SEED.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from emulator.database import Database
from emulator.postgres import Postgres
from emulator.running import Emulator
from tests.emulator.fuzz import frames, requests
from tests.emulator.fuzz.wire import SECONDS, Answer, Wire
from tests.emulator.fuzz.words import Words
from tests.emulator.rest.conftest import ROWS, SCHEMA, USER

ATTEMPTS = int(os.environ.get("FUZZ") or 3000)
SEED = int(os.environ.get("SEED") or 20260101)
FRAMES_A_SOCKET = 40
# Classes of SQLSTATE that PostgREST answers with a status over 499 too.
SERVER_SIDE = ("21", "25", "2D", "38", "39", "3B", "40", "53", "54", "55", "57014", "HV")


@dataclass
class Target:
    """The emulator under fire."""

    emulator: Emulator
    words: Words
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.emulator.url)
        return parts.hostname or "", parts.port or 0

    @property
    def keys(self) -> list[str]:
        keys = self.emulator.keys
        user = keys.mint("authenticated", subject=USER)
        return [keys.secret, keys.publishable, keys.legacy_key("anon"), user]


@pytest.fixture
def target(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("fuzz")
    (directory / "20260101000000_schema.sql").write_text(SCHEMA.read_text())
    database = Database(postgres, "postgres").create("fuzz")
    database.prepare(directory)
    with connected(database) as connection:
        connection.execute(ROWS.encode())
        connection.execute("alter publication supabase_realtime add table public.plants")
    with Emulator.running(database) as emulator:
        yield Target(emulator, Words(SEED))
    database.drop()


def connected(database: Database) -> psycopg.Connection:
    return psycopg.connect(database.dsn(), autocommit=True)


def accident(answer: Answer) -> bool:
    """Whether it is an answer that PostgREST and Auth have no reason to give."""
    if answer.status < 500:
        return False
    try:
        code = json.loads(answer.body)["code"]
    except (ValueError, KeyError, TypeError):
        return bool(answer.body) or answer.status == 500
    return not (answer.status == 501 or str(code).startswith(SERVER_SIDE))


def ask(target: Target, attempts: int) -> None:
    wire = Wire(target.address)
    for _ in range(attempts):
        kinds = (requests.rest, requests.auth, requests.broadcast)
        (make,) = target.words.choices(kinds, (70, 15, 15))
        request = make(target.words, target.keys)
        whole = request.find(b"\r\n\r\n")
        damaged = whole < 0 or not _is_whole(request)
        answer = wire.ask(request, damaged=damaged)
        target.seen[f"HTTP {answer.status}"] += 1
        if request.startswith(b"HEAD "):
            assert answer.status not in {500, 502, 503}, request
        assert not accident(answer), (request, answer)
    wire.close()


def _is_whole(request: bytes) -> bool:
    head, _, body = request.partition(b"\r\n\r\n")
    return f"Content-Length: {len(body)}".encode() == head.splitlines()[-1]


async def follow(target: Target, attempts: int) -> None:
    """Send frames; the socket may be closed for them, the server has to go on."""
    left = attempts
    while left > 0:
        version = target.words.choice(("1.0.0", "2.0.0"))
        query = f"vsn={version}&apikey={target.words.choice(target.keys)}"
        url = target.emulator.url.replace("http", "ws", 1)
        address = f"{url}/realtime/v1/websocket?{query}"
        try:
            async with connect(address, max_size=None, proxy=None) as client:
                left -= await _burst(target, client, version, min(left, FRAMES_A_SOCKET))
        except WebSocketException:
            left -= 1
            target.seen["handshake refused"] += 1


async def _burst(target: Target, client: ClientConnection, version: str, size: int) -> int:
    try:
        for _ in range(size):
            frame = target.words.json(frames.message(target.words, version, target.keys))
            binary = target.words.random() < 0.05
            await client.send(frame if binary else frame.decode("utf-8", errors="replace"))
        await client.send(_heartbeat(version))
        async with asyncio.timeout(SECONDS):
            while "still-here" not in str(await client.recv()):
                target.seen["frame"] += 1
    except ConnectionClosed:
        target.seen["closed"] += 1
    return size


def _heartbeat(version: str) -> str:
    beat = {"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": "still-here"}
    if version == "2.0.0":
        return json.dumps([None, *(beat[name] for name in ("ref", "topic", "event", "payload"))])
    return json.dumps(beat)


def shout(target: Target, attempts: int) -> None:
    """Send bytes that are no frames on sockets that began in order."""
    host = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    for _ in range(attempts):
        query = f"vsn=1.0.0&apikey={target.keys[1]}"
        handshake = f"GET /realtime/v1/websocket?{query} HTTP/1.1\r\n{host}{key}".encode()
        content = target.words.json(frames.message(target.words, "1.0.0", target.keys))
        shouted = b"".join(frames.raw(target.words, content[:200]) for _ in range(3))
        with socket.create_connection(target.address, SECONDS) as connection:
            connection.sendall(handshake + shouted)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                first = connection.recv(12)
                while connection.recv(65536):
                    pass
                target.seen["bytes " + first[9:].decode(errors="replace")] += 1


@pytest.mark.timeout(3600 if ATTEMPTS > 3000 else 120)
async def test_nothing_that_arrives_crashes_it_or_becomes_sql(
    target: Target, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.ERROR)
    shares = {ask: 0.55, follow: 0.35, shout: 0.1}
    await asyncio.to_thread(ask, target, int(ATTEMPTS * shares[ask]))
    await follow(target, int(ATTEMPTS * shares[follow]))
    await asyncio.to_thread(shout, target, int(ATTEMPTS * shares[shout]))
    with connected(target.emulator.database) as connection:
        assert connection.execute("select alive from public.canary").fetchall() == [("yes",)]
        (rows,) = connection.execute("select count(*), sum(level) from public.plants").fetchall()
    assert rows == (4, 10), "every request was to be rolled back"
    assert [record.getMessage() for record in caplog.records] == []
    assert target.emulator.failure is None
    with capsys.disabled():
        sys.stdout.write(f"\n{ATTEMPTS} attempts: {dict(sorted(target.seen.items()))}\n")
