"""Slow statements, callers that leave, a database that dies, tables that change."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.routing import Mount

from emulator import launch, rest, running
from emulator.account import make_private, unprivileged
from emulator.database import Database
from emulator.identity import Keys
from emulator.postgres import Postgres
from emulator.running import Emulator

if TYPE_CHECKING:
    from tests.emulator.rest.conftest import Served

DEADLINE_SECONDS = 20


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "did not come to pass in time"
        time.sleep(0.02)


def pausing(served: Served) -> int:
    (row,) = served.sql(
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and state = 'active' and query like '%pause%'"
        " and pid <> pg_backend_pid()"
    )
    return int(str(row[0]))


def test_a_statement_that_takes_too_long_is_ended(served: Served, http: httpx.Client) -> None:
    limit = f"alter role service_role in database {served.database.name}"
    served.sql(f"{limit} set statement_timeout = '100ms'", "supabase_admin")
    served.sql("notify pgrst, 'reload schema'")
    try:
        eventually(lambda: http.post("/rpc/limits").json() == "100ms")
        response = http.post("/rpc/pause", json={"seconds": 5})
    finally:
        served.sql(f"{limit} reset statement_timeout", "supabase_admin")
        served.sql("notify pgrst, 'reload schema'")
    assert response.status_code == 500
    assert response.json() == {
        "code": "57014",
        "details": None,
        "hint": None,
        "message": "canceling statement due to statement timeout",
    }
    eventually(lambda: http.post("/rpc/limits").json() == "8s")


def test_the_statement_of_a_caller_that_left_is_cancelled(
    served: Served, http: httpx.Client
) -> None:
    address = (http.base_url.host, http.base_url.port or 80)
    body = b'{"seconds": 7}'
    with contextlib.closing(socket.create_connection(address)) as caller:
        caller.sendall(
            b"POST /rest/v1/rpc/pause HTTP/1.1\r\nHost: x\r\napikey: "
            + served.keys.secret.encode()
            + b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        eventually(lambda: pausing(served) == 1)
    started = time.monotonic()
    eventually(lambda: pausing(served) == 0)
    assert time.monotonic() - started < 5
    assert http.post("/rpc/add", json={"a": 1}).json() == 3


def test_new_tables_columns_and_functions_are_found_at_once(
    served: Served, http: httpx.Client
) -> None:
    served.sql("create table public.fresh (a int); grant all on public.fresh to service_role")
    try:
        assert http.post("/fresh", json={"a": 1}).status_code == 201
        served.sql("alter table public.fresh add b int")
        assert http.post("/fresh", json={"b": 1}).status_code == 201
        served.sql("create function public.fresh_one() returns int language sql as 'select 1'")
        assert http.post("/rpc/fresh_one").json() == 1
    finally:
        served.sql("drop function if exists public.fresh_one; drop table public.fresh")


def test_a_changed_function_is_known_without_being_announced(
    served: Served, http: httpx.Client
) -> None:
    served.sql("create function public.changed() returns int language sql as 'select 1'")
    try:
        assert http.post("/rpc/changed").json() == 1
        served.sql(
            "drop function public.changed;"
            "create function public.changed() returns setof int language sql as 'select 1'"
        )
        eventually(lambda: http.post("/rpc/changed").json() == [1])
    finally:
        served.sql("drop function public.changed")


def test_many_callers_at_once_get_their_own_answers(served: Served, http: httpx.Client) -> None:
    def add(number: int) -> bool:
        return bool(http.post("/rpc/add", json={"a": number}).json() == number + 2)

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(add, range(200)))


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server that a test may stop."""
    directory = Path(tempfile.mkdtemp(prefix="hr-rest-"))
    make_private(directory, unprivileged())
    server = launch.server(directory, parameters=launch.FAST)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory)


@contextlib.contextmanager
def calling(server: Postgres, directory: Path, body: str) -> Iterator[Callable[[], httpx.Response]]:
    """Calls a function with that body over REST; `directory` is empty before."""
    (directory / "20260101000000_called.sql").write_text(
        f"create function public.called() returns int language sql as '{body}'"
    )
    database = Database(server, "postgres")
    database.prepare(directory)
    with Emulator.running(database, mounts=(rest.mount,)) as emulator:
        url, headers = f"{emulator.url}/rest/v1/rpc/called", {"apikey": emulator.keys.secret}
        yield lambda: httpx.post(url, headers=headers, timeout=60)


def test_without_a_database_answers_are_503_until_it_is_back(
    own_server: Postgres, tmp_path: Path
) -> None:
    with calling(own_server, tmp_path, "select 1") as call:
        assert call().json() == 1
        own_server.stop()
        for _ in range(2):
            started = time.monotonic()
            response = call()
            assert time.monotonic() - started < 5
            assert response.status_code == 503
            assert response.json()["code"] in {"PGRST000", "PGRST001", "57P01"}
            assert response.headers["content-type"].startswith("application/json")
        own_server.start()
        eventually(lambda: call().status_code == 200)


def test_however_many_connections_a_restart_broke_answers_come_at_once_afterwards(
    own_server: Postgres, tmp_path: Path
) -> None:
    with calling(own_server, tmp_path, "select 1 from pg_sleep(0.5)") as call:
        with ThreadPoolExecutor(10) as threads:
            answers = [threads.submit(call) for _ in range(20)]
            assert {answer.result().status_code for answer in answers} == {200}
        own_server.stop()
        own_server.start()
        started = time.monotonic()
        assert [call().status_code for _ in range(3)] == [200, 200, 200]
        assert time.monotonic() - started < 5


def test_a_busy_pool_is_told_from_a_dead_database(served: Served) -> None:
    keys = Keys.generate()
    with serving_with_one_connection(served.database.dsn("authenticator"), keys) as url:
        headers = {"apikey": keys.secret}

        def pause() -> httpx.Response:
            return httpx.post(f"{url}/rpc/pause", json={"seconds": 2}, headers=headers, timeout=30)

        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(pause)
            eventually(lambda: pausing(served) == 1)
            second = httpx.post(f"{url}/rpc/add", json={"a": 1}, headers=headers, timeout=30)
            assert second.json() == 3  # it waited, longer than the first attempt to get one
            assert first.result().json() == "done"


@contextlib.contextmanager
def serving_with_one_connection(dsn: str, keys: Keys) -> Iterator[str]:
    pool: Any = AsyncConnectionPool(dsn, min_size=1, max_size=1, open=False)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    app = Starlette(routes=[Mount("/rest/v1", routes=rest.routes(pool, keys))], lifespan=lifespan)
    listener = running.listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"{running.address(listener)}/rest/v1"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
