"""Everything that takes part in a run, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.arrivals import Arrivals, Outages
from chaos.clients import Client, Events, Rows
from chaos.incidents import Incidents
from chaos.ledger import Ledger
from chaos.plain import Plain
from chaos.project import Project
from chaos.relays import Form, Relay
from chaos.servers import Servers
from chaos.subscriptions import mixture
from chaos.writers import Writers
from emulator.account import make_private, unprivileged

LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000  # below those that connections of clients get


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a run is, in seconds where it is time. `bound` and `recovery`: see `Outages`;
    `longest_pause`: what a client waits at most before it reconnects; `drain`: how long they have
    in the end, connected, to get what is missing. `live` is the relays' RELAY_LIVE, `program` what
    `python -m` runs as a relay."""

    clients: int = 200
    relays: int = 2
    changes_per_second: float = 80.0
    catch_up_seconds: float = 5.0
    bound: float = 6.0
    recovery: float = 3.0
    longest_pause: float = 30.0
    drain: float = 15.0
    plain: bool = True
    live: str = "auto"
    form: Form = Form.SHIPPED
    program: Sequence[str] = ("relay",)


@dataclass
class Stage:
    """The parts of a run; `servers` and `project` may be told to fail."""

    size: Size
    directory: Path
    ledger: Ledger
    outages: Outages
    incidents: Incidents
    arrivals: Arrivals
    servers: Servers
    project: Project
    relays: list[Relay]
    clients: list[Client]
    writers: Writers
    plain: Plain

    async def restart_project(self, *, rate_limit: float | None = None) -> None:
        """Serve the server that is in use now; returns when that works."""
        await self.project.start(self.servers.data, rate_limit=rate_limit)
        await self.project.reads()

    async def all_ready(self, seconds: float) -> bool:
        """Whether every client has had everything it missed, within that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not all(client.ready for client in self.clients):  # noqa: ASYNC110 of many
                    await asyncio.sleep(0.05)
                return True
        return False


@asynccontextmanager
async def staged(size: Size, seed: int) -> AsyncIterator[Stage]:
    """A run's parts: clients connected, writers writing. Nothing of it is left at the end."""
    directory = Path(tempfile.mkdtemp(prefix="hr-chaos-", dir="/tmp"))
    make_private(directory, unprivileged())
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        stage = _assembled(size, directory, seed)
        stack.callback(stage.servers.stop)
        await asyncio.to_thread(stage.servers.start)
        stack.push_async_callback(stage.project.close)
        await stage.restart_project()
        stack.push_async_callback(_stop, stage.relays)
        for relay in stage.relays:
            relay.start()
        for relay in stage.relays:
            await relay.serves()
        parts = {client.name: client.run() for client in stage.clients}
        parts["writers"] = stage.writers.run()
        if size.plain:
            parts["plain subscribers"] = stage.plain.run()
        async with watched(parts):
            if size.plain:
                await stage.plain.hear()
            yield stage
            async with stage.writers.paused():
                pass


async def _stop(relays: Sequence[Relay]) -> None:
    await asyncio.gather(*(relay.stop() for relay in relays))


def _assembled(size: Size, directory: Path, seed: int) -> Stage:
    ledger = Ledger()
    outages = Outages(size.bound, size.recovery)
    incidents = Incidents(time.monotonic)
    arrivals = Arrivals(ledger, outages)
    servers = Servers(directory)
    ports = _free_ports(1 + size.relays)
    project = Project(directory, ports[0])
    environment = {"SUPABASE_URL": project.url, "SUPABASE_SECRET_KEY": project.secret}
    settings = environment | {
        "RELAY_AUTH": "off",
        "RELAY_MAX_PER_ADDRESS": "100000",  # all clients are this machine's
        "RELAY_CATCH_UP_SECONDS": f"{size.catch_up_seconds:g}",
        "RELAY_LIVE": size.live,
    }
    relays = [
        Relay(f"relay-{number + 1}", port, settings, directory, size.form, size.program)
        for number, port in enumerate(ports[1:])
    ]
    clients = [
        Client(
            f"client {number} ({wanted.table} {wanted.query})",
            wanted,
            (Rows if rows else Events)(wanted, incidents, f"client {number}"),
            relays,
            number // 3 % size.relays,
            arrivals,
            incidents,
            size.longest_pause,
        )
        for number, (wanted, rows) in enumerate(mixture(size.clients))
    ]
    return Stage(
        size,
        directory,
        ledger,
        outages,
        incidents,
        arrivals,
        servers,
        project,
        relays,
        clients,
        Writers(ledger, servers.dsn, size.changes_per_second, seed),
        Plain(environment, ledger),
    )


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the system gives to clients."""
    found: list[int] = []
    for port in range(LOWEST_PORT + time.time_ns() // 1000 % 10_000, HIGHEST_PORT):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"no {count} free ports below {HIGHEST_PORT}")


@asynccontextmanager
async def watched(parts: Mapping[str, Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
    """The parts go on while the block is entered, and are cancelled at its end."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part, name=name) for name, part in parts.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
