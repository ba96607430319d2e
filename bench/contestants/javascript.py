"""The contestants from npm: bun's own server, and ws and Socket.IO under Node."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench import feeds, install, machine
from bench.contestant import Server
from bench.processes import started

SOCKET_IO = (
    *("-u", "/socket.io/?EIO=4&transport=websocket"),
    *("--send-text", "40", "--preamble", "2", "--text-pong", "2=3"),
)


@dataclass(frozen=True)
class JavaScriptPeer:
    """A script of bench/peers/js."""

    name: str
    script: str
    joins: bool = False
    options: tuple[str, ...] = ()

    def lacking(self) -> str | None:
        if shutil.which("npm") is None:
            return "node and npm are not installed"
        return install.npm_failure() or (None if self._runtime() else "npm has no bun for this one")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        port, feed = machine.free_port(), machine.free_port()
        runtime = self._runtime()
        assert runtime is not None, "asked for before"
        command = [runtime, str(install.JAVASCRIPT / self.script), str(port), str(feed)]
        async with started(self.name, command, core=machine.cores()[0]) as program:
            await program.listens(port)
            await program.listens(feed)
            async with feeds.connected(feed, feeds.line) as publish:
                yield Server(port, program.pid, publish, self.options)

    def _runtime(self) -> str | None:
        if self.name != "bun":
            return shutil.which("node")
        return next(
            map(str, install.JAVASCRIPT.glob("node_modules/@oven/bun-linux*/bin/bun")), None
        )


BUN = JavaScriptPeer("bun", "bun.mjs", joins=True)
WS = JavaScriptPeer("node-ws", "ws.mjs")
SOCKETIO = JavaScriptPeer("socket.io", "socketio.mjs", options=SOCKET_IO)
