"""Starts and ends the programs of a run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
from websockets.exceptions import WebSocketException

from bench import machine

ROOT = Path(__file__).parent.parent
START_SECONDS = 20.0
STOP_SECONDS = 5.0
LONGEST_LINE = 1 << 20


class Failed(Exception):
    """A program failed; the text names it and its last output."""


# Whatever goes wrong between the programs: one run fails, the others go on.
TROUBLE: Final = (Failed, OSError, TimeoutError, httpx.HTTPError, WebSocketException)


class Program:
    """A running program; what it prints is in a file, except for what `lines` reads."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def line(self, seconds: float = START_SECONDS) -> str:
        """The next line that it prints; it was started with `piped`.

        Raises:
            Failed: It ended or said nothing for so long.
        """
        output = self.process.stdout
        assert output is not None, "not piped"
        try:
            async with asyncio.timeout(seconds):
                line = await output.readline()
        except TimeoutError:
            raise Failed(f"{self.name} said nothing for {seconds:g} s{self.last_error()}") from None
        if not line:
            raise Failed(f"{self.name} ended{self.last_error()}")
        return line.decode().rstrip()

    async def listens(self, port: int, seconds: float = START_SECONDS) -> None:
        """Return when it accepts connections.

        Raises:
            Failed: It ended or does not accept any within that time.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setblocking(False)
                async with asyncio.timeout(1):
                    await loop.sock_connect(probe, ("127.0.0.1", port))
                return
            if self.process.returncode is not None or loop.time() > until:
                raise Failed(f"{self.name} does not listen on {port}{self.last_error()}")
            await asyncio.sleep(0.02)

    def last_error(self) -> str:
        """The last that it printed as an error."""
        text = self._log.read_text(errors="replace").strip()
        return f": {text[-800:]}" if text else ""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        # Not by the process itself, which looks for its end first and so hides it from asyncio.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill it at once, as a crash of the machine would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End it with all its descendants, by force if it takes longer."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.process.wait()
        # It leads a session of its own: nothing of it stays, also when it ended by itself.
        self.kill()
        await self.process.wait()


@asynccontextmanager
async def started(
    name: str,
    command: Sequence[str | Path],
    *,
    core: int,
    environment: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    piped: bool = False,
    stop_seconds: float = STOP_SECONDS,
) -> AsyncIterator[Program]:
    """The program on that core, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="hr-bench-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if piped else errors,
                stderr=errors,
                start_new_session=True,
                preexec_fn=machine.pinned(core),
                limit=LONGEST_LINE,
            )
        program = Program(name, process, log)
        try:
            yield program
        finally:
            await program.stop(stop_seconds)
