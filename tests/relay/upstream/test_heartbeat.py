"""The relay's own row: what it vouches for, and how long the relay waits for it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.errors import Unavailable
from relay.upstream.heartbeat import Heartbeat, Identity
from relay.upstream.rest import Rest


class Written(Rest):
    """A database that keeps the heartbeat row; `failing`: writes it and does not say so."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", "key")
        self.written = asyncio.Event()
        self.beats = [0]
        self.failing = False

    async def heartbeat(self, instance: str, beat: int) -> int:
        before = self.beats[-1]
        self.beats.append(beat)
        self.written.set()
        if self.failing:
            raise Unavailable("no answer")
        return before


@pytest.fixture
async def rest() -> AsyncIterator[Written]:
    rest = Written()
    yield rest
    await rest.close()


async def test_a_beat_is_never_written_twice_since_it_vouches_for_what_was_read_before_it(
    rest: Written,
) -> None:
    identity = Identity("this one")
    heartbeat = Heartbeat(rest, identity, lambda: 0.0)
    assert await heartbeat.vouch()
    assert identity.beat == 1
    rest.failing = True
    assert not await heartbeat.vouch()
    assert identity.beat == 1
    rest.failing = False
    assert await heartbeat.vouch()
    assert identity.beat == rest.beats[-1] == 3
    heartbeat.disown()
    assert await heartbeat.vouch()
    assert rest.beats == [0, 1, 2, 3, 4]


async def test_a_row_that_has_gone_back_vouches_for_nothing(rest: Written) -> None:
    heartbeat = Heartbeat(rest, Identity("this one"), lambda: 0.0)
    for _ in range(3):
        assert await heartbeat.vouch()
    rest.beats.append(2)
    assert not await heartbeat.vouch()
    assert heartbeat.went_back


async def test_time_in_which_the_relay_stood_still_is_no_time_of_waiting(rest: Written) -> None:
    now = 100.0
    heartbeat = Heartbeat(rest, Identity("this one"), lambda: now)
    beating = asyncio.create_task(heartbeat.run())
    await rest.written.wait()
    now = 102.0
    assert heartbeat.overdue_seconds() == 2
    now = 180.0  # stopped for more than a minute
    assert heartbeat.overdue_seconds() < 5
    now = 182.0
    assert heartbeat.overdue_seconds() > 6
    heartbeat.came_back()
    assert heartbeat.overdue_seconds() == 0
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
