"""The load generator: so many WebSocket connections that check what they get."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bench import build, machine
from bench.processes import Failed, Program, started

READY_SECONDS = 120.0
# How long it goes on when everything has arrived: until it is told to end.
LINGER_SECONDS = 600


@dataclass
class Load:
    """A running load generator, with its report when all connections were open."""

    program: Program
    ready: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    async def complete(self, seconds: float) -> bool:
        """Whether every connection got everything within that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                report = json.loads(await self.program.line(seconds + 1))
                if report["event"] == "complete":
                    return True
                self.summary = report
        return False

    async def end(self) -> dict[str, Any]:
        """Close the connections; what they got."""
        self.program.signal(signal.SIGTERM)
        return await self.rest(READY_SECONDS)

    async def rest(self, seconds: float) -> dict[str, Any]:
        """What the connections got, when it has ended by itself."""
        while not self.summary:
            report = json.loads(await self.program.line(seconds))
            if report["event"] == "summary":
                self.summary = report
        return self.summary


@asynccontextmanager
async def load(port: int, clients: int, options: Sequence[str]) -> AsyncIterator[Load]:
    """`clients` connections to that port.

    Raises:
        Failed: Not all of them could be opened.
    """
    command = [str(build.WSLOAD), "-p", str(port), "-c", str(clients), "-t", "3600"]
    # One address has ports for 28,000 connections, and closed ones keep theirs for a minute.
    command += ["--src-count", "4", "--linger", str(LINGER_SECONDS), *options]
    async with started("wsload", command, core=machine.cores()[1], piped=True) as program:
        running = Load(program)
        running.ready = json.loads(await program.line(READY_SECONDS))
        if failed := running.ready["failed"]:
            why = (await running.end())["fail"]
            raise Failed(f"{failed} of {clients} connections failed: {why}, {running.ready}")
        yield running
