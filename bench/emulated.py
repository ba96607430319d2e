"""The embedded Supabase with a real PostgreSQL, for what a stand-in cannot answer."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine
from bench.processes import started

START_SECONDS = 60.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Supabase:
    """Where it is; `dsn` connects to its database as the owner."""

    url: str
    key: str = field(repr=False)
    dsn: str = field(repr=False)
    publishable: str = ""


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hr-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as somebody else where we are root
        yield Path(folder)


@asynccontextmanager
async def supabase() -> AsyncIterator[Supabase]:
    """A fresh one with the project's migrations, beside the load generator."""
    with _folder() as data:
        command = [sys.executable, "-m", "emulator", "--port", "0", "--data", str(data)]
        command += ["--env", str(data / "env")]
        core = machine.cores()[1]
        async with started(
            "emulator", command, core=core, piped=True, stop_seconds=STOP_SECONDS
        ) as program:
            dsn = ""
            while not (line := await program.line(START_SECONDS)).startswith("Ctrl-C"):
                if line.startswith("PostgreSQL"):
                    dsn = line.split(None, 1)[1]
            lines = (data / "env").read_text().splitlines()
            variables = dict(line.split("=", 1) for line in lines)
            yield Supabase(
                variables["SUPABASE_URL"],
                variables["SUPABASE_SECRET_KEY"],
                dsn,
                variables["SUPABASE_PUBLISHABLE_KEY"],
            )
