"""`python -m relay`: serves, or follows and checks a running relay from the terminal."""

import argparse
import asyncio
import os
import socket
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from relay import installed_version, server, supervisor
from relay.cli import check, disconnect, migrations, tail
from relay.cli.terminal import while_read
from relay.errors import SettingsError
from relay.logs import configure
from relay.settings import GROUPS, NAMES, Settings
from relay.variables import Group, Variable, misspelt

PROGRAM: Final = "hotspot-relay"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name and return its exit status."""
    try:
        options = _parser(os.environ).parse_args(arguments)
        if options.listener is None:  # else the parent has said it
            for warning in misspelt(os.environ, NAMES):
                print(f"relay: warning: {warning}", file=sys.stderr)
        if options.command in ("tail", "check"):
            follow = tail.run if options.command == "tail" else check.run
            token = os.environ.get("RELAY_TOKEN") or None
            return asyncio.run(while_read(follow(options, token)))
        if options.command == "disconnect":
            return asyncio.run(disconnect.run(options, os.environ))
        if options.command == "migrations":
            return migrations.run(options)
        settings = Settings.from_env(os.environ, host=options.host, port=options.port)
        configure(settings.server.log_format)
        if options.listener is None:
            return server.run(settings, options.workers)
        supervisor.end_with_parent()
        return server.run_on(settings, socket.socket(fileno=options.listener))
    except SettingsError as exc:
        print(f"relay: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, for instance head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell says it of who dies of SIGPIPE


def _parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM if Path(sys.argv[0]).name == PROGRAM else "python -m relay",
        description="Relays every change to WebSocket clients.",
        epilog="\n\n".join(map(_described_group, GROUPS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {installed_version()}")
    parser.add_argument("--host", help="address to listen on (HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (PORT, 8003)")
    parser.add_argument(
        "--workers", type=_count, default=1, help="processes, each with its own upstream (1)"
    )
    parser.add_argument("--listener", type=int, help=argparse.SUPPRESS)  # for those processes
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    tail.configure(commands.add_parser("tail", help="follow an endpoint in the terminal"), env)
    check.configure(commands.add_parser("check", help="connect to all endpoints and report"), env)
    disconnect.configure(
        commands.add_parser("disconnect", help="end the connections of a user or session"), env
    )
    migrations.configure(commands.add_parser("migrations", help="write the SQL of the schema out"))
    return parser


def _described_group(group: type[Group]) -> str:
    return "\n".join([f"variables, {group.title}:", *map(_described, group.variables().values())])


def _described(variable: Variable) -> str:
    default = f" ({variable.default})" if variable.default else ""
    lines = textwrap.wrap(f"{variable.help}{default}", 60)
    return f"  {variable.name:<32}" + ("\n" + " " * 34).join(lines)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 64):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 64")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
