"""The ways in which clients may try to wear the relay down, each a connection or two."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from bench import rows
from bench.attack import said as words
from bench.attack.foe import PATIENCE_SECONDS, SMALL_ROOM, Foe, heard, said

UNANSWERED_SECONDS: Final = 1.0
SLOW_SECONDS: Final = 0.5
UNREAD_SECONDS: Final = 5.0
STAY_SECONDS: Final = 10.0
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


async def made_up_seqs(foe: Foe) -> None:
    """Comes back from any place in the stream, and is gone when the relay has begun to look."""
    seq = foe.random.randrange(2**53)
    async with foe.upgraded(
        f"?cursor={await foe.cursor()}&seq={seq}", signed_in=True, subprotocol="relay.v1"
    ):
        pass


async def state_reads(foe: Foe) -> None:
    """Asks for the state of what nobody else asks for, and is gone."""
    async with foe.upgraded(
        f"?last=1000&entity={_name(foe)}", signed_in=True, subprotocol="relay.v1"
    ):
        pass


async def own_filters(foe: Foe) -> None:
    """Stays, with a filter that nobody else has and as many values as there may be, for which the
    relay has to read much or little."""
    values = ",".join([*rows.ENTITIES, *(_name(foe) for _ in range(50 - len(rows.ENTITIES)))])
    last = foe.random.choice(("", "last=0&", f"last={foe.random.randrange(1, 1001)}&"))
    async with foe.upgraded(f"?{last}entity={values}", signed_in=True) as connection:
        async with asyncio.timeout(STAY_SECONDS):
            while await heard(connection):
                pass


async def replays(foe: Foe) -> None:
    """Comes back from a place of long ago, and reads nothing of all that it missed."""
    async with foe.upgraded(
        f"?cursor={await foe.cursor()}", SMALL_ROOM, signed_in=True, subprotocol="relay.v1"
    ):
        await asyncio.sleep(UNREAD_SECONDS)


def _name(foe: Foe) -> str:
    return f"nobody-{foe.random.randrange(10**9)}"


Way = Callable[[Foe], Awaitable[None]]
# What a signed-in user may try, one way at a time.
OF_A_USER: Final[dict[str, Way]] = {
    way.__name__: way for way in (made_up_seqs, state_reads, own_filters, replays)
}
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
