"""An emulated project that runs inside a test."""

from __future__ import annotations

import json
import socket
import threading

import anyio
import httpx
import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emulator.database import Database
from emulator.identity import Keys
from emulator.running import Emulator, ServingFailed, listen


def api(emulator: Emulator, key: str) -> httpx.Client:
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=emulator.url, headers=headers, trust_env=False, timeout=60)


def test_rest_reads_the_tests_own_database(emulator: Emulator) -> None:
    with psycopg.connect(emulator.dsn()) as connection:
        connection.execute(
            "insert into events_normalized (event_type, supplier_id, timestamp)"
            " values ('factory', 'Alpine_Foundry', now())"
        )
    with api(emulator, emulator.keys.secret) as client:
        answer = client.get("/rest/v1/events_normalized", params={"select": "supplier_id"})
    assert (answer.status_code, answer.json()) == (200, [{"supplier_id": "Alpine_Foundry"}])


async def test_realtime_answers_a_heartbeat(emulator: Emulator) -> None:
    address = emulator.url.replace("http", "ws", 1)
    query = f"apikey={emulator.keys.publishable}&vsn=2.0.0"
    async with connect(f"{address}/realtime/v1/websocket?{query}", proxy=None) as socket:
        await socket.send(json.dumps([None, "1", "phoenix", "heartbeat", {}]))
        with anyio.fail_after(5):
            answer = json.loads(await socket.recv())
    assert answer == [None, "1", "phoenix", "phx_reply", {"status": "ok", "response": {}}]


async def test_a_handshake_that_is_refused_or_left_is_no_error_in_the_log(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    address = emulator.url.replace("http", "ws", 1)
    for path in ("realtime/v1/websocket?apikey=wrong&vsn=2.0.0", "realtime/v1/nowhere"):
        with pytest.raises(InvalidStatus):
            await connect(f"{address}/{path}", proxy=None)
    host, port = emulator.listener.getsockname()[:2]
    request = (
        f"GET /realtime/v1/websocket?apikey={emulator.keys.publishable}&vsn=2.0.0 HTTP/1.1\r\n"
        f"Host: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for _ in range(20):
        with socket.create_connection((host, port)) as leaving:
            leaving.sendall(request.encode())
    await test_realtime_answers_a_heartbeat(emulator)  # what came before has been handled
    assert [line for line in caplog.messages if "handshake" in line] == []
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_public_keys_are_served_without_an_api_key(emulator: Emulator) -> None:
    served = httpx.get(f"{emulator.url}/auth/v1/.well-known/jwks.json", trust_env=False, timeout=60)
    assert served.json() == emulator.keys.jwks()


@pytest.mark.parametrize(
    "path", ["auth/v1/recover", "storage/v1/bucket", "functions/v1/f", "realtime/v1/api/tenants"]
)
def test_what_is_not_imitated_says_so(emulator: Emulator, path: str) -> None:
    with api(emulator, emulator.keys.secret) as client:
        answer = client.post(f"/{path}", json={})
    assert answer.status_code == 501
    assert f"does not imitate POST /{path};" in answer.json()["message"]


def test_paths_that_no_project_has_are_not_found(emulator: Emulator) -> None:
    with api(emulator, emulator.keys.secret) as client:
        assert [client.get(path).status_code for path in ("/", "/x", "/rest/v2/t")] == [404] * 3


def test_a_page_of_any_origin_may_ask(emulator: Emulator) -> None:
    headers = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "apikey,authorization,prefer",
    }
    with httpx.Client(base_url=emulator.url, trust_env=False, timeout=60) as client:
        allowed = client.options("/rest/v1/hotspots", headers=headers)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "*"


async def test_async_code_starts_and_stops_one(database: Database) -> None:
    keys = Keys.generate()
    async with Emulator.start(database, keys=keys) as emulator:
        async with httpx.AsyncClient(base_url=emulator.url, trust_env=False, timeout=60) as client:
            assert (await client.get("/auth/v1/health")).status_code == 200
        assert emulator.keys is keys
    assert emulator.ended.is_set()
    assert emulator.failure is None
    port = int(emulator.url.rpartition(":")[2])
    with pytest.raises(OSError, match="connect"):
        await anyio.connect_tcp("127.0.0.1", port)


def test_a_failure_ends_it_with_its_reason(database: Database) -> None:
    ended = threading.Event()
    with Emulator.running(database, ended=ended) as emulator:
        emulator.fail("the sky fell")
        assert ended.wait(5)
        assert emulator.failure == "the sky fell"


def test_a_database_that_is_not_there_is_refused_with_the_reason(database: Database) -> None:
    missing = Database(database.server, "no_such_database")
    with pytest.raises(ServingFailed, match="no_such_database"), Emulator.running(missing):
        pytest.fail("it began to serve")


def test_a_port_in_use_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingFailed, match=f"port {port}: Address already in use; choose"):
            listen("127.0.0.1", port)
