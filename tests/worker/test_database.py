from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.database import Database as EmptyDatabase
from emulator.running import Emulator
from worker.database import Lease, connected
from worker.errors import (
    BatchGone,
    EpisodeChanged,
    LeaseLost,
    Rejected,
    SchemaMissing,
    Unauthorized,
    Unavailable,
    WorkerError,
)

LEASE = Lease(uuid.UUID(int=1), 5)
Answer = Callable[[httpx.Request], httpx.Response]


async def commit(answer: Answer, retry_seconds: float = 0.01) -> Any:
    transport = httpx.MockTransport(answer)
    async with connected(
        "http://supabase.test", "sb_secret_x", retry_seconds=retry_seconds, transport=transport
    ) as database:
        return await database.commit_batch(LEASE, "b", {"events": []})


def always(status: int, body: Any) -> Answer:
    return lambda request: httpx.Response(status, json=body)


def conflict(hint: str | None) -> dict[str, Any]:
    return {"code": "PT409", "message": "no", "details": None, "hint": hint}


def refused(code: str) -> dict[str, Any]:
    return {"code": code, "message": "no", "details": None, "hint": None}


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (409, conflict("lease"), LeaseLost, "no"),
        (409, conflict("episode"), EpisodeChanged, "no"),
        (409, conflict("events"), BatchGone, "no"),
        (409, conflict(None), Rejected, "PT409"),
        (400, refused("P0001"), Rejected, "commit_batch: no"),
        (409, refused("23505"), Rejected, "23505"),
        (404, refused("PGRST202"), SchemaMissing, "apply supabase/migrations"),
        (403, refused("42501"), Unauthorized, "SUPABASE_SECRET_KEY"),
        (401, {"message": "Invalid API key"}, Unauthorized, "SUPABASE_SECRET_KEY"),
        (429, {"message": "slow down"}, Unavailable, "429"),
        (500, refused("57014"), Unavailable, "57014"),
        (503, refused("PGRST000"), Unavailable, "PGRST000"),
    ],
)
async def test_the_answer_decides_the_error(
    status: int, body: Any, error: type[WorkerError], text: str
) -> None:
    with pytest.raises(error, match=text) as raised:
        await commit(always(status, body))
    assert raised.type is error


async def test_a_call_names_its_arguments_so_that_nobody_parses_the_body_for_them() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"events": 0})

    await commit(answer)
    (request,) = asked
    assert request.url.params["columns"].split(",") == list(json.loads(request.content))


async def test_a_page_of_some_proxy_is_no_answer() -> None:
    with pytest.raises(Unavailable, match="not of PostgREST"):
        await commit(lambda request: httpx.Response(200, html="<h1>Welcome</h1>"))
    with pytest.raises(Unavailable, match="502"):
        await commit(lambda request: httpx.Response(502, html="<h1>Bad gateway</h1>"))


async def test_an_object_of_something_else_is_no_answer() -> None:
    with pytest.raises(Unavailable, match="not of PostgREST"):
        await commit(lambda request: httpx.Response(200, json={"hello": "world"}))


async def test_no_proxy_of_the_environment_is_asked(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay asks none either: both speak to one address, which the settings name."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with connected(emulator.url, emulator.keys.secret, retry_seconds=0.01) as database:
        assert await database.start_scan(LEASE.holder, 5, "poll") == {"status": "idle"}


async def test_a_call_that_fails_is_repeated_unchanged_until_it_succeeds() -> None:
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        if len(bodies) == 1:
            raise httpx.ReadError("reset", request=request)
        return httpx.Response(503) if len(bodies) == 2 else httpx.Response(200, json={"events": 0})

    assert await commit(answer, retry_seconds=10) == {"events": 0}
    assert (
        bodies
        == [{"holder": str(LEASE.holder), "token": 5, "batch": "b", "result": {"events": []}}] * 3
    )


async def test_an_address_that_nobody_serves_is_named_as_unreachable() -> None:
    async with connected("http://127.0.0.1:1", "sb_secret_x", retry_seconds=0.01) as database:
        with pytest.raises(Unavailable, match="start_scan: Supabase cannot be reached"):
            await database.start_scan(LEASE.holder, 10, "cron")


async def test_a_project_without_the_schema_says_what_to_do(
    empty_database: EmptyDatabase, tmp_path: Path
) -> None:
    empty_database.prepare(tmp_path)  # no migration
    with Emulator.running(empty_database) as emulator:
        async with connected(emulator.url, emulator.keys.secret) as database:
            with pytest.raises(Rejected, match="apply supabase/migrations"):
                await database.start_scan(LEASE.holder, 10, "cron")


async def test_the_publishable_key_is_refused_with_the_remedy(emulator: Emulator) -> None:
    async with connected(emulator.url, emulator.keys.publishable) as database:
        with pytest.raises(Unauthorized, match="SUPABASE_SECRET_KEY"):
            await database.start_scan(LEASE.holder, 10, "cron")
        with pytest.raises(Unauthorized, match="SUPABASE_SECRET_KEY"):
            await database.add_events([{"source_key": "x"}])


FULL = {
    "code": "53100",
    "message": 'could not extend file "base/5/16384": No space left on device',
    "details": None,
    "hint": "Check free disk space.",
}
READ_ONLY = {
    "code": "25006",
    "message": "cannot execute UPDATE in a read-only transaction",
    "details": None,
    "hint": None,
}


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (503, FULL, Unavailable, "disk is full: see The disk is full in docs/operate.md .*extend"),
        (405, READ_ONLY, Rejected, "read-only, which .* see The disk is full .*25006"),
    ],
)
async def test_a_full_disk_is_named_with_where_to_read_on(
    status: int, body: Any, error: type[WorkerError], text: str
) -> None:
    with pytest.raises(error, match=text):
        await commit(always(status, body))
