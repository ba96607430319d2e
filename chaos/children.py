"""Child processes of the harness: each in a session of its own, and gone with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulator.parent_death import die_with_us

PROJECT = Path(__file__).parents[1]
STOP_SECONDS = 8.0


@dataclass
class Child:
    """`python ARGUMENTS`, its output appended to `log`."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; it is not ready yet."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.arguments],
                cwd=PROJECT,
                env={"PATH": os.defpath, "PYTHONUNBUFFERED": "1", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us
                preexec_fn=die_with_us(signal.SIGKILL),
            )

    def kill(self) -> None:
        """End it without notice, as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Tell it to end; after a while by force."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def logged(self, text: str, since: int = 0) -> bool:
        """Whether the log has the text after byte `since`."""
        return text.encode() in self.log.read_bytes()[since:]

    def await_line(self, text: str, seconds: float) -> None:
        """Block until the output has the text.

        Raises:
            RuntimeError: It does not in time; the message ends with the end of the log.
        """
        deadline = time.monotonic() + seconds
        while not self.logged(text):
            if not self.runs or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{self.arguments} did not say {text!r}:\n{tail}")
            time.sleep(0.02)
