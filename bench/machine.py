"""The machine: which core serves and which one loads, and what the figures were taken on."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import random
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from emulator.parent_death import die_with_us

# Under the range of ports that outgoing connections get; ten thousand of them are open at times.
PORTS = range(20000, 32000)


@functools.cache
def cores() -> tuple[int, int]:
    """The core of the server under test, and the one of everything else; the same if alone.

    Asked for before `pin_down`, after which this process sees but its own.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def pinned(core: int) -> Callable[[], None]:
    """A `preexec_fn`: the child runs on that core alone and dies with its parent."""
    tie = die_with_us(signal.SIGKILL)

    def pin() -> None:
        os.sched_setaffinity(0, {core})
        if tie is not None:
            tie()

    return pin


def pin_down() -> None:
    """Keep this process, where the publishers run, on the core of everything else."""
    os.sched_setaffinity(0, {cores()[1]})


def raise_descriptor_limit() -> int:
    """Allow this process and its children as many open files as the system lets them have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    """Return a free port outside the range of outgoing connections.

    Raises:
        OSError: None was found.
    """
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port from 20000 to 31999")


def described() -> dict[str, object]:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
