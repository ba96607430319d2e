"""What an emulated service is mounted on: the project, and the form of a mount point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from emulator.database import Database
from emulator.faults import Faults
from emulator.identity import Keys
from emulator.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Project:
    """One emulated Supabase project: its database, its keys, its settings and its address."""

    database: Database
    keys: Keys
    settings: Settings
    url: str
    faults: Faults = field(default_factory=Faults)


# A part opens what it needs (pools, tasks) when entered, on the server's event loop, yields the
# routes it serves, with their full paths, and closes everything when left, within a second.
# A task of it that dies has to end the context with its exception: the emulator then stops.
MountPoint = Callable[[Project], AbstractAsyncContextManager[Sequence[BaseRoute]]]
