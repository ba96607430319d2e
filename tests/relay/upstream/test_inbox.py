"""Rows that arrive live faster than they are worked off."""

import asyncio

from relay.upstream.live import Inbox
from relay.upstream.state import Lane

FAST, SLOW = Lane.BROADCAST, Lane.POSTGRES_CHANGES


async def test_frames_come_out_whole_and_in_their_order() -> None:
    inbox = Inbox(100)
    assert inbox.put(FAST, [{"id": 1}, {"id": 2}])
    assert inbox.put(SLOW, [{"id": 3}])
    assert inbox.put(FAST, [{"id": 4}])
    assert await inbox.take(3) == [(FAST, [{"id": 1}, {"id": 2}]), (SLOW, [{"id": 3}])]
    assert await inbox.take(3) == [(FAST, [{"id": 4}])]


async def test_who_takes_waits_for_a_frame() -> None:
    inbox = Inbox(100)
    taking = asyncio.create_task(inbox.take(10))
    await asyncio.sleep(0)
    assert not taking.done()
    inbox.put(FAST, [{"id": 1}])
    assert await taking == [(FAST, [{"id": 1}])]


async def test_half_full_there_is_no_room_until_rows_are_taken() -> None:
    inbox = Inbox(10)
    inbox.put(FAST, [{}] * 4)
    assert inbox.room.is_set()
    inbox.put(FAST, [{}])
    assert not inbox.room.is_set()
    await inbox.take(1)
    assert inbox.room.is_set()


async def test_what_would_pass_the_limit_is_refused_unless_it_is_alone() -> None:
    inbox = Inbox(10)
    assert inbox.put(FAST, [{}] * 20)
    assert not inbox.put(FAST, [{}])
    assert [len(rows) for _, rows in await inbox.take(1)] == [20]
    assert inbox.put(FAST, [{}])
