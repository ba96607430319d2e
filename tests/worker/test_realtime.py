from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import LiteralString

import anyio.to_thread
import pytest

from emulator.database import Database
from emulator.identity import Keys
from emulator.realtime import RealtimeSettings
from emulator.running import Emulator, listen
from emulator.settings import Settings
from tests.worker.conftest import Run, Start, Table
from tests.worker.test_run import EVENT, eventually, stopped
from worker.database import connected
from worker.heartbeat import Heartbeat
from worker.realtime import follow
from worker.severity import Thresholds

SECONDS = 40.0


@asynccontextmanager
async def following(
    url: str, key: str, wake: asyncio.Event
) -> AsyncIterator[tuple[asyncio.Task[None], Heartbeat]]:
    async with connected(url, key, retry_seconds=1) as database:
        heartbeat = Heartbeat(database, uuid.uuid4(), Thresholds())
        beating = asyncio.create_task(heartbeat.run())
        task = asyncio.create_task(
            follow(f"{url}/realtime/v1", key, wake, heartbeat, longest_pause=0.1)
        )
        try:
            yield task, heartbeat
        finally:
            for each in (task, beating):
                each.cancel()
            await asyncio.gather(task, beating, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - there is no event for a line in the log
            await asyncio.sleep(0.02)


async def woken(wake: asyncio.Event) -> None:
    async with asyncio.timeout(SECONDS):
        await wake.wait()
    wake.clear()


async def test_a_queued_scan_wakes_the_worker(emulator: Emulator, tables: Table) -> None:
    wake = asyncio.Event()
    async with following(emulator.url, emulator.keys.secret, wake):
        await woken(wake)  # once after subscribing, for what came before
        for reason in ("first", "second"):
            await anyio.to_thread.run_sync(
                tables.execute, "insert into scans (reason) values (%s)", reason
            )
            await woken(wake)


async def test_it_comes_back_when_realtime_does(database: Database) -> None:
    keys, wake = Keys.generate(), asyncio.Event()
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    listener.close()
    async with following(url, keys.secret, wake) as (task, _):
        for _ in range(2):
            again = Emulator.running(database, keys=keys, listener=listen("127.0.0.1", port))
            await anyio.to_thread.run_sync(again.__enter__)
            await woken(wake)
            await anyio.to_thread.run_sync(again.__exit__, None, None, None)
        assert not task.done()


async def test_a_refused_key_is_tried_again_and_raises_nothing(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    wake = asyncio.Event()
    async with following(emulator.url, "sb_secret_wrong", wake) as (task, _):
        await until(lambda: "without Realtime" in caplog.text)
        assert not task.done()
        assert not wake.is_set()
    assert caplog.text.count("without Realtime") == 1


async def test_a_channel_that_is_silent_since_postgresql_was_away_is_replaced(
    database: Database, tables: Table, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays open, its heartbeats are answered, and nothing comes through it any more."""
    caplog.set_level(logging.INFO)
    away = replace(
        RealtimeSettings.prompt(), reconnect_ms=8_000, longest_reconnect_ms=8_000, give_up_seconds=5
    )
    with Emulator.running(database, settings=Settings(realtime=away)) as emulator:
        wake = asyncio.Event()
        async with following(emulator.url, emulator.keys.secret, wake) as (_, heartbeat):
            await until(lambda: caplog.text.count("following Realtime") == 1)
            emulator.faults.start("terminate", what="poller")
            await until(lambda: "replication given up" in caplog.text)
            heartbeat.scanned(routine=False)  # beats at once
            await until(lambda: "the heartbeat row did not come back" in caplog.text)
            await until(lambda: caplog.text.count("following Realtime") == 2)
            wake.clear()
            await anyio.to_thread.run_sync(
                tables.execute, "insert into scans (reason) values ('a')"
            )
            await woken(wake)


async def test_it_is_not_said_to_follow_while_nothing_comes_back(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    withheld = emulator.faults.start("withhold", lane="postgres_changes")
    wake = asyncio.Event()
    async with following(emulator.url, emulator.keys.secret, wake) as (_, heartbeat):
        await woken(wake)  # the server said that the subscription is ready
        await until(lambda: withheld.hits > 0)
        await until(lambda: "polling meanwhile: the heartbeat row did not come" in caplog.text)
        assert heartbeat.waiting
        assert "following Realtime" not in caplog.text
        emulator.faults.stop(withheld)
        await until(lambda: "following Realtime" in caplog.text)


async def test_a_project_that_does_not_publish_the_heartbeats_is_told_how_to(
    emulator: Emulator, tables: Table, caplog: pytest.LogCaptureFixture
) -> None:
    tables.execute("alter publication supabase_realtime drop table worker_heartbeats")
    async with following(emulator.url, emulator.keys.secret, asyncio.Event()):
        await until(lambda: "without Realtime, polling meanwhile" in caplog.text)
    assert "alter publication supabase_realtime add table public.worker_heartbeats" in caplog.text


def test_the_service_tells_that_it_lives_and_what_waits(start: Start, tables: Table) -> None:
    process = start("run", WORKER_POLL_SECONDS="0.2")
    eventually(lambda: tables.rows("select from worker_heartbeats"), process)
    tables.insert([EVENT | {"distance_km": 1}])
    seen: LiteralString = "select from worker_heartbeats where last_scan_at > started_at"
    eventually(lambda: tables.rows(seen), process)
    assert tables.rows("select pending from worker_heartbeats") == [{"pending": 0}]
    stopped(process)


def test_a_scan_by_cron_tells_that_a_worker_was_here(run: Run, tables: Table) -> None:
    assert run("scan")[0] == 0
    assert len(tables.rows("select from worker_heartbeats where last_scan_at is not null")) == 1


def test_the_service_scans_at_once_when_realtime_announces_work(
    start: Start, tables: Table, emulator: Emulator
) -> None:
    """Neither poll nor schedule would come within the time of this test."""
    process = start(
        "run",
        WORKER_REALTIME_URL=f"{emulator.url}/realtime/v1",
        WORKER_POLL_SECONDS="3600",
        WORKER_SCAN_SECONDS="3600",
    )
    assert process.stderr is not None
    while "following Realtime" not in process.stderr.readline():
        assert process.poll() is None
    for number in range(1, 3):  # the first may be found by the look after subscribing
        tables.insert([EVENT | {"distance_km": number}])
        eventually(lambda: all_done(tables), process)
        assert len(tables.rows("select from predictions")) == number
    assert "Traceback" not in stopped(process)


def all_done(tables: Table) -> bool:
    return not tables.rows("select from scans where status <> 'done'")
