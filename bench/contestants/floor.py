"""The floor: a C program that frames each row once and writes it to every client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from bench import build, feeds, machine
from bench.contestant import Server
from bench.processes import started


@dataclass(frozen=True)
class Floor:
    """`send` writes once for each row and client, `join` once for all rows that are there."""

    mode: Literal["send", "join"]

    @property
    def name(self) -> str:
        return f"floor-{self.mode}"

    @property
    def joins(self) -> bool:
        return self.mode == "join"

    def lacking(self) -> str | None:
        return None  # built before anything runs

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        port, feed = machine.free_port(), machine.free_port()
        command = [str(build.FLOOR), str(port), str(feed), self.mode]
        async with started(self.name, command, core=machine.cores()[0]) as program:
            await program.listens(port)
            async with feeds.connected(feed, feeds.line) as publish:
                yield Server(port, program.pid, publish)
