"""100 clients follow, first undisturbed, then while others do what they can against the relay."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from bench import machine, usage
from bench.attack.running import Done, attacking
from bench.contestants.relay import PATH, Upstream, bringing, counted, relay, upstream
from bench.load import Load, load
from bench.processes import Failed, Program
from bench.scenarios.fanout import SETTLE_SECONDS, Figures

CLIENTS, ATTACKERS = 100, 20
ROWS_PER_SECOND = 50
MOST_SHOWN = 1000  # by `?last=`
PATIENCE_SECONDS = 60.0
LOST = ("missing", "gaps", "out_of_order", "surplus", "closed_by_server")


@dataclass(frozen=True)
class Course:
    """How a run goes: for how long the relay sees an attack beforehand, for how long it is
    measured, how many attacks begin each second, for how long before that they gather, and when
    after them memory is looked at again."""

    warm_seconds: float = 6.0
    seconds: float = 20.0
    per_second: float = 200.0
    gather_seconds: float = 12.0  # the relay ends no attack later
    calm_seconds: float = 5.0

    @property
    def rows(self) -> int:
        """What is published in peace, and once more under attack."""
        return round(self.seconds * ROWS_PER_SECOND)


@dataclass(frozen=True)
class Scene:
    """The relay and its upstream."""

    supabase: Upstream
    program: Program
    port: int
    course: Course

    async def follow(self, clients: Load) -> float:
        """Publish the rows and wait until all have them; how busy the relay was, 1 at most."""
        used, began = usage.processor_us([self.program.pid]), time.monotonic()
        await self.supabase.publish(self.course.rows, ROWS_PER_SECOND)
        used = usage.processor_us([self.program.pid]) - used
        share = used / 1e6 / (time.monotonic() - began)
        await clients.complete(PATIENCE_SECONDS)
        return share

    async def warm_up(self, attackers: list[str]) -> None:
        """Leave the relay with as many rows as it ever shows, and with all that it keeps for
        clients of any kind once it has seen some."""
        await self.supabase.publish(MOST_SHOWN, 0)
        async with attacking(self.port, self.course.per_second, attackers) as attack:
            await asyncio.sleep(self.course.warm_seconds)
            await attack.end()
        await self._left_with(0)

    async def peace(self, clients: Load) -> Figures:
        """What the clients get by themselves, and what the rows leave in the relay's memory."""
        await asyncio.sleep(SETTLE_SECONDS)
        before = usage.memory_kib([self.program.pid])
        busy = await self.follow(clients)
        await asyncio.sleep(self.course.calm_seconds)
        left = usage.memory_kib([self.program.pid]) - before
        return latency(await clients.end()) | {"busy": busy, "left_kib": left}

    async def attack(self, clients: Load, attackers: list[str]) -> tuple[Figures, Done]:
        """What they get under attack, and what becomes of the relay's memory."""
        await asyncio.sleep(SETTLE_SECONDS)
        pids = (self.program.pid,)
        before = usage.memory_kib(pids)
        async with (
            usage.growth(pids) as memory,
            attacking(self.port, self.course.per_second, attackers) as attack,
        ):
            await asyncio.sleep(self.course.gather_seconds)
            busy = await self.follow(clients)
            done = await attack.end()
        await self._left_with(CLIENTS)
        await asyncio.sleep(self.course.calm_seconds)
        left = usage.memory_kib(pids) - before
        figures = {"busy": busy, "before_kib": before, "growth_kib": memory.kib, "left_kib": left}
        return latency(await clients.end()) | figures, done

    async def _left_with(self, clients: int) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await counted(self.port, "relay_clients") != clients:  # noqa: ASYNC110
                    await asyncio.sleep(SETTLE_SECONDS)
        except TimeoutError:
            raise Failed("the relay still counts clients of the attack") from None


async def measure(course: Course | None = None) -> Figures:
    """Latency in peace and under attack, and the relay's memory.

    Raises:
        Failed: A client lost something, or the attack was none.
    """
    course, port = course or Course(), machine.free_port()
    async with (
        upstream() as supabase,
        relay(supabase.url, supabase.key, port, tokens="ES256") as program,
    ):
        scene = Scene(supabase, program, port, course)
        tokens = await supabase.tokens(CLIENTS + ATTACKERS)
        await scene.warm_up(tokens[:ATTACKERS])
        with bringing(tokens[ATTACKERS:]) as words:
            options = (*PATH, *words, "-e", str(course.rows))
            async with load(port, CLIENTS, options) as clients:
                peace = await scene.peace(clients)
            async with load(port, CLIENTS, options) as clients:
                war, done = await scene.attack(clients, tokens[:ATTACKERS])
    print(f"    {done}", flush=True)
    return {
        "clients": CLIENTS,
        **{f"{name}_quiet": value for name, value in peace.items() if name != "lost"},
        **war,
        "p50_ratio": war["p50_ms"] / peace["p50_ms"],
        "p99_ratio": war["p99_ms"] / peace["p99_ms"],
        "attacks_per_s": sum(done.per_second.values()),
        "attacks_at_once": done.at_once,
        **{f"{kind}_per_s": each for kind, each in done.per_second.items()},
    }


def latency(got: dict[str, Any]) -> Figures:
    """What the load generator saw.

    Raises:
        Failed: Something was lost.
    """
    if lost := {name: got[name] for name in LOST if got[name]}:
        raise Failed(f"not delivered as published: {lost}")
    ages = got["lat_us"]
    found = {f"{name}_ms": ages[name] / 1000 for name in ("p50", "p99", "max")}
    return found | {"lost": 0, "loader_busy": got["client"]["busy"]}
