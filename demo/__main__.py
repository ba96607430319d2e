"""`python -m demo`: embedded Supabase, worker, relay and made-up events, all on this machine.

Starts the emulator, waits for it, starts the rest, and keeps all of it running until Ctrl-C. The
data stays in `.emulator/` for the next time.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from demo.feed import Course, feed
from demo.generator import LINES
from demo.stage import Feed, Ports, Stage


def main() -> int:
    """Run the command that the arguments name; the exit status."""
    options = parser(os.environ).parse_args()
    try:
        if options.command == "feed":
            run_feed(options, os.environ)
            return 0
        ports = Ports(emulator=options.emulator_port, relay=options.relay_port)
        wanted = Feed(options.seed, options.speed, options.suppliers, options.history)
        stage = Stage(
            ports,
            options.data,
            os.environ,
            None if options.no_feed else wanted,
            auth=options.auth,
        )
        return asyncio.run(stage.run())
    except KeyboardInterrupt:
        return 130


def run_feed(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    needed = ("SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "EVENT_WRITER_TOKEN")
    if missing := [name for name in needed if not environment.get(name)]:
        sys.exit(f"demo: {', '.join(missing)} not set; `python -m demo` sets them for its feed")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    url, key, token = (environment[name] for name in needed)
    path = options.data / "feed.json"
    course = Course.continued(path, options.seed, options.suppliers, options.history)
    asyncio.run(feed(url, key, token, course, path, options.speed))


def parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of the made-up events (1)")
    parser.add_argument(
        "--speed",
        type=positive,
        default=10.0,
        metavar="DAYS",
        help="days of events a minute, until the present is reached (10)",
    )
    parser.add_argument(
        "--suppliers", type=count, default=len(LINES), help=f"how many suppliers ({len(LINES)})"
    )
    parser.add_argument(
        "--history",
        type=count,
        default=365,
        metavar="DAYS",
        help="so many days ago the events begin; the first 60 are written at once (365)",
    )
    parser.add_argument(
        "--no-feed",
        action="store_true",
        help="make up no events: the field is left to your own file",
    )
    parser.add_argument(
        "--auth",
        action="store_true",
        help="with access control, as a relay is shipped; prints whom to sign in as",
    )
    parser.add_argument(
        "--data", type=Path, default=".emulator", help="where the database lives (.emulator)"
    )
    parser.add_argument(
        "--emulator-port",
        type=port,
        default=environment.get("EMULATOR_PORT", "8010"),
        metavar="PORT",
        help="port of the embedded Supabase (EMULATOR_PORT, 8010)",
    )
    parser.add_argument(
        "--relay-port",
        type=port,
        default=environment.get("PORT", "8003"),
        metavar="PORT",
        help="port of the relay and its page (PORT, 8003)",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("feed", help="only write events (used by the demo itself)")
    return parser


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10_000):
        raise argparse.ArgumentTypeError("give a whole number from 1 to 10000")
    return int(text)


def positive(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 10_000:
        raise argparse.ArgumentTypeError("give a number above 0 and up to 10000")
    return speed


if __name__ == "__main__":
    sys.exit(main())
