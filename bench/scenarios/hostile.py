"""100 clients follow while one user with a good token does what the limits let one user do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench import machine, usage
from bench.attack.running import attacking
from bench.contestants.relay import PATH, Upstream, bringing, relay, upstream
from bench.load import load
from bench.processes import Failed
from bench.scenarios.attack import CLIENTS, PATIENCE_SECONDS, Course, Scene, latency
from bench.scenarios.fanout import SETTLE_SECONDS, Figures

FILLING = 45_000  # rows, with which the relay's logs are full
BACKLOG = 20_000  # rows that somebody with an old cursor has missed


@dataclass(frozen=True)
class Trial:
    """How a run goes: how many rows others miss, and for how long and how often he tries."""

    filling: int = FILLING
    backlog: int = BACKLOG
    gather_seconds: float = 6.0  # in which he gets cursors, before the backlog
    course: Course = field(
        default_factory=lambda: Course(seconds=10.0, per_second=60.0, calm_seconds=2.0)
    )


async def measure(way: str, trial: Trial | None = None) -> Figures:
    """Latency in peace and beside him, and by how much he makes the relay grow.

    Raises:
        Failed: A client lost something, or he did nothing.
    """
    trial, port = trial or Trial(), machine.free_port()
    async with (
        upstream() as supabase,
        relay(supabase.url, supabase.key, port, tokens="ES256") as program,
    ):
        scene = Scene(supabase, program, port, trial.course)
        his, *others = await supabase.tokens(CLIENTS + 1)
        with bringing(others) as words:
            follow = (*PATH, *words)
            options = (*follow, "-e", str(trial.course.rows))
            await _published(supabase, port, trial.filling, follow)
            async with load(port, CLIENTS, options) as clients:
                peace = await scene.peace(clients)
            before = usage.memory_kib([program.pid])
            async with (
                usage.growth([program.pid]) as memory,
                attacking(port, trial.course.per_second, [his], way) as attack,
            ):
                await asyncio.sleep(trial.gather_seconds)
                await _published(supabase, port, trial.backlog, follow)
                async with load(port, CLIENTS, options) as clients:
                    await asyncio.sleep(SETTLE_SECONDS)
                    busy = await scene.follow(clients)
                    done = await attack.end()
                    beside = latency(await clients.end())
    print(f"    {done}", flush=True)
    return {
        "clients": CLIENTS,
        **{f"{name}_quiet": value for name, value in peace.items() if name != "lost"},
        **beside,
        "busy": busy,
        "before_kib": before,
        "growth_kib": memory.kib,
        "p99_ratio": beside["p99_ms"] / peace["p99_ms"],
        "attacks_per_s": sum(done.per_second.values()),
    }


async def _published(supabase: Upstream, port: int, rows: int, options: Sequence[str]) -> None:
    """Publish so many rows at once; returns when the relay has sent them to who follows."""
    async with load(port, 1, (*options, "-e", str(rows))) as follower:
        await supabase.publish(rows, 0)
        if not await follower.complete(PATIENCE_SECONDS):
            raise Failed("the relay does not send all rows that were published")
