"""Ties a child process to the thread that starts it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def die_with_us(number: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` after which the kernel sends `number` to the child when its parent dies.

    "Parent" is the thread that forks, so that thread has to live as long as the child. None where
    the system has no such thing (only Linux has).
    """
    if sys.platform != "linux":
        return None
    # Looked up before the fork: the child of a threaded process must not import or allocate much.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tie() -> None:
        # subprocess calls this after it has changed the user, which would reset the setting.
        if prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(1)

    return tie
