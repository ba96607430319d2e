"""Attacks a relay until it is told to end: `python -m bench.attack PORT --tokens FILE`.

Says when it begins, and ends with a line of JSON: for how many `seconds`, what was `begun` by
kind, how many were open `at_once` at most, and how many were `left_out` because these were too many
or for which it was `unable` to connect. It gives way to everything else on its core, so that the
relay suffers and not who measures it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path

from bench import machine
from bench.attack.attacker import Attacker
from bench.attack.campaign import Campaign
from bench.attack.ways import OF_A_USER, SHARES

SEED = 6


async def main() -> None:
    """Attack until SIGTERM, and say what it did."""
    parser = argparse.ArgumentParser(description="Hostile clients for the benchmark.")
    parser.add_argument("port", type=int)
    parser.add_argument("--per-second", type=float, default=100.0, help="attacks begun (100)")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens of users, in lines")
    parser.add_argument("--way", choices=OF_A_USER, help="only this one (all that strangers can)")
    options = parser.parse_args()
    machine.raise_descriptor_limit()
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    attacker = Attacker(options.port, options.tokens.read_text().split(), SEED)
    print("attacking", flush=True)
    shares = {OF_A_USER[options.way]: 1} if options.way else SHARES
    print(json.dumps(await Campaign(attacker, options.per_second, shares).run(over)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
