"""Ends server processes that an earlier, killed emulator left on a data directory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

FAST_SECONDS = 3.0
IMMEDIATE_SECONDS = 1.0
POLL_SECONDS = 0.01


class StillRunning(Exception):
    """A process on the data directory does not end; the message names it."""


def clear(cluster: Path) -> list[int]:
    """End every PostgreSQL process that works in `cluster` and remove its stale pid file.

    Returns the ids of the processes that were ended. The caller holds the directory's lock, so
    that none of them can belong to a living emulator. Raises StillRunning.
    """
    found = running(cluster)
    postmaster = recorded_pid(cluster)
    stages: list[tuple[signal.Signals, Callable[[int], bool], float]] = [
        (signal.SIGINT, lambda pid: pid == postmaster, FAST_SECONDS),
        (signal.SIGQUIT, lambda pid: True, IMMEDIATE_SECONDS),
        (signal.SIGKILL, lambda pid: True, IMMEDIATE_SECONDS),
    ]
    for number, wanted, seconds in stages:
        targets = [pid for pid in running(cluster) if wanted(pid)]
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if targets and _gone(cluster, seconds):
            break
    if left := running(cluster):
        raise StillRunning(f"processes {left} still work on {cluster} and do not end")
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    return found


def running(cluster: Path) -> list[int]:
    """Ids of the PostgreSQL processes that work in `cluster`."""
    if sys.platform == "linux":
        directory = str(cluster.resolve())
        ids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return sorted(pid for pid in ids if _works_in(pid, directory))
    pid = recorded_pid(cluster)
    return [pid] if pid is not None and _is_server_of(pid, cluster) else []


def recorded_pid(cluster: Path) -> int | None:
    """The process id that `postmaster.pid` names, None without a (whole) one."""
    try:
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _works_in(pid: int, directory: str) -> bool:
    """Every server process has the data directory as its working directory."""
    process = Path("/proc", str(pid))
    try:
        if os.readlink(process / "cwd") != directory:
            return False
        program = Path(os.readlink(process / "exe")).name
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # it has ended, or is not ours to look at
        return False
    return program.startswith("postgres") and state != "Z"


def _is_server_of(pid: int, cluster: Path) -> bool:
    command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True).stdout
    return "postgres" in shown and str(cluster) in shown


def _gone(cluster: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while running(cluster):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
