"""Sets the parts of the demo up in order, keeps them running, and takes them down in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import jwt
from postgrest.exceptions import APIError
from supabase import AsyncClient, AsyncClientOptions

from demo.children import Child, GivesUp

logger = logging.getLogger(__name__)

PRUNE_KEEPS = "30 days"  # of arrival; a year of made-up events arrives within half an hour
PRUNE_EVERY_SECONDS = 300


async def prune_for_ever(url: str, key: str) -> None:
    """Prune every five minutes until cancelled; a time when Supabase is away is skipped."""
    http = httpx.AsyncClient(trust_env=False)
    client = AsyncClient(url, key, AsyncClientOptions(httpx_client=http))
    while True:
        try:
            await client.rpc("prune", {"keep": PRUNE_KEEPS}).execute()
        except (httpx.TransportError, APIError) as exc:
            logger.warning("pruning failed, next try in %d s: %s", PRUNE_EVERY_SECONDS, exc)
        await asyncio.sleep(PRUNE_EVERY_SECONDS)


READY_SECONDS = 60.0
STOP_SECONDS = 4.5
TOKEN_SECONDS = 30 * 24 * 3600
DEMO_USER = "00000000-0000-4000-8000-000000000001"
EMAIL = "demo@example.org"
LOCAL_PAGES = "http://localhost:*,http://127.0.0.1:*,https://localhost:*,http://[::1]:*"


class StageError(Exception):
    """The demo cannot go on; the message says why and what helps."""


@dataclass(frozen=True)
class Ports:
    """Where the two servers listen on loopback."""

    emulator: int
    relay: int


@dataclass(frozen=True)
class Feed:
    """Which events are made up, see the options of the command."""

    seed: int
    speed: float
    suppliers: int
    history: int

    def arguments(self) -> list[str]:
        options = ("seed", "speed", "suppliers", "history")
        return [part for name in options for part in (f"--{name}", str(getattr(self, name)))]


@dataclass
class Stage:
    """The demo: `run` returns its exit status after Ctrl-C, SIGTERM or a failure."""

    ports: Ports
    data: Path
    environment: Mapping[str, str] = field(repr=False)
    feed: Feed | None  # None: the field is left to the user's own events
    auth: bool = False
    children: list[Child] = field(default_factory=list)

    async def run(self) -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        show = asyncio.create_task(self._show(), name="show")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait((show, stopped), return_when=asyncio.FIRST_COMPLETED)
        status = 0
        if show.done() and (failure := show.exception()) is not None:
            status = 1
            for reason in reasons(failure):
                say("demo", f"cannot go on: {reason}")
        say("demo", "stopping everything")
        await self._take_down()
        for task in (show, stopped):
            task.cancel()
        await asyncio.gather(show, stopped, return_exceptions=True)
        return status

    async def _show(self) -> None:
        refuse_taken(self.ports)
        env_file = self.data / "demo.env"
        former = state_of(env_file)
        url = f"http://127.0.0.1:{self.ports.emulator}"
        relay = f"http://127.0.0.1:{self.ports.relay}"
        # All of them talk to this machine only: a proxy would send them astray.
        base = dict(self.environment) | {"PYTHONUNBUFFERED": "1", "NO_PROXY": "*", "no_proxy": "*"}
        async with asyncio.TaskGroup() as parts:

            def start(name: str, *arguments: str, environment: dict[str, str]) -> None:
                child = Child(name, arguments, base | environment, say)
                self.children.append(child)
                parts.create_task(child.keep_running(), name=name)

            emulator = ("emulator", "--port", str(self.ports.emulator), "--data", str(self.data))
            # Sample rows would stand beside the events for ever: nobody works on them.
            start("emulator", *emulator, "--no-seed", "--env", str(env_file), environment={})
            # The file first: another emulator might answer at this port. Where one works on the
            # same data, the file is that one's, and stays.
            await rewritten(env_file, former)
            await answer(f"{url}/auth/v1/health", "the embedded Supabase")
            keys = read_env(env_file)
            writer = mint(keys["SUPABASE_JWT_SECRET"], "event_writer")
            access = {"RELAY_AUTH": "off"}  # on this machine only
            if self.auth:
                access = {"RELAY_AUTH": "required"}
                password = await sign_up(url, keys["SUPABASE_SECRET_KEY"])
            else:
                local = mint(keys["SUPABASE_JWT_SECRET"], "authenticated", DEMO_USER)
                access["RELAY_LOCAL_TOKEN"] = local
            # The newest event tells the time: the made-up ones, and old files, are of the past.
            start("worker", "worker", "run", environment=keys | {"WORKER_CLOCK": "events"})
            start(
                "relay",
                "relay",
                environment=keys
                | access
                | {"PORT": str(self.ports.relay), "RELAY_ALLOWED_ORIGINS": LOCAL_PAGES},
            )
            if self.feed is not None:
                start(
                    "feed",
                    *("demo", *self.feed.arguments(), "--data", str(self.data), "feed"),
                    environment={
                        "SUPABASE_URL": url,
                        "SUPABASE_PUBLISHABLE_KEY": keys["SUPABASE_PUBLISHABLE_KEY"],
                        "EVENT_WRITER_TOKEN": writer,
                    },
                )
            parts.create_task(prune_for_ever(url, keys["SUPABASE_SECRET_KEY"]), name="prune")
            await answer(f"{relay}/readyz", "the relay")
            sockets = relay.replace("http", "ws", 1)
            say("demo", "ready")
            say("demo", f"  page       {relay}/")
            say("demo", f"  endpoints  {sockets}/ws/hotspots  /ws/alerts  /ws/recommendations")
            say("demo", f"  Supabase   {url}")
            say("demo", f"  variables  {env_file} (for `python -m worker` and your own programs)")
            say("demo", f"  processes  {self._processes()}; what is killed is started again")
            port = "" if self.ports.relay == 8003 else f"PORT={self.ports.relay} "
            token = ""
            if self.auth:
                say("demo", f"  sign in    {EMAIL}  {password}")
                data = "" if self.data == Path(".emulator") else f" --data {self.data}"
                token = f"RELAY_TOKEN=$({sys.executable} -m emulator token{data}) "
            say("demo", f"  try        {port}{token}{sys.executable} -m relay check")
            if self.feed is None:
                say("demo", f"  your file  set -a; . {env_file}; set +a")
                say("demo", f"             {sys.executable} -m worker ingest FILE")
            say("demo", "Ctrl-C stops everything; the data is kept.")

    def _processes(self) -> str:
        """Which process each part is: `emulator 71, worker 75, relay 76`."""
        running = ((child.name, child.process) for child in self.children)
        return ", ".join(f"{name} {process.pid}" for name, process in running if process)

    async def _take_down(self) -> None:
        """Stop writers before readers before the database, all within STOP_SECONDS."""
        deadline = time.monotonic() + STOP_SECONDS
        rest = [child for child in self.children if child.name != "emulator"]
        await asyncio.gather(*(child.stop(STOP_SECONDS - 2.5) for child in rest))
        for child in self.children:
            await child.stop(max(0.5, deadline - time.monotonic()))


def reasons(failure: BaseException) -> list[str]:
    """What went wrong, one line each, for a failure that may be a group of them."""
    if isinstance(failure, BaseExceptionGroup):
        return [reason for inner in failure.exceptions for reason in reasons(inner)]
    if isinstance(failure, (GivesUp, StageError)):
        return [str(failure)]
    return [f"{type(failure).__name__}: {failure}"]


def say(who: str, line: str) -> None:
    """Print one line under the name of the part that it comes from."""
    with contextlib.suppress(BrokenPipeError):
        print(f"{who:>8} | {line}", flush=True)


async def answer(url: str, name: str) -> None:
    """Return when `url` answers 200.

    Raises:
        StageError: It does not answer so in time.
    """
    deadline = time.monotonic() + READY_SECONDS
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(url)).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise StageError(f"{name} was not ready within {READY_SECONDS:g} s, see its lines above")


async def sign_up(url: str, secret_key: str) -> str:
    """Make the demo's user, or give it a new password; the password. Raises StageError."""
    password = secrets.token_urlsafe(9)
    wish = {"email": EMAIL, "password": password, "email_confirm": True}
    users = f"{url}/auth/v1/admin/users"
    headers = {"apikey": secret_key, "Authorization": f"Bearer {secret_key}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=10) as client:
        reply = await client.put(f"{users}/{DEMO_USER}", json=wish)
        if reply.status_code == 404:
            reply = await client.post(users, json={"id": DEMO_USER, **wish})
    if not reply.is_success:
        raise StageError(f"the demo's user could not be made: {reply.text}")
    return password


def refuse_taken(ports: Ports) -> None:
    """Raise StageError when a port cannot be had: whoever has it might be taken for ours."""
    for name, port in (("emulator", ports.emulator), ("relay", ports.relay)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as exc:
                why = "is in use" if exc.errno == errno.EADDRINUSE else f"fails: {exc.strerror}"
                raise StageError(
                    f"127.0.0.1:{port} {why}; stop the other program or choose another port"
                    f" with --{name}-port"
                ) from None


def state_of(path: Path) -> tuple[int, int] | None:
    """What changes whenever the file is replaced; None while there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


async def rewritten(path: Path, former: tuple[int, int] | None) -> None:
    """Return when `path` is there and not as before.

    Raises:
        StageError: It is not there in time.
    """
    deadline = time.monotonic() + READY_SECONDS
    while await asyncio.to_thread(state_of, path) in (None, former):
        if time.monotonic() > deadline:
            raise StageError(f"{path} was not written within {READY_SECONDS:g} s")
        await asyncio.sleep(0.05)


def read_env(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of `path`."""
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, sign, value in lines if sign and not name.startswith("#")}


def mint(secret: str, role: str, subject: str | None = None) -> str:
    """A token for `role`, as Supabase Auth would sign it with the project's secret."""
    now = int(time.time())
    claims: dict[str, object] = {"role": role, "aud": "authenticated", "iat": now}
    claims |= {"exp": now + TOKEN_SECONDS}
    if subject is not None:
        claims["sub"] = subject
    return jwt.encode(claims, secret, algorithm="HS256")
