"""The ways in which clients may try to wear the relay down, each a connection or two."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from bench import rows
from bench.attack import payloads
from bench.attack.attacker import PATIENCE_SECONDS, SMALL_ROOM, Attacker, receive, send

UNANSWERED_SECONDS: Final = 1.0
SLOW_SECONDS: Final = 0.5
UNREAD_SECONDS: Final = 5.0
STAY_SECONDS: Final = 10.0
WRITES_OF_A_FLOOD: Final = 20
MOST_RUBBISH: Final = 5000


async def drops(attacker: Attacker) -> None:
    """Connects, and is gone."""
    async with attacker.connected():
        pass


async def half_requests(attacker: Attacker) -> None:
    """Send the beginning of a request or of something else, then close or leave it."""
    async with attacker.connected() as connection:
        await send(connection, attacker.random.choice(payloads.BEGINNINGS))
        await receive(connection, attacker.random.choice((0.0, 0.0, 0.05, PATIENCE_SECONDS)))


async def slow_requests(attacker: Attacker) -> None:
    """Send a byte now and then until the relay closes."""
    async with attacker.connected() as connection:
        for byte in payloads.LONG:
            await send(connection, bytes([byte]))
            await asyncio.sleep(SLOW_SECONDS)


async def silent(attacker: Attacker) -> None:
    """A handshake without a token, and nothing after it."""
    async with attacker.upgraded(signed_in=False) as connection:
        while await receive(connection):
            pass


async def breaches(attacker: Attacker) -> None:
    """A frame that breaks the protocol; the close frame is not answered."""
    async with attacker.upgraded() as connection:
        await send(connection, attacker.random.choice(payloads.BREACHES))
        await receive(connection, UNANSWERED_SECONDS)


async def rubbish(attacker: Attacker) -> None:
    """Random bytes instead of a request, and instead of frames."""
    for way in (attacker.connected, attacker.upgraded):
        async with way() as connection:
            await send(
                connection, attacker.random.randbytes(attacker.random.randrange(1, MOST_RUBBISH))
            )
            await receive(connection, UNANSWERED_SECONDS)


async def fragments(attacker: Attacker) -> None:
    """A message without an end, in parts that are empty."""
    async with attacker.upgraded() as connection:
        await send(connection, payloads.EMPTY)
        while True:  # until the relay ends it
            await send(connection, payloads.EMPTY_PARTS)
            await asyncio.sleep(0.01)


async def floods(attacker: Attacker) -> None:
    """Pings, pongs or messages by the hundred, whose answers are not read."""
    async with attacker.upgraded() as connection:
        for _ in range(WRITES_OF_A_FLOOD):
            await send(connection, attacker.random.choice(payloads.FLOODS))
            await asyncio.sleep(0.01)


async def request_floods(attacker: Attacker) -> None:
    """Requests without waiting for answers, headers or parts of a body by the thousand."""
    async with attacker.connected() as connection:
        await send(connection, attacker.random.choice(payloads.REQUEST_FLOODS))
        await receive(connection, UNANSWERED_SECONDS)


async def unread(attacker: Attacker) -> None:
    """Is served, and takes nothing."""
    async with attacker.upgraded("?last=1000", SMALL_ROOM, signed_in=True):
        await asyncio.sleep(UNREAD_SECONDS)


async def vanishes(attacker: Attacker) -> None:
    """Request much, or what does not exist, and disconnect in the middle of the answer."""
    async with attacker.upgraded(attacker.random.choice(payloads.QUERIES)) as connection:
        await receive(connection, UNANSWERED_SECONDS)


async def made_up_seqs(attacker: Attacker) -> None:
    """Resume from an arbitrary position, and disconnect while the relay reads."""
    seq = attacker.random.randrange(2**53)
    async with attacker.upgraded(
        f"?cursor={await attacker.cursor()}&seq={seq}", signed_in=True, subprotocol="relay.v1"
    ):
        pass


async def state_reads(attacker: Attacker) -> None:
    """Request the initial state of a unique filter, and disconnect."""
    async with attacker.upgraded(
        f"?last=1000&entity={_name(attacker)}", signed_in=True, subprotocol="relay.v1"
    ):
        pass


async def own_filters(attacker: Attacker) -> None:
    """Stays, with a filter that nobody else has and as many values as there may be, for which the
    relay has to read much or little."""
    values = ",".join([*rows.ENTITIES, *(_name(attacker) for _ in range(50 - len(rows.ENTITIES)))])
    last = attacker.random.choice(("", "last=0&", f"last={attacker.random.randrange(1, 1001)}&"))
    async with attacker.upgraded(f"?{last}entity={values}", signed_in=True) as connection:
        async with asyncio.timeout(STAY_SECONDS):
            while await receive(connection):
                pass


async def replays(attacker: Attacker) -> None:
    """Comes back from a place of long ago, and reads nothing of all that it missed."""
    async with attacker.upgraded(
        f"?cursor={await attacker.cursor()}", SMALL_ROOM, signed_in=True, subprotocol="relay.v1"
    ):
        await asyncio.sleep(UNREAD_SECONDS)


def _name(attacker: Attacker) -> str:
    return f"nobody-{attacker.random.randrange(10**9)}"


Way = Callable[[Attacker], Awaitable[None]]
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
