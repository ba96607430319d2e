"""`python -m relay check`: connects to all endpoints of a running relay and reports."""

import argparse
import asyncio
from collections.abc import Mapping

from relay.cli.terminal import default_url, describe
from relay.client import Connection, ConnectionLost, connect, printable
from relay.stream.change import BY_NAME

SYNCED_SECONDS = 10


def configure(parser: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    """Add the arguments of this command."""
    parser.epilog = "RELAY_TOKEN: the access token of a user, for a relay that asks for one."
    url = default_url(env)
    parser.add_argument("--url", default=url, help="address of the relay (%(default)s)")
    parser.add_argument(
        "--wait",
        type=float,
        default=0,
        metavar="SECONDS",
        help="show the changes that arrive within this time (%(default)s)",
    )


async def run(args: argparse.Namespace, token: str | None = None) -> int:
    """Report on each endpoint; the exit status is 0 when all of them work, else 1."""
    checks = (_works(args.url, name, args.wait, token) for name in BY_NAME)
    return 0 if all(await asyncio.gather(*checks)) else 1


async def _works(url: str, endpoint: str, wait: float, token: str | None) -> bool:
    try:
        async with connect(url, endpoint, [("last", "100")], token) as connection:
            await connection.greeting()
            _say(endpoint, "connected")
            rows, complete = await _state(connection)
            _say(endpoint, f"{rows} rows{'' if complete else ', the newest and the open ones'}")
            if wait:
                changes = await _show(connection, endpoint, wait)
                _say(endpoint, f"{changes} changes within {wait:g} s")
    except ConnectionLost as exc:
        _say(endpoint, f"failed: {exc}")
        return False
    return True


async def _state(connection: Connection) -> tuple[int, bool]:
    """The number of rows that the relay starts with, and whether those are all."""
    rows, upstream = 0, "live"
    try:
        async with asyncio.timeout(SYNCED_SECONDS):
            while (frame := await connection.receive())["type"] != "synced":
                rows += frame["type"] in ("INSERT", "UPDATE")
                upstream = frame["upstream"] if frame["type"] == "status" else upstream
    except TimeoutError as exc:
        raise ConnectionLost(
            f"no synced within {SYNCED_SECONDS} s, after {rows} rows; upstream is {upstream},"
            " /readyz of the relay says why"
        ) from exc
    return rows, bool(frame["complete"])


async def _show(connection: Connection, endpoint: str, wait: float) -> int:
    changes = 0
    try:
        async with asyncio.timeout(wait):
            while True:
                frame = await connection.receive()
                if frame["type"] in ("INSERT", "UPDATE", "DELETE", "LEAVE"):
                    changes += 1
                    _say(endpoint, describe(frame))
                elif frame["type"] == "status":
                    _say(endpoint, f"upstream is {frame['upstream']}")
    except TimeoutError:
        return changes


def _say(endpoint: str, text: str) -> None:
    print(printable(f"{endpoint:15} {text}"), flush=True)
