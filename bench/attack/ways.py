"""The ways in which clients may try to wear the relay down, each a connection or two."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from bench.attack import said as words
from bench.attack.foe import PATIENCE_SECONDS, SMALL_ROOM, Foe, heard, said

UNANSWERED_SECONDS: Final = 1.0
SLOW_SECONDS: Final = 0.5
UNREAD_SECONDS: Final = 5.0
WRITES_OF_A_FLOOD: Final = 20
MOST_RUBBISH: Final = 5000


async def drops(foe: Foe) -> None:
    """Connects, and is gone."""
    async with foe.connected():
        pass


async def half_requests(foe: Foe) -> None:
    """The beginning of a request or of something else, broken off soon or left as it is."""
    async with foe.connected() as connection:
        await said(connection, foe.random.choice(words.BEGINNINGS))
        await heard(connection, foe.random.choice((0.0, 0.0, 0.05, PATIENCE_SECONDS)))


async def slow_requests(foe: Foe) -> None:
    """A byte now and then until the relay has had enough."""
    async with foe.connected() as connection:
        for byte in words.LONG:
            await said(connection, bytes([byte]))
            await asyncio.sleep(SLOW_SECONDS)


async def silent(foe: Foe) -> None:
    """A handshake without a token, and nothing after it."""
    async with foe.upgraded(signed_in=False) as connection:
        while await heard(connection):
            pass


async def breaches(foe: Foe) -> None:
    """A frame that breaks the protocol; the close frame is not answered."""
    async with foe.upgraded() as connection:
        await said(connection, foe.random.choice(words.BREACHES))
        await heard(connection, UNANSWERED_SECONDS)


async def rubbish(foe: Foe) -> None:
    """Random bytes instead of a request, and instead of frames."""
    for way in (foe.connected, foe.upgraded):
        async with way() as connection:
            await said(connection, foe.random.randbytes(foe.random.randrange(1, MOST_RUBBISH)))
            await heard(connection, UNANSWERED_SECONDS)


async def fragments(foe: Foe) -> None:
    """A message without an end, in parts that are empty."""
    async with foe.upgraded() as connection:
        await said(connection, words.EMPTY)
        while True:  # until the relay ends it
            await said(connection, words.EMPTY_PARTS)
            await asyncio.sleep(0.01)


async def floods(foe: Foe) -> None:
    """Pings, pongs or messages by the hundred, whose answers are not read."""
    async with foe.upgraded() as connection:
        for _ in range(WRITES_OF_A_FLOOD):
            await said(connection, foe.random.choice(words.FLOODS))
            await asyncio.sleep(0.01)


async def request_floods(foe: Foe) -> None:
    """Requests without waiting for answers, headers or parts of a body by the thousand."""
    async with foe.connected() as connection:
        await said(connection, foe.random.choice(words.REQUEST_FLOODS))
        await heard(connection, UNANSWERED_SECONDS)


async def unread(foe: Foe) -> None:
    """Is served, and takes nothing."""
    async with foe.upgraded("?last=1000", SMALL_ROOM, signed_in=True):
        await asyncio.sleep(UNREAD_SECONDS)


async def vanishes(foe: Foe) -> None:
    """Asks for much or for what there is not, and is gone in the middle of the answer."""
    async with foe.upgraded(foe.random.choice(words.QUERIES)) as connection:
        await heard(connection, UNANSWERED_SECONDS)


Way = Callable[[Foe], Awaitable[None]]
# How often each comes in one turn of all.
SHARES: Final[dict[Way, int]] = {
    drops: 8,
    breaches: 3,
    half_requests: 2,
    slow_requests: 1,
    silent: 1,
    rubbish: 1,
    fragments: 1,
    floods: 1,
    request_floods: 1,
    unread: 1,
    vanishes: 1,
}
