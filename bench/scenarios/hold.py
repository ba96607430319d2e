"""For how long the relay's loop serves nobody else, while it sends 2,000 rows to 3,000 clients."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect

from bench.contestant import Contestant, Server
from bench.follower import SUBPROTOCOL
from bench.load import Load, load
from bench.processes import Failed
from bench.scenarios.fanout import SETTLE_SECONDS, Figures

CLIENTS, ROWS = 3000, 2000
BURSTS = 2
QUIET_SECONDS = 2.0
PATIENCE_SECONDS = 90.0
# Each may say five messages a second, and all of them together ask every 10 ms.
PROBES, EVERY_SECONDS = 40, 0.4
NICE = 10
PING = json.dumps({"type": "ping"})


@dataclass
class Probes:
    """Clients that ask in turn whether the relay is there; `longest` is what an answer took."""

    longest: float = 0.0

    async def ask(self, client: ClientConnection, number: int) -> None:
        """Ask at a steady rate until cancelled."""
        await asyncio.sleep(EVERY_SECONDS * number / PROBES)
        while True:
            began = time.monotonic()
            await client.send(PING)
            while json.loads(await client.recv())["type"] != "pong":
                pass
            took = time.monotonic() - began
            self.longest = max(self.longest, took)
            await asyncio.sleep(max(0.0, EVERY_SECONDS - took))

    async def during(self, work: Awaitable[object]) -> float:
        """The longest answer while that is done, in milliseconds."""
        self.longest = 0.0
        await work
        return self.longest * 1000


@asynccontextmanager
async def probing(port: int) -> AsyncIterator[Probes]:
    """Clients that ask until the block ends."""
    probes = Probes()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as asking:
        tasks = []
        for number in range(PROBES):
            client = await stack.enter_async_context(
                connect(
                    f"ws://127.0.0.1:{port}/ws/alerts?last=0",
                    subprotocols=[SUBPROTOCOL],
                    proxy=None,
                )
            )
            tasks.append(asking.create_task(probes.ask(client, number)))
        yield probes
        for task in tasks:
            task.cancel()


async def measure(contestant: Contestant) -> Figures:
    """The longest answer while nothing is published, and in bursts.

    Raises:
        Failed: The clients did not get everything in order.
    """
    async with contestant.running() as server, probing(server.port) as probes:
        quiet = await probes.during(asyncio.sleep(QUIET_SECONDS))
        options = (*server.options, "-e", str(BURSTS * ROWS))
        async with load(server.port, CLIENTS, options) as running:
            # It has the core of those who ask, and must not hold them up.
            os.setpriority(os.PRIO_PROCESS, running.program.pid, NICE)
            await asyncio.sleep(SETTLE_SECONDS)
            longest = await probes.during(_bursts(server, running))
            got = await running.end()
    if wrong := {name: got[name] for name in ("missing", "gaps", "out_of_order") if got[name]}:
        raise Failed(f"not delivered as published: {wrong}")
    return {"clients": CLIENTS, "quiet_ms": quiet, "longest_ms": longest}


async def _bursts(server: Server, running: Load) -> None:
    for _ in range(BURSTS):
        await server.publish(ROWS, 0)
    await running.complete(PATIENCE_SECONDS)
