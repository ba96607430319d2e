"""Runs the parts of the demo as child processes: starts, restarts and stops them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from emulator.parent_death import die_with_us

RESTARTS = 5
RESTART_WINDOW_SECONDS = 60.0
START_SECONDS = 5.0
LONGEST_LINE_BYTES = 1 << 20


class GivesUp(Exception):
    """A part dies again and again; the message names it."""


@dataclass
class Child:
    """One part: `python -m` with `arguments`, restarted when it dies, until `stop`."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    say: Callable[[str, str], None]
    process: asyncio.subprocess.Process | None = None
    stopping: bool = False

    async def keep_running(self) -> None:
        """Run the part until `stop`.

        Raises:
            GivesUp: It cannot even start, or has died five times within a minute.
        """
        deaths: deque[float] = deque(maxlen=RESTARTS)
        started = time.monotonic()
        while not self.stopping:
            status = await self._run_once()
            if self.stopping:
                return
            if status > 0 and time.monotonic() - started < START_SECONDS:
                raise GivesUp(f"{self.name} could not start, see its last line")
            deaths.append(time.monotonic())
            if len(deaths) == RESTARTS and deaths[-1] - deaths[0] < RESTART_WINDOW_SECONDS:
                raise GivesUp(f"{self.name} ended {RESTARTS} times within a minute, see above")
            self.say("demo", f"{self.name} ended ({describe(status)}); starting it again")
            await asyncio.sleep(min(0.2 * 2 ** len(deaths), 5.0))

    async def _run_once(self) -> int:
        again = self.process is not None
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *self.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(self.environment),
            # Ctrl-C in the terminal reaches this process alone, which stops the parts in order.
            start_new_session=True,
            preexec_fn=die_with_us(signal.SIGTERM),
            limit=LONGEST_LINE_BYTES,
        )
        if again:
            self.say("demo", f"{self.name} runs again as process {self.process.pid}")
        if self.stopping:  # stop() came while the process was being made
            self.process.terminate()
        output = self.process.stdout
        while output is not None and (line := await output.readline()):
            self.say(self.name, line.decode(errors="replace").rstrip())
        return await self.process.wait()

    async def stop(self, seconds: float) -> None:
        """End the part within `seconds`, by force if need be."""
        self.stopping = True
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            self.say("demo", f"{self.name} did not stop within {seconds:g} s; killing it")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def describe(status: int) -> str:
    """`exit status 1` or `signal SIGKILL`."""
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
