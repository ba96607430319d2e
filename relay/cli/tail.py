"""`python -m relay tail hotspots`: follows an endpoint of a running relay in the terminal."""

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import aclosing

from relay.cli.terminal import default_url, describe
from relay.client import ConnectionLost, Frame, follow, printable
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
    parser.add_argument("--raw", action="store_true", help="print each frame as a line of JSON")


async def run(args: argparse.Namespace, token: str | None = None) -> int:
    """Print what arrives, over as many connections as it takes.

    Returns:
        1 once the relay refuses for good, or when the first connection fails.
    """
    greeted = False

    def on_lost(exc: ConnectionLost) -> None:
        if not greeted:  # a wrong address is a mistake to mend, not one to wait for
            raise exc
        _say(f"{exc}; connecting again")

    show = _print_frame if args.raw else _print_change
    parameters = [("last", str(args.last)), *args.filter]
    try:
        async with aclosing(
            follow(args.url, args.endpoint, parameters, token=token, on_lost=on_lost)
        ) as frames:
            async for frame in frames:
                greeted = True
                show(frame)
    except ConnectionLost as exc:
        _say(str(exc))
    return 1


def _print_frame(frame: Frame) -> None:
    text = json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
    if printable(text) != text:  # a row may play with the terminal: escape what is not ASCII
        text = json.dumps(frame)
    print(text, flush=True)


def _print_change(frame: Frame) -> None:
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
