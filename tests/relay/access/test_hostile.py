"""Everything hostile at once, while honest clients follow: they lose nothing, nothing is left.

`HOSTILE=10000 HONEST=100` makes it that many connections from one address and honest clients.
"""

import asyncio
import contextlib
import logging
import os
from contextlib import AsyncExitStack
from typing import NoReturn

import pytest
from websockets.asyncio.client import ClientConnection

from emulator.running import Emulator
from relay.connections import http, session, websocket
from tests.relay.access.admission import token_of
from tests.relay.access.hostile import Hostile, alive, resident_bytes, until_left
from tests.relay.clients import Running, Tables, frame, greeted, live_relay
from tests.relay.raw import HEADERS, head, speaking

FROM_ONE_ADDRESS = int(os.environ.get("HOSTILE") or 2000)
HONEST = int(os.environ.get("HONEST") or 20)
ATTACKERS = 4
AT_ONCE = 100
SECONDS = 100.0 + FROM_ONE_ADDRESS / 50
MOST_BYTES_LEFT = 48 * 1024 * 1024

pytestmark = pytest.mark.timeout(SECONDS + 60)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEAD_SECONDS", 3.0)
    monkeypatch.setattr(http, "BODY_SECONDS", 3.0)
    monkeypatch.setattr(websocket, "LINGER_SECONDS", 1.0)
    monkeypatch.setattr(session, "STALLED_SECONDS", 8.0)


class Honest:
    """A client that notes the id of each row that it is told of."""

    def __init__(self, client: ClientConnection) -> None:
        self.client = client
        self.seen: list[int] = []
        self._news = asyncio.Event()

    async def follow(self) -> NoReturn:
        """Until cancelled."""
        while True:
            found = await frame(self.client)
            if found["type"] in ("INSERT", "UPDATE"):
                self.seen.append(found["record"]["id"])
                self._news.set()

    async def told_of(self, row_id: int) -> None:
        """Wait for that row."""
        while row_id not in self.seen:
            self._news.clear()
            await self._news.wait()


async def crowd(relay: Running, token: str, stack: AsyncExitStack) -> int:
    """How many of the connections from one address are refused; the others are held."""
    slots, refused = asyncio.Semaphore(AT_ONCE), 0
    own = {"X-Forwarded-For": "198.51.100.9", "Authorization": f"Bearer {token}"}
    request = head("/ws/hotspots", HEADERS | own)

    async def one() -> None:
        nonlocal refused
        async with slots, AsyncExitStack() as its_own:
            raw = await its_own.enter_async_context(speaking(relay.host, request))
            if raw.status == 429:
                refused += 1
            else:
                assert raw.status == 101
                stack.push_async_exit(its_own.pop_all())

    await asyncio.gather(*(one() for _ in range(FROM_ONE_ADDRESS)))
    return refused


async def rows_pass(tables: Tables, over: asyncio.Event) -> list[int]:
    """Writes a row now and then until the attack is over; their ids."""
    written = []
    while not over.is_set():
        written.append(tables.hotspot())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await over.wait()
    written.append(tables.hotspot())
    return written


async def test_honest_clients_lose_nothing_and_nothing_is_left(
    emulator: Emulator, tables: Tables, caplog: pytest.LogCaptureFixture
) -> None:
    variables = {
        "RELAY_AUTH": "required",
        "RELAY_AUTH_SECONDS": "2",
        "RELAY_TRUSTED_PROXIES": "127.0.0.1",
    }
    async with (
        live_relay(emulator, **variables) as relay,
        asyncio.timeout(SECONDS),
        AsyncExitStack() as stack,
    ):
        await until_left(relay, 0)
        first = alive()
        honest = [await join(relay, emulator, number, stack) for number in range(HONEST)]
        await until_left(relay, HONEST)
        level, memory = alive(), resident_bytes()
        began = asyncio.get_running_loop().time()
        evil = token_of(emulator, sub="evil")
        over = asyncio.Event()
        following = [asyncio.create_task(each.follow()) for each in honest]
        writing = asyncio.create_task(rows_pass(tables, over))
        attacks = [
            attack
            for number in range(ATTACKERS)
            for attack in Hostile(relay, evil, number).attacks()
        ]
        async with AsyncExitStack() as held, asyncio.TaskGroup() as tasks:
            crowding = tasks.create_task(crowd(relay, evil, held))
            for attack in attacks:
                tasks.create_task(attack)
        lasted = asyncio.get_running_loop().time() - began
        over.set()
        written = await writing
        for each in honest:
            await each.told_of(written[-1])
            assert sorted(set(each.seen)) == written
        for task in following:
            task.cancel()
        ends = await asyncio.gather(*following, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}
        # What may come at once from one address, and then each second.
        assert crowding.result() >= FROM_ONE_ADDRESS - 100 - 20 * lasted - 1
        await until_left(relay, HONEST)
        assert more_than(level) == {}
        assert resident_bytes() - memory < MOST_BYTES_LEFT
        await stack.aclose()
        await until_left(relay, 0)
        assert more_than(first) == {}
    accidents = [each for each in caplog.records if each.exc_info or each.levelno >= logging.ERROR]
    assert [each.getMessage() for each in accidents] == []


async def join(relay: Running, emulator: Emulator, number: int, stack: AsyncExitStack) -> Honest:
    token = token_of(emulator, sub=f"honest-{number}")
    client = await stack.enter_async_context(
        relay.follow(
            "hotspots",
            additional_headers={
                "Authorization": f"Bearer {token}",
                "X-Forwarded-For": f"203.0.113.{number}",
            },
            ping_interval=None,
        )
    )
    await greeted(client)
    return Honest(client)


# What is kept on purpose: rendered states and what they belong to, and deadlines that were
# cancelled, as long as they are few; how fast an address comes; what sends to a group, as long as
# that has a log.
CACHED = (
    "initial_state.InitialState",
    "initial_state.StateSlice",
    "state.Kept",
    "state._Entry",  # one for each of them, and let go with it
    "admission.Parameters",
    "scheduling.Deadline",
    "limits.TokenBucket",
    "io_uring.SocketBatch",
)


def more_than(level: dict[str, int]) -> dict[str, int]:
    """Of which classes there are more objects now, those apart that are kept on purpose."""
    return {
        kind: count - level.get(kind, 0)
        for kind, count in alive().items()
        if count > level.get(kind, 0) and not any(each in kind for each in CACHED)
    }
