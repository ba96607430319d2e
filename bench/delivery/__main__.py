"""How changes get through when something happens: `python -m bench.delivery [latency] [takeover]
[backlog]`, all of them by default.

Prints the figures, and with all of them writes bench/results/delivery.json; the exit status is 1
when a change was lost or a client was not resumed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

from bench import build, machine, versions
from bench.delivery import backlog, latency, takeover
from bench.processes import TROUBLE
from bench.results import DELIVERY
from bench.scenarios.fanout import Figures

PARTS: dict[str, dict[str, Callable[[], Awaitable[Figures]]]] = {
    "latency": {
        "what the relay adds to Realtime, one client": latency.added,
        "commit to socket, 100 clients": latency.to_socket,
    },
    "takeover": {
        "10,000 clients of a dead relay, another one runs": partial(takeover.measure, cold=False),
        "10,000 clients of a dead relay, another one starts": partial(takeover.measure, cold=True),
    },
    "backlog": {"100,000 changes missed by a stopped relay, 100 clients": backlog.measure},
}


def main() -> int:
    """Read the arguments, measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.delivery", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="by default all")
    parts = parser.parse_args().parts or list(PARTS)
    try:
        machine.raise_descriptor_limit()
        build.programs()
        machine.cores()
        machine.pin_down()
        figures, failures = asyncio.run(_measure(parts))
    except (build.NoCompiler, subprocess.CalledProcessError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing is written", file=sys.stderr)
        return 130
    if set(parts) == set(PARTS):
        _write(figures, failures)
    return 1 if failures else 0


async def _measure(parts: list[str]) -> tuple[dict[str, Figures], list[str]]:
    figures: dict[str, Figures] = {}
    failures = []
    for title, measure in ((t, m) for part in parts for t, m in PARTS[part].items()):
        print(f"{title}:", flush=True)
        try:
            figures[title] = await measure()
        except TROUBLE as exc:
            failures.append(f"{title}: {str(exc)[:600] or type(exc).__name__}")
            print(f"  FAILED {failures[-1]}", flush=True)
        else:
            for name, value in figures[title].items():
                print(f"  {name:20} {value:,.2f}", flush=True)
    return figures, failures


def _write(figures: dict[str, Figures], failures: list[str]) -> None:
    taken = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    about = {"taken_at": taken, "commit": versions.commit(), "machine": machine.described()}
    content = {**about, "figures": figures, "failures": failures}
    DELIVERY.parent.mkdir(exist_ok=True)
    DELIVERY.write_text(json.dumps(content, indent=1) + "\n")
    print(f"written: {DELIVERY}")


if __name__ == "__main__":
    sys.exit(main())
