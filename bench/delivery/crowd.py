"""Many clients that come back with cursors, in groups that hold the same one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

from bench.follower import Place
from bench.load import Load, load
from bench.processes import Failed

PATIENCE_SECONDS = 300.0
EVENTS = ("--header", "Sec-WebSocket-Protocol: relay.v1", "--marked")
RESUMED = ("--count", '"resumed":true')


@dataclass(frozen=True)
class Group:
    """Clients that resume from the same position."""

    place: Place
    clients: int


@dataclass(frozen=True)
class Returned:
    """Number of clients resumed, and of changes missed."""

    resumed: int
    lost: int


def groups(places: Sequence[Place], clients: int) -> list[Group]:
    """The clients, spread evenly over the places."""
    each, rest = divmod(clients, len(places))
    return [Group(place, each + (at < rest)) for at, place in enumerate(places)]


async def resume(port: int, crowd: Sequence[Group], last: int) -> Returned:
    """Return when every client has all rows from its place up to that one.

    Raises:
        Failed: They do not get there.
    """
    async with AsyncExitStack() as stack:
        coming = (stack.enter_async_context(_come(port, each, last)) for each in crowd)
        loads = await asyncio.gather(*coming)
        complete = await asyncio.gather(*(each.complete(PATIENCE_SECONDS) for each in loads))
        got = [await each.end() for each in loads]
    if not all(complete):
        raise Failed(f"they do not get everything: {got}")
    lost = sum(each["gaps"] + each["out_of_order"] + each["missing"] for each in got)
    return Returned(sum(each["counted"] for each in got), lost)


def _come(port: int, group: Group, last: int) -> AbstractAsyncContextManager[Load]:
    path = f"/ws/hotspots?cursor={group.place.cursor}"
    wanted = ("--first", str(group.place.next), "--last", str(last))
    at_once = ("--inflight", str(group.clients), "--conn-timeout", "60")
    return load(port, group.clients, ("-u", path, *EVENTS, *RESUMED, *wanted, *at_once))
