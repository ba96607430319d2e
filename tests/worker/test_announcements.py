from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
import pytest

from emulator.database import Database
from emulator.identity import Keys
from emulator.running import Emulator, listen
from tests.worker.conftest import Start, Table
from tests.worker.test_run import EVENT, eventually, stopped
from worker.announcements import follow

SECONDS = 40.0


@asynccontextmanager
async def following(url: str, key: str, wake: asyncio.Event) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(follow(f"{url}/realtime/v1", key, wake, longest_pause=0.1))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


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
    async with following(url, keys.secret, wake) as task:
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
    async with following(emulator.url, "sb_secret_wrong", wake) as task:
        async with asyncio.timeout(SECONDS):
            while True:
                if "without Realtime" in caplog.text:
                    break
                await asyncio.sleep(0.02)
        assert not task.done()
        assert not wake.is_set()
    assert caplog.text.count("without Realtime") == 1


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
