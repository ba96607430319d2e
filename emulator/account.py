"""The OS user that runs PostgreSQL, which refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

CANDIDATES = ("postgres", "nobody")


class PlaceRefused(Exception):
    """A directory cannot be used; the message says why."""


class Drop(TypedDict, total=False):
    """Arguments for `subprocess` that start a child without root rights."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """An existing OS user that gives up root rights."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """The user to drop to when we are root, None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise PlaceRefused(
        "PostgreSQL does not run as root, and there is no OS user"
        f" {' or '.join(CANDIDATES)} to run it instead; start the emulator as a normal user"
    )


def drop(account: Account | None) -> Drop:
    """What to pass to `subprocess` so that the child runs as `account`."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def can_enter(directory: Path, account: Account) -> bool:
    """Whether `account` can use `directory`: asked of the system, which knows of ACLs too."""
    command = ["/bin/sh", "-c", 'cd -- "$0"', str(directory)]
    result = subprocess.run(command, cwd="/", stderr=subprocess.DEVNULL, **drop(account))
    return result.returncode == 0


def make_private(directory: Path, account: Account | None) -> None:
    """Make `directory` with mode 0700, owned by `account`, or accept it if it is ours.

    Raises:
        PlaceRefused: It is something else, or somebody else's.
    """
    owner = os.geteuid() if account is None else account.uid
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        status = directory.lstat()
        if directory.is_symlink() or not directory.is_dir() or status.st_uid not in (0, owner):
            raise PlaceRefused(f"{directory} is not a directory of ours") from None
    if account is not None:
        os.chown(directory, account.uid, account.gid)
    directory.chmod(0o700)
