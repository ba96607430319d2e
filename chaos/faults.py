"""What each fault does to the stage, for its time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from psycopg import sql

from chaos.catalog import TOLD, Options
from chaos.stage import Stage
from emulator import migrations
from emulator.cluster import SUPERUSER

Act = Callable[[Stage, float, Options], Awaitable[bool]]  # false when it could not be done

RATE_LIMIT = 5.0  # events a second: everything is dropped within seconds
TERMINATED_WITHIN = 0.5
AFTER_TERMINATION = 3.0  # the poller is away for half a second at least
MOST_ATTEMPTS = 20  # to put rows back
AFTER_ATTEMPT = 0.2
PROMOTED_AFTER = 0.5  # of its time: before that the standby is made


def _told(name: str) -> Act:
    async def act(stage: Stage, seconds: float, options: Options) -> bool:
        async with stage.project.fault(name, **options) as told:
            await asyncio.sleep(seconds)
        return told.hits > 0

    return act


async def _reset(stage: Stage, seconds: float, options: Options) -> bool:
    async with stage.project.fault("reset", seconds=seconds / 2) as told:
        await asyncio.sleep(seconds)
    return told.hits > 0


async def _close(stage: Stage, seconds: float, options: Options) -> bool:
    async with stage.project.fault("close", seconds=seconds / 2, **options) as told:
        await asyncio.sleep(seconds)
    return told.hits > 0


async def _refuse(stage: Stage, seconds: float, options: Options) -> bool:
    """Those that are there are reset, so that they want to come back."""
    async with (
        stage.project.fault("refuse", **options) as told,
        stage.project.fault("reset", seconds=seconds / 4),
    ):
        await asyncio.sleep(seconds)
    return told.hits > 0


async def _terminate(stage: Stage, seconds: float, options: Options) -> bool:
    """Until it met one: after another fault they may be away for a while themselves."""
    until = time.monotonic() + seconds
    met = False
    while not met and time.monotonic() < until:
        async with stage.project.fault("terminate", **options) as told:
            await asyncio.sleep(TERMINATED_WITHIN)
        met = told.hits > 0
    await asyncio.sleep(max(AFTER_TERMINATION, until - time.monotonic()))
    return met


async def _kill_postgres(stage: Stage, seconds: float, options: Options) -> bool:
    stage.servers.current.kill()
    await asyncio.sleep(seconds)
    return True


async def _restart_postgres(stage: Stage, seconds: float, options: Options) -> bool:
    await asyncio.to_thread(stage.servers.stop)
    await asyncio.to_thread(stage.servers.start_again)
    await asyncio.sleep(seconds)
    return True


async def _stop_postgres(stage: Stage, seconds: float, options: Options) -> bool:
    await asyncio.to_thread(stage.servers.stop)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(stage.servers.start_again)
    return True


async def _lock_table(stage: Stage, seconds: float, options: Options) -> bool:
    table = sql.Identifier("public", options["table"])
    return await asyncio.to_thread(_lock, stage, table, seconds)


async def _lock_realtime(stage: Stage, seconds: float, options: Options) -> bool:
    return await asyncio.to_thread(_lock, stage, sql.Identifier("realtime", "messages"), seconds)


def _lock(stage: Stage, table: sql.Identifier, seconds: float) -> bool:
    with stage.servers.admin() as connection, connection.transaction():
        connection.execute(sql.SQL("lock table {} in access exclusive mode").format(table))
        connection.execute("select pg_sleep(%s)", (seconds,))
    return True


async def _drop_realtime(stage: Stage, seconds: float, options: Options) -> bool:
    await asyncio.to_thread(_drop, stage)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(_bring_back, stage)
    return True


def _drop(stage: Stage) -> None:
    with stage.servers.admin() as connection:
        connection.execute("drop schema realtime cascade")
        connection.execute("drop publication if exists supabase_realtime_messages_publication")


def _bring_back(stage: Stage) -> None:
    """As the server's own migrations and ours make it."""
    migrations.bootstrap(stage.servers.dsn(SUPERUSER))
    with stage.servers.admin() as connection:
        connection.execute(
            'create policy "Relays read changes" on realtime.messages for select to service_role'
            " using (realtime.topic() = 'relay:changes')"
        )


async def _leave_transaction_open(stage: Stage, seconds: float, options: Options) -> bool:
    return await stage.writers.leave_open(seconds)


async def _put_back(stage: Stage, seconds: float, options: Options) -> bool:
    """By one transaction, by a later one, and by one that begins before the deletion ends."""
    table, writers = options["table"], stage.writers
    ways: list[Callable[[], Awaitable[bool]]] = [
        partial(writers.put_back_at_once, table),
        partial(writers.put_back_later, table, seconds / 4),
        partial(writers.put_back_while_open, table, seconds / 4),
    ]
    done = 0
    for way in ways:
        for _ in range(MOST_ATTEMPTS):  # another writer may take their hotspot away meanwhile
            if await way():
                done += 1
                break
            await asyncio.sleep(AFTER_ATTEMPT)
        await asyncio.sleep(seconds / 6)
    return done == len(ways)


async def _lose_standby(stage: Stage, seconds: float, options: Options) -> bool:
    """What is committed reaches Realtime and is not visible; meanwhile clients come anew."""
    _, some = _some(stage, options)
    await asyncio.to_thread(stage.servers.lose_standby)
    try:
        await asyncio.sleep(seconds / 2)
        waiting = await asyncio.to_thread(stage.servers.waiting_commits)
        for client in some:
            client.begin_anew()
        await asyncio.sleep(seconds / 2)
    finally:
        await asyncio.to_thread(stage.servers.need_no_standby)
    return waiting > 0


async def _write_oversized(stage: Stage, seconds: float, options: Options) -> bool:
    for _ in range(3):  # it may meet another writer
        if await stage.writers.write_oversized(seconds):
            return True
    return False


async def _limit_rate(stage: Stage, seconds: float, options: Options) -> bool:
    """Its limit is a setting: it is started again with one, and without it afterwards."""
    await stage.project.stop()
    await stage.restart_project(rate_limit=RATE_LIMIT)
    try:
        await asyncio.sleep(seconds)
    finally:
        await stage.project.stop()
        await stage.restart_project()
    return True


async def _kill_supabase(stage: Stage, seconds: float, options: Options) -> bool:
    stage.project.kill()
    await asyncio.sleep(seconds)
    await stage.restart_project()
    return True


async def _dump_and_restore(stage: Stage, seconds: float, options: Options) -> bool:
    async with stage.writers.paused():
        await stage.project.stop()
        await asyncio.to_thread(stage.servers.restore)
        await stage.restart_project()
    return True


async def _promote(stage: Stage, seconds: float, options: Options) -> bool:
    """Writers go on; what they are told is committed is on the standby too."""
    data, standby = await asyncio.to_thread(stage.servers.make_standby)
    await asyncio.sleep(PROMOTED_AFTER)
    stage.project.kill()
    await asyncio.to_thread(stage.servers.promote, data, standby)
    await stage.restart_project()
    return True


async def _kill_relay(stage: Stage, seconds: float, options: Options) -> bool:
    relay = stage.relays[options["relay"] % len(stage.relays)]
    relay.kill()
    await asyncio.sleep(options["away"])
    relay.start()
    await relay.serves()
    return True


async def _jump_clock(stage: Stage, seconds: float, options: Options) -> bool:
    relay = stage.relays[options["relay"] % len(stage.relays)]
    relay.jump(options["by"])
    await asyncio.sleep(seconds)
    relay.jump(0)
    return True


async def _cut_clients(stage: Stage, seconds: float, options: Options) -> bool:
    chance, some = _some(stage, options)
    for client in some:
        client.disconnect(reset=chance.random() < 0.5)
    await asyncio.sleep(seconds)
    return True


async def _stall_clients(stage: Stage, seconds: float, options: Options) -> bool:
    _, some = _some(stage, options)
    await asyncio.gather(*(client.stall(seconds) for client in some))
    return True


async def _move_clients(stage: Stage, seconds: float, options: Options) -> bool:
    chance, some = _some(stage, options)
    await asyncio.gather(*(client.move(seconds, chance) for client in some))
    return True


def _some(stage: Stage, options: Options) -> tuple[random.Random, list[Any]]:
    chance = random.Random(options["seed"])
    count = max(1, round(options["share"] * len(stage.clients)))
    return chance, chance.sample(stage.clients, count)


ACTS: Mapping[str, Act] = {
    **{kind.name: _told(kind.name) for kind in TOLD},
    "reset": _reset,
    "close": _close,
    "refuse": _refuse,
    "terminate": _terminate,
    "postgres-kill": _kill_postgres,
    "postgres-restart": _restart_postgres,
    "postgres-stop": _stop_postgres,
    "table-lock": _lock_table,
    "realtime-lock": _lock_realtime,
    "realtime-drop": _drop_realtime,
    "long-transaction": _leave_transaction_open,
    "oversized-row": _write_oversized,
    "put-back": _put_back,
    "standby-away": _lose_standby,
    "rate-limit": _limit_rate,
    "supabase-kill": _kill_supabase,
    "dump-restore": _dump_and_restore,
    "promotion": _promote,
    "relay-kill": _kill_relay,
    "clock-jump": _jump_clock,
    "client-cut": _cut_clients,
    "client-stall": _stall_clients,
    "client-move": _move_clients,
}
