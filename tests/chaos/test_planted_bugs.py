"""A run made for it finds each bug that the property test cannot see, within seconds."""

from __future__ import annotations

import asyncio
import time

import pytest

from chaos.faults import ACTS
from chaos.run import Run
from chaos.stage import Size, Stage, staged
from chaos.verdict import Verdict

SEED = 4
SECONDS = 45.0  # at most, to find a bug: seconds, where others leave the processors alone
ROUND_SECONDS = 2.5
HEALTHY_ROUNDS = 2


def size(bug: str, live: str = "auto", catch_up_seconds: float = 0.5) -> Size:
    return Size(
        clients=12,
        relays=1,
        changes_per_second=150.0,
        catch_up_seconds=catch_up_seconds,
        bound=30.0,  # speed is not judged here
        longest_pause=0.5,
        drain=4.0,
        plain=False,
        live=live,
        program=("tests.chaos.planted", bug),
    )


async def one_round(stage: Stage, *, kill: bool) -> None:
    """Everybody loses the connection several times, by a `kill` once the relay itself, and then
    has time to come back."""
    for number in range(3):
        await asyncio.sleep(ROUND_SECONDS / 6)
        if kill and number == 1:
            stage.relays[0].kill()
            stage.relays[0].start()
        for client in stage.clients:
            client.disconnect(reset=True)
    await asyncio.sleep(ROUND_SECONDS / 2)


async def hunt(stage: Stage, rounds: int | None = None, *, live: bool = False) -> Verdict:
    """Rounds until something is found, or time is up, or there were so many.

    Realtime withholds everything; if it is to be `live`, one table, and the relay is killed.
    """
    run, deadline = Run(stage, lambda text: None), time.monotonic() + SECONDS
    async with stage.project.fault("withhold", table="alerts" if live else None):
        while True:
            await one_round(stage, kill=live)
            verdict = await run.conclude({})
            rounds = None if rounds is None else rounds - 1
            if verdict.failures or rounds == 0 or time.monotonic() > deadline:
                return verdict


@pytest.mark.parametrize("live", [False, True])
async def test_a_relay_without_a_bug_passes_the_same_runs(live: bool) -> None:
    async with staged(size("none"), SEED) as stage:
        verdict = await hunt(stage, HEALTHY_ROUNDS, live=live)
    assert verdict.failures == ()
    assert verdict.resumes > 10


@pytest.mark.parametrize(
    ("bug", "live"),
    [
        ("replay-before-registering", False),
        ("no-upper-bound", False),
        ("cursor-from-live-rows", True),
    ],
)
async def test_a_run_finds_changes_that_are_lost(bug: str, live: bool) -> None:
    async with staged(size(bug), SEED) as stage:
        verdict = await hunt(stage, live=live)
    assert verdict.lost > 0
    assert verdict.duplicates == 0


async def suffer(stage: Stage, fault: str, times: int | None = None) -> Verdict:
    """The fault so many times, or until something is found, or time is up."""
    run, deadline = Run(stage, lambda text: None), time.monotonic() + SECONDS
    options = {"table": "alerts", "share": 1.0, "seed": SEED}
    while True:
        while not await ACTS[fault](stage, 3.0, options):
            assert time.monotonic() < deadline  # there may be no rows yet, or others in the way
        verdict = await run.conclude({})
        times = None if times is None else times - 1
        if verdict.failures or times == 0 or time.monotonic() > deadline:
            return verdict


@pytest.mark.parametrize("fault", ["put-back", "standby-away"])
async def test_a_relay_without_a_bug_survives_what_finds_the_others(fault: str) -> None:
    async with staged(size("none"), SEED) as stage:
        verdict = await suffer(stage, fault, times=1)
    assert verdict.failures == ()


@pytest.mark.parametrize(
    ("bug", "fault"), [("deletions-final", "put-back"), ("reads-complete", "standby-away")]
)
async def test_a_fault_finds_rows_that_stay_invisible(bug: str, fault: str) -> None:
    async with staged(size(bug), SEED) as stage:
        verdict = await suffer(stage, fault)
    assert verdict.lost > 0
    assert verdict.duplicates == 0


@pytest.mark.parametrize(
    ("bug", "live", "violation"),
    [
        ("cursor-in-hello", "auto", "cursor"),
        ("no-reread", "postgres_changes", "bad frame"),
        ("no-dedup", "auto", "duplicate"),
    ],
)
async def test_a_run_finds_frames_that_must_not_be(bug: str, live: str, violation: str) -> None:
    async with staged(size(bug, live, 5.0), SEED) as stage, asyncio.timeout(SECONDS):
        while not stage.incidents.violations()[violation]:
            await stage.writers.write_oversized(0.5)
