"""Command line of the chaos harness: `python -m chaos`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import secrets
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from chaos import report
from chaos.catalog import KINDS, Kind
from chaos.relays import FAKETIME, Form, can_jump
from chaos.run import Run
from chaos.schedule import alone, plan, uses
from chaos.stage import Size, staged
from chaos.verdict import Verdict

WHOLE_SECONDS = 1800.0  # from then on every fault has to come
LEAST_USES = 3


def main() -> int:
    """Run, print, and return the exit status."""
    options = _parser().parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    logging.basicConfig(level=logging.ERROR)
    # A shell that starts it in the background has Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        verdict = asyncio.run(_run(options, seed))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print(f"\n{report.text(verdict)}")
    if options.output is not None:
        command = f"make chaos SECONDS={options.seconds:g} SEED={seed}"
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "chaos.json").write_text(json.dumps(verdict.shown(), indent=1) + "\n")
        (options.output / "chaos.md").write_text(report.markdown(verdict, command))
    return 1 if verdict.failures else 0


async def _run(options: argparse.Namespace, seed: int) -> Verdict:
    kinds = _kinds(options.only)
    planned = plan(seed, options.seconds, kinds)
    counts = uses(planned)
    # Beside others a fault may find nothing to do: in a short run that is no failure.
    asked = dict.fromkeys(alone(planned), 1)
    if options.seconds >= WHOLE_SECONDS:
        asked = dict.fromkeys(kinds, LEAST_USES)
    size = Size(
        clients=options.clients,
        relays=options.relays,
        changes_per_second=options.rate,
        bound=options.bound,
        form=Form(options.form),
        program=tuple(options.program.split()),
    )
    async with staged(size, seed) as stage:
        print(f"{len(planned)} uses of {len(counts)} faults, logs in {stage.directory}", flush=True)
        return await Run(stage, lambda text: print(text, flush=True)).work_off(planned, asked)


def _kinds(only: str | None) -> Mapping[str, Kind]:
    names = KINDS.keys() if only is None else only.split(",")
    if not can_jump():
        print(f"clock-jump is left out: {FAKETIME} is missing (apt-get install faketime)")
    return {name: KINDS[name] for name in names if name != "clock-jump" or can_jump()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, help="unless given, a random one")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--relays", type=int, default=2)
    parser.add_argument("--rate", type=float, default=80.0, help="changes a second, on average")
    parser.add_argument("--bound", type=float, default=6.0, help="seconds that a change may take")
    parser.add_argument("--form", choices=[*Form], default=Form.SHIPPED, help="how relays serve")
    parser.add_argument(
        "--program",
        metavar="'MODULE [ARGUMENT...]'",
        default="relay",
        help="run as a relay by `python -m`, such as 'tests.chaos.planted no-dedup'",
    )
    parser.add_argument("--only", metavar="FAULT,...", help="no other faults than these")
    parser.add_argument("--output", type=Path, help="directory for chaos.json and chaos.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
