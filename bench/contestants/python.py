"""The contestants that are Python programs fed over one connection."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench import feeds, machine
from bench.contestant import Server
from bench.processes import started


@dataclass(frozen=True)
class PythonPeer:
    """A module of bench/peers; `factory` when it is an application that uvicorn serves."""

    name: str
    module: str
    needs: str | None = None
    factory: bool = False
    joins: bool = False

    def lacking(self) -> str | None:
        if self.needs is None or importlib.util.find_spec(self.needs) is not None:
            return None
        return f"the package {self.needs} is not installed: pip install -e '.[bench]'"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        port, feed = machine.free_port(), machine.free_port()
        environment = {"FEED_PORT": str(feed)}
        command = [sys.executable, "-m", self.module, str(port), str(feed)]
        if self.factory:
            uvicorn = ["-m", "uvicorn", "--factory", f"{self.module}:create_app"]
            command = [sys.executable, *uvicorn, "--port", str(port), "--log-level", "warning"]
        core = machine.cores()[0]
        async with started(self.name, command, core=core, environment=environment) as program:
            await program.listens(port)
            await program.listens(feed)
            async with feeds.connected(feed, feeds.line) as publish:
                options = ("-u", "/ws") if self.factory else ()
                yield Server(port, program.pid, publish, options)


NAIVE = PythonPeer("naive", "bench.peers.naive", factory=True)
WEBSOCKETS = PythonPeer("websockets", "bench.peers.websockets_broadcast")
PICOWS = PythonPeer("picows", "bench.peers.picows_server", needs="picows")
