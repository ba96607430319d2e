"""Where a PostgreSQL data directory and its socket lie, and how the directory is made."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from emulator.account import Account, can_enter, drop, make_private
from emulator.binaries import Binaries
from emulator.parent_death import die_with_us

logger = logging.getLogger(__name__)

SUPERUSER = "supabase_admin"
ELSEWHERE = Path("/var/tmp")  # noqa: S108 - make_private refuses what is somebody else's
SOCKETS = Path("/tmp")  # noqa: S108 - short: a socket path has 107 bytes at most
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}  # no PG* variable gets through


class ClusterRefused(Exception):
    """The data directory cannot be made or used; the message says why."""


@dataclass(frozen=True)
class Places:
    """The directories of one server, both private to the user that runs it."""

    cluster: Path
    sockets: Path


def choose(data: Path, account: Account | None) -> Places:
    """Places for the server of the emulator whose data directory is `data`.

    The cluster is `data/postgres`, except when `account` cannot get there: then a directory below
    /var/tmp that depends on `data` alone, so that a later start finds it again.
    """
    data = data.resolve()
    home = data / "postgres"
    if account is not None and not can_enter(data, account):
        home = elsewhere(data)
        logger.warning(
            "database kept elsewhere, its OS user cannot pass the way to the data directory"
            " user=%s data=%s kept=%s",
            account.name,
            data,
            home,
        )
    make_private(home, account)
    return Places(home / "cluster", SOCKETS / f"hr-{_digest(data)}")


def elsewhere(data: Path) -> Path:
    """Where the cluster of `data` is kept when `data` itself is out of reach."""
    return ELSEWHERE / f"hotspot-emulator-{_digest(data.resolve())}"


def make(places: Places, binaries: Binaries, account: Account | None, *, sync: bool) -> bool:
    """Run initdb unless it has been run; whether it was. `sync=False` trades safety for time.

    Raises ClusterRefused.
    """
    cluster = places.cluster
    version = cluster / "PG_VERSION"
    if version.exists():
        made_by = version.read_text().strip()
        if made_by != str(binaries.version):
            raise ClusterRefused(
                f"{cluster} was made by PostgreSQL {made_by}, this is {binaries.version}:"
                " set PG_BIN to the older programs or choose another --data"
            )
        return False
    # Made beside its place and renamed: a start that is killed here leaves nothing half made.
    fresh = cluster.with_name("cluster.new")
    shutil.rmtree(fresh, ignore_errors=True)
    command = [str(binaries.initdb), "--pgdata", str(fresh), "--username", SUPERUSER]
    command += ["--encoding=UTF8", "--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C"]
    command += ["--auth-local=trust", "--auth-host=scram-sha-256"]
    command += [] if sync else ["--no-sync"]
    result = subprocess.run(
        command,
        cwd="/",
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C lets it finish: it takes half a second
        preexec_fn=die_with_us(signal.SIGKILL),
        **drop(account),
    )
    if result.returncode != 0:
        raise ClusterRefused(f"initdb failed for {cluster}:\n{result.stdout.strip()}")
    fresh.rename(cluster)
    return True


def _digest(data: Path) -> str:
    return hashlib.sha256(f"{os.geteuid()}:{data}".encode()).hexdigest()[:12]
