"""`python -m relay tail hotspots`: follows an endpoint of a running relay in the terminal."""

import argparse
import json
import sys
from collections.abc import Mapping

from relay.cli.terminal import default_url, describe
from relay.client import Connection, ConnectionLost, connect, printable
from relay.stream.change import BY_NAME

CHANGES = ("INSERT", "UPDATE", "DELETE", "LEAVE")


def configure(parser: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    """Add the arguments of this command."""
    parser.epilog = "RELAY_TOKEN: the access token of a user, for a relay that asks for one."
    parser.add_argument("endpoint", choices=list(BY_NAME), help="what to follow")
    url = default_url(env)
    parser.add_argument("--url", default=url, help="address of the relay (%(default)s)")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        type=_filter,
        metavar="COLUMN=VALUE",
        help="only matching rows, for instance severity=warn,critical; may be repeated, the same"
        " column too: then each value is taken whole, with its commas",
    )
    parser.add_argument(
        "--last", type=int, default=10, help="newest rows to start with (%(default)s)"
    )
    parser.add_argument("--raw", action="store_true", help="print the frames as they are sent")


async def run(args: argparse.Namespace, token: str | None = None) -> int:
    """Print what arrives until the connection ends; the exit status is then 1."""
    try:
        parameters = [("last", str(args.last)), *args.filter]
        async with connect(args.url, args.endpoint, parameters, token) as connection:
            await (_print_raw(connection) if args.raw else _print_changes(connection))
    except ConnectionLost as exc:
        _say(str(exc))
    return 1


async def _print_raw(connection: Connection) -> None:
    while True:
        text = await connection.receive_text()
        if not text.isprintable():  # a row may play with the terminal: escape what is not ASCII
            text = json.dumps(json.loads(text))
        print(text, flush=True)


async def _print_changes(connection: Connection) -> None:
    while True:
        frame = await connection.receive()
        if frame["type"] in CHANGES:
            print(describe(frame), flush=True)
        elif frame["type"] not in ("cursor", "pong"):
            _say(_news(dict(frame)))


def _news(frame: dict[str, object]) -> str:
    kind = frame.pop("type")
    frame.pop("cursor", None)
    return f"{kind} " + " ".join(f"{name}={json.dumps(value)}" for name, value in frame.items())


def _say(text: str) -> None:
    print(f"relay tail: {printable(text)}", file=sys.stderr, flush=True)


def _filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not COLUMN=VALUE")
    return name, value
