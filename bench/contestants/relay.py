"""The relay as it is shipped, fed through its front door by the benchmark's own upstream."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench import machine
from bench.contestant import Server
from bench.processes import Failed, Program, started
from bench.upstream.auth import SHARED_KEY, Algorithm
from bench.upstream.rest import KEY

READY_SECONDS = 15.0
ROWS_PER_MESSAGE = 100  # as the announcing triggers do
PUBLISH_SECONDS = 600.0
PATH = ("-u", "/ws/hotspots")
USERS = 2000  # of whom each may have fifty connections


@dataclass(frozen=True)
class Upstream:
    """The running stand-in for Supabase."""

    url: str
    http: httpx.AsyncClient = field(repr=False)

    async def publish(self, count: int, per_second: float) -> None:
        """Send rows at a fixed rate; return when they were sent."""
        asked = {"rows": count, "per_second": per_second, "per_message": ROWS_PER_MESSAGE}
        answer = await self.http.post("/publish", json=asked, timeout=PUBLISH_SECONDS)
        answer.raise_for_status()

    async def tokens(self, users: int, algorithm: Algorithm = "ES256") -> list[str]:
        """Return a token for each user."""
        asked = {"users": users, "algorithm": algorithm}
        answer = await self.http.get("/tokens", params=asked, timeout=READY_SECONDS)
        tokens: list[str] = answer.raise_for_status().json()
        return tokens

    @property
    def key(self) -> str:
        """The secret key that it accepts."""
        return KEY

    async def asked(self) -> dict[str, int]:
        """How often it was asked for each function and table."""
        found: dict[str, int] = (await self.http.get("/counts")).json()["rest"]
        return found


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """A stand-in for Supabase with an empty history, beside the load generator."""
    command = [sys.executable, "-m", "bench.upstream"]
    async with started("upstream", command, core=machine.cores()[1], piped=True) as program:
        url = f"http://127.0.0.1:{(await program.line()).split()[-1]}"
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            yield Upstream(url, http)


@asynccontextmanager
async def relay(
    url: str,
    key: str,
    port: int,
    lane: str = "broadcast",
    *,
    tokens: Algorithm | None = None,
    io_uring: bool = True,
) -> AsyncIterator[Program]:
    """A relay with default settings that is ready: its live lane, which is `lane`, is proven.
    It lets everybody in, or with `tokens` who has one that is signed so; without `io_uring` each
    client costs it a system call.

    Raises:
        Failed: It does not get ready.
    """
    environment = {
        "SUPABASE_URL": url,
        "SUPABASE_SECRET_KEY": key,
        "PORT": str(port),
        "RELAY_AUTH": "required" if tokens else "off",
        "RELAY_MAX_PER_ADDRESS": "100000",  # all clients are this machine's
        "SUPABASE_JWT_SECRET": SHARED_KEY if tokens == "HS256" else "",
        "RELAY_LIVE": "auto" if lane == "broadcast" else lane,
        **({} if io_uring else {"RELAY_IO_URING": "off"}),
        "NO_PROXY": "*",
    }
    command = [sys.executable, "-m", "relay"]
    core = machine.cores()[0]
    async with started("relay", command, core=core, environment=environment) as program:
        await program.listens(port)
        await _ready(program, port, lane)
        yield program


async def counted(port: int, name: str) -> int:
    """What the relay counts under that name in /metrics, over all labels."""
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics", timeout=30)).text
    found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    return sum(int(float(value)) for value in found)


@contextmanager
def bringing(tokens: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Options of the load generator by which each connection brings one of the tokens in turn, if
    there are any, as long as the block runs."""
    if not tokens:
        yield ()
        return
    with tempfile.TemporaryDirectory(prefix="hr-bench-") as folder:
        words = Path(folder) / "tokens"
        words.write_text("\n".join(tokens))
        yield ("--words", str(words), "--header", "Authorization: Bearer {w}")


@dataclass(frozen=True)
class Relay:
    """`lane` is what feeds it: broadcast from the database, or postgres_changes; `tokens`: each
    client has to bring one that is signed so, and is one of so many `users`; without `io_uring`:
    one system call for each of them. `beside` says in its name what else goes on."""

    lane: str = "broadcast"
    tokens: Algorithm | None = None
    users: int = USERS
    io_uring: bool = True
    beside: str = ""

    @property
    def name(self) -> str:
        tokens = f"-{self.tokens}" if self.tokens else ""
        lane = "" if self.lane == "broadcast" else f"-{self.lane}"
        beside = f" beside {self.beside.replace('_', ' ')}" if self.beside else ""
        return f"relay{tokens}{lane}{'' if self.io_uring else '-without-io_uring'}{beside}"

    @property
    def joins(self) -> bool:
        return True

    def lacking(self) -> str | None:
        return None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        port = machine.free_port()
        async with (
            upstream() as supabase,
            relay(
                supabase.url,
                supabase.key,
                port,
                self.lane,
                tokens=self.tokens,
                io_uring=self.io_uring,
            ) as program,
        ):
            tokens = await supabase.tokens(self.users, self.tokens) if self.tokens else []
            with bringing(tokens) as options:
                yield Server(
                    port,
                    program.pid,
                    supabase.publish,
                    (*PATH, *options),
                    lambda: counted(port, "relay_deliveries_total"),
                )


async def _ready(program: Program, port: int, lane: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    health = (await http.get(f"http://127.0.0.1:{port}/readyz")).json()
                    live = health["live"]
                    if health["ready"] and live["proven"] and live["lane"] == lane:
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise Failed(f"the relay is not ready: {health}{program.last_error()}") from None
