"""`python -m emulator`: an embedded Supabase on loopback, for development and tests."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import os
import signal
import sys
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from emulator import (
    account,
    binaries,
    cluster,
    instance,
    keys_file,
    leftovers,
    logs,
    migrations,
    signing,
)
from emulator.database import Database
from emulator.faults import command as command_line
from emulator.identity import Keys
from emulator.postgres import StartFailed
from emulator.running import Emulator, ServingFailed, address, listen
from emulator.settings import HIGHEST_PORT, Settings, SettingsError

EXPECTED = (
    account.PlaceRefused,
    command_line.CommandFailed,
    binaries.BinariesMissing,
    cluster.ClusterRefused,
    instance.InUse,
    keys_file.KeysUnreadable,
    leftovers.StillRunning,
    migrations.MigrationFailed,
    ServingFailed,
    SettingsError,
    signing.UnknownKey,
    StartFailed,
    OSError,  # a directory or file named on the command line cannot be used
)


def main() -> int:
    """Run the command that the arguments name; the exit status."""
    try:
        settings = Settings.from_env(os.environ)
        logs.configure(settings.log_format)
        options = parser(settings).parse_args()
        if options.command == "token":
            return mint(options)
        if options.command == "rotate":
            return rotate(options)
        if options.command == "fault":
            return fault(options)
        return serve(options, settings)
    except EXPECTED as exc:
        print(f"emulator: {told(exc)}", file=sys.stderr)
        return 1


def told(error: Exception) -> str:
    """What went wrong, and the option that helps where the place for the data is at fault."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    place = isinstance(error, OSError) and error.filename is not None
    if place or os.strerror(errno.ENOSPC) in text:
        text += "\nchoose another place for the data with --data"
    return text


def parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m emulator",
        description="An embedded Supabase on loopback around a real PostgreSQL.",
        epilog="Environment: EMULATOR_PORT, PG_BIN (directory of postgres and initdb),"
        " EMULATOR_POLL_MS (delay of postgres_changes; unset: like a hosted project, 0: none),"
        " LOG_FORMAT (log lines: text, json).",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=Path(".emulator"),
        help="where keys and data are kept (.emulator)",
    )
    parser.add_argument("--host", type=loopback, default="127.0.0.1", help="loopback address")
    parser.add_argument("--port", type=port, default=settings.port, help=f"({settings.port})")
    parser.add_argument(
        "--db-port", type=port, metavar="PORT", help="also open PostgreSQL on 127.0.0.1:PORT"
    )
    parser.add_argument(
        "--migrations",
        type=Path,
        metavar="DIR",
        default=migrations.PROJECT / "migrations",
        help="another schema; seed.sql is looked for beside DIR",
    )
    parser.add_argument(
        "--no-seed", action="store_true", help="a new database begins without sample rows"
    )
    parser.add_argument(
        "--env", type=Path, metavar="FILE", help="write address and keys to FILE, mode 0600"
    )
    parser.add_argument("--show-keys", action="store_true", help="print the keys")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    token = commands.add_parser("token", help="print a user's token")
    token.add_argument("--role", default="authenticated", help="database role (authenticated)")
    token.add_argument(
        "--subject", metavar="UUID", help="the user's id, auth.uid(); a new one if not given"
    )
    token.add_argument("--seconds", type=int, default=3600, help="how long it is valid (3600)")
    token.add_argument(
        "--issuer",
        metavar="URL",
        help="who has issued it: the address that the emulator served last, and /auth/v1",
    )
    token.add_argument("--algorithm", choices=("ES256", "HS256"), default="ES256")
    rotation = commands.add_parser("rotate", help="sign users' tokens with a new key from now on")
    rotation.add_argument(
        "--revoke", metavar="KEY", help="instead: refuse what that former key signed"
    )
    faults = commands.add_parser("fault", help="switch a fault of a running emulator on or off")
    command_line.add_options(faults)
    for command in (token, rotation, faults):
        command.add_argument(
            "--data",
            type=Path,
            metavar="DIR",
            default=argparse.SUPPRESS,
            help="directory of the emulator whose key it is",
        )
    return parser


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"give a port from 0 to {HIGHEST_PORT}")
    return number


def loopback(text: str) -> str:
    address = "127.0.0.1" if text == "localhost" else text
    try:
        allowed = ipaddress.ip_address(address).is_loopback
    except ValueError:
        allowed = False
    if not allowed:
        raise argparse.ArgumentTypeError("the emulator serves loopback addresses only")
    return address


def mint(options: argparse.Namespace) -> int:
    keys = kept_keys(options)
    subject = options.subject
    if subject is None and options.role == "authenticated":
        subject = str(uuid.uuid4())  # without one it is nobody's, and decides nothing
    print(
        keys.mint(
            options.role,
            subject=subject,
            seconds=options.seconds,
            algorithm=options.algorithm,
            iss=options.issuer or f"{served_at(options)}/auth/v1",
        )
    )
    return 0


def served_at(options: argparse.Namespace) -> str:
    """The address that the data directory was served at last, or would be with these options."""
    written: Path = options.data / instance.URL
    try:
        return written.read_text().strip()
    except FileNotFoundError:
        host = f"[{options.host}]" if ":" in options.host else options.host
        return f"http://{host}:{options.port}"


def rotate(options: argparse.Namespace) -> int:
    """Change the signing keys, also of an emulator that is running, and list them."""
    keys = kept_keys(options).signing
    if options.revoke is None:
        keys.rotate()
    else:
        keys.revoke(options.revoke)
    for key in keys.listed:
        print(f"{key.id}  {'signs' if key == keys.current else 'verifies'}")
    return 0


def kept_keys(options: argparse.Namespace) -> Keys:
    path = options.data / instance.KEYS
    try:
        return keys_file.load(path)
    except FileNotFoundError as exc:
        remedy = "start it once, or name its --data"
        raise keys_file.KeysUnreadable(f"no keys in {path}; {remedy}") from exc


def fault(options: argparse.Namespace) -> int:
    path = options.data / instance.KEYS
    try:
        keys = keys_file.load(path)
    except FileNotFoundError:
        print(f"emulator: no keys in {path}; name the --data of the running one", file=sys.stderr)
        return 1
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(command_line.run(options, f"http://{host}:{options.port}", keys.secret))
    return 0


def serve(options: argparse.Namespace, settings: Settings) -> int:
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    listener = listen(options.host, options.port)
    with (
        listener,
        instance.opened(
            options.data,
            settings,
            migrations=options.migrations,
            tcp_port=options.db_port,
            seed=not options.no_seed,
        ) as (database, keys),
    ):
        if stop.is_set():
            return 0
        variables = environment(address(listener), keys, database)
        if options.env is not None:
            lines = [f"{name}={value}\n" for name, value in variables.items()]
            keys_file.write_private(options.env, "".join(lines))
        keys_file.write_private(options.data / instance.URL, f"{variables['SUPABASE_URL']}\n")
        serving = Emulator.running(
            database, keys=keys, settings=settings, listener=listener, ended=stop
        )
        with serving as emulator:
            database.server.on_failure = emulator.fail
            tell(emulator, options, variables)
            stop.wait()
        if emulator.failure:
            print(f"emulator: {emulator.failure}", file=sys.stderr)
        return 1 if emulator.failure else 0


def environment(url: str, keys: Keys, database: Database) -> dict[str, str]:
    """The variables that a program needs to use this project."""
    variables = {
        "SUPABASE_URL": url,
        "SUPABASE_PUBLISHABLE_KEY": keys.publishable,
        "SUPABASE_SECRET_KEY": keys.secret,
        "SUPABASE_JWT_SECRET": keys.jwt_secret,
    }
    if port := database.server.tcp_port:
        user = f"postgres:{keys.database_password}"
        variables["SUPABASE_DB_URL"] = f"postgresql://{user}@127.0.0.1:{port}/{database.name}"
    return variables


def tell(emulator: Emulator, options: argparse.Namespace, variables: Mapping[str, str]) -> None:
    """Print where everything is, and the secrets only when asked to."""
    print(f"Supabase    {emulator.url}")
    print(f"PostgreSQL  {emulator.dsn('postgres')}")
    print(f"keys        {options.env or options.data / instance.KEYS}")
    if options.show_keys:
        for name, value in variables.items():
            print(f"{name}={value}")
        print(f"anon={emulator.keys.legacy_key('anon')}")
        print(f"service_role={emulator.keys.legacy_key('service_role')}")
    print("Ctrl-C stops it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
