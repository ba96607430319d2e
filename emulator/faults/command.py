"""`python -m emulator fault`: switches faults of a running emulator on and off."""

from __future__ import annotations

import argparse
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from emulator.faults.control import PATH

PATIENCE_SECONDS = 10
# Ends some time after its seconds are over, for PostgreSQL has to start again.
LOOK_SECONDS = 0.1


class CommandFailed(Exception):
    """The emulator is not there or refuses; the message says which."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="the fault; without it: list all")
    parser.add_argument("--seconds", type=float, help="for so long; wait for its end")
    parser.add_argument("--count", type=int, help="so often")
    parser.add_argument(
        "--set",
        type=option,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="tell it more, such as lane=broadcast or code=1012",
    )
    parser.add_argument("--clear", action="store_true", help="switch everything off")


def option(text: str) -> tuple[str, Any]:
    """A key and its value, a number where it looks like one."""
    key, found, value = text.partition("=")
    if not found:
        raise argparse.ArgumentTypeError("give KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def run(options: argparse.Namespace, url: str, secret: str) -> str:
    """Do what the options say to the emulator at `url`; what to print. Raises CommandFailed."""
    if options.clear:
        return _listed(_ask("DELETE", url + PATH, secret))
    if options.name is None:
        return _listed(_ask("GET", url + PATH, secret))
    given = {"name": options.name, "seconds": options.seconds, "count": options.count}
    body = {key: value for key, value in given.items() if value is not None} | dict(options.set)
    fault = _ask("POST", url + PATH, secret, body)
    if options.seconds is not None:
        time.sleep(options.seconds)
        while not fault["ended"]:
            fault = _ask("GET", f"{url}{PATH}/{fault['id']}", secret)
            time.sleep(LOOK_SECONDS)
    return _line(fault)


def _listed(answer: Mapping[str, Any]) -> str:
    lines = [f"{name:14} {says}" for name, says in answer["kinds"].items()]
    lines += ["", *map(_line, answer["faults"])]
    lines += [f"lost by {cause}: {count}" for cause, count in answer["lost"].items()]
    return "\n".join(lines).strip()


def _line(fault: Mapping[str, Any]) -> str:
    state = "ended" if fault["ended"] else "on"
    return f"{fault['id']} {fault['name']} {state}, {fault['hits']} hits"


def _ask(
    method: str, url: str, secret: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"apikey": secret}, method=method)  # noqa: S310 - http
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as exc:
        with exc:
            raise CommandFailed(json.load(exc)["message"]) from exc
    except OSError as exc:
        raise CommandFailed(f"no emulator answers at {url}: {exc}; name its --port") from exc
