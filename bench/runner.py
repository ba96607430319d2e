"""Goes through the steps, one after the other, and says how far it is."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.contestants.all import RELAY
from bench.plan import Step
from bench.processes import TROUBLE
from bench.results import Results


async def run(steps: Sequence[Step], results: Results, limit: float | None) -> None:
    """Add what was measured to the results; `limit` is the number of seconds after which no
    other round begins."""
    began = round_began = time.monotonic()
    left, current = sum(step.seconds for step in steps), 0
    print(f"{len(steps)} runs, about {minutes(min(left, limit or left))}", flush=True)
    for number, step in enumerate(steps, 1):
        now = time.monotonic()
        if step.round != current:
            if limit is not None and (now - began) + (now - round_began) > limit:
                print(f"round {step.round + 1} and later are left out: {limit:.0f} s are over")
                break
            current, round_began = step.round, now
        print(f"[{number}/{len(steps)}, {minutes(left)} left] {step}", flush=True)
        left -= step.seconds
        await _take(step, results)
    results.about["seconds"] = round(time.monotonic() - began)


async def _take(step: Step, results: Results) -> None:
    try:
        figures = {"clients": step.clients, **await step.measure()}
    except TROUBLE as exc:
        reason = str(exc)[:600] or type(exc).__name__
        print(f"FAILED {step}: {reason}", flush=True)
        if step.contestant.name.startswith(RELAY.name):
            results.failures.append(f"{step}: {reason}")
        else:
            results.skipped[str(step)] = reason
    else:
        results.note(step.scenario, step.contestant.name, step.round, figures)


def minutes(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
