"""The benchmark: `python -m bench`, or `make bench`.

Runs the relay, the floor and the peers in turn, prints a table and writes bench/results/. The
exit status is 1 when the relay delivered or counted wrongly, 2 when the benchmark cannot run.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import NoReturn

from bench import build, machine, plan, plot, runner, table, versions
from bench.contestants.all import CONTESTANTS, FLOOR, RELAY, WITH_TOKENS
from bench.results import FULL, LATEST, Results

QUICK_SECONDS = 140.0  # what does not fit any more is left out
QUICK_CLIENTS = 1000
ROUNDS = 5


def main() -> int:
    """Read the arguments, run, print and write."""
    options = _parser().parse_args()
    try:
        machine.raise_descriptor_limit()
        build.programs()
        steps, skipped = _steps(options)
    except (build.NoCompiler, KeyError) as exc:
        print(f"bench: {exc.args[0]}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as exc:
        print(f"bench: {' '.join(exc.cmd)}: {exc.stderr}", file=sys.stderr)
        return 2
    if options.list:
        print(*steps, sep="\n")
        return 0
    machine.pin_down()
    signal.signal(signal.SIGTERM, _stop)
    results = Results(_about(options), skipped=skipped)
    try:
        asyncio.run(runner.run(steps, results, QUICK_SECONDS if options.quick else None))
    except KeyboardInterrupt:
        results.skipped["the rest"] = "stopped"
        _finish(results, whole=_is_whole(options))
        return 130
    _finish(results, whole=_is_whole(options))
    return 1 if results.failures else 0


def _is_whole(options: argparse.Namespace) -> bool:
    return not (options.quick or options.only or options.sizes or options.scenarios)


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _steps(options: argparse.Namespace) -> tuple[list[plan.Step], dict[str, str]]:
    if options.quick:
        relay = WITH_TOKENS if options.auth else RELAY
        quick = plan.steps(["fanout"], [FLOOR, relay], [QUICK_CLIENTS], options.rounds)
        return plan.steps(["decoding", "tokens", "hold", "insert"], [relay], [], 1) + quick, {}
    if options.auth:
        raise KeyError("--auth goes with --quick; others have tokens where they are about tokens")
    names = options.only.split(",") if options.only else [each.name for each in CONTESTANTS]
    contestants, skipped = [], {}
    for contestant in plan.named(names):
        lacking = contestant.lacking()
        if lacking is None:
            contestants.append(contestant)
        else:
            print(f"{contestant.name} is left out: {lacking}")
            skipped[contestant.name] = lacking
    scenarios = options.scenarios.split(",") if options.scenarios else plan.SCENARIOS
    for scenario in scenarios:
        if scenario not in plan.SCENARIOS:
            raise KeyError(f"there is no scenario {scenario}: {', '.join(plan.SCENARIOS)}")
    sizes = [int(size) for size in options.sizes.split(",")] if options.sizes else plan.SIZES
    return plan.steps(scenarios, contestants, sizes, options.rounds), skipped


def _about(options: argparse.Namespace) -> dict[str, object]:
    return {
        "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": versions.commit(),
        "quick": options.quick,
        "auth": "required" if options.auth else "off",
        "machine": machine.described(),
        "versions": versions.installed(),
    }


def _finish(results: Results, *, whole: bool) -> None:
    print()
    print(table.text(results))
    results.write(LATEST)
    print(f"\nwritten: {LATEST}")
    if whole:
        results.write(FULL)
        print(f"written: {FULL}")
        print(*(f"written: {path}" for path in plot.draw(results)), sep="\n")
    for failure in results.failures:
        print(f"FAILED {failure}")


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(contestant.name for contestant in CONTESTANTS)
    parser = argparse.ArgumentParser(prog="python -m bench", description="The benchmark.")
    parser.add_argument(
        "--quick", action="store_true", help="the relay and the floor with 1,000 clients alone"
    )
    parser.add_argument(
        "--auth", action="store_true", help="with --quick: each client has to bring a token"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"alternating runs ({ROUNDS})")
    parser.add_argument("--only", metavar="NAMES", help=f"with commas, of {names}")
    parser.add_argument(
        "--sizes", metavar="NUMBERS", help=f"clients, of {', '.join(map(str, plan.SIZES))}"
    )
    parser.add_argument("--scenarios", metavar="NAMES", help=f"of {', '.join(plan.SCENARIOS)}")
    parser.add_argument("--list", action="store_true", help="only say what would run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
