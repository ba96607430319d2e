"""A demo of its own for a test: real processes, found by a mark in their environment."""

from __future__ import annotations

import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from demo.stage import read_env

PROJECT = Path(__file__).parents[2]
MARK = "HOTSPOT_DEMO_UNDER_TEST"
NOWHERE = "http://127.0.0.1:9"


def free_port() -> int:
    """A free port below the ephemeral ones, which the kernel would give to any client."""
    while True:
        port = random.randint(12_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@dataclass
class Demo:
    """`python -m demo` on ports of its own; `lines` is what it printed so far."""

    data: Path
    emulator_port: int
    relay_port: int
    mark: str
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    news: queue.Queue[str] = field(default_factory=queue.Queue)

    @property
    def relay(self) -> str:
        return f"http://127.0.0.1:{self.relay_port}"

    @property
    def sockets(self) -> str:
        return f"ws://127.0.0.1:{self.relay_port}"

    def variables(self) -> dict[str, str]:
        """What `demo.env` holds."""
        return read_env(self.data / "demo.env")

    def wait_line(self, text: str, seconds: float = 60) -> None:
        """Wait for a line that holds `text` and has not been waited for before."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.news.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"no {text!r} within {seconds} s:\n" + "\n".join(self.lines[-40:])
                ) from None
            if text in line:
                return

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.relay}/readyz", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def pids(self, command_part: str = "") -> list[int]:
        """Its living processes, those whose command line holds `command_part`."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                environment = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            ours = self.mark.encode() in environment or str(self.data) in command
            if state != "Z" and ours and command_part in command:
                found.append(int(entry.name))
        return found

    def kill(self, command_part: str) -> None:
        """kill -9 the one process whose command line holds `command_part`."""
        (pid,) = self.pids(command_part)
        os.kill(pid, signal.SIGKILL)

    def interrupt(self) -> float:
        """Ctrl-C; the seconds until it has ended."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        return time.monotonic() - started


@contextmanager
def demo(
    data: Path, *arguments: str, python: str = sys.executable, cwd: Path = PROJECT
) -> Iterator[Demo]:
    """Start the demo on `data`; whatever is left of it at the end is killed."""
    ports = free_port(), free_port()
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [
            *(python, "-m", "demo", "--data", str(data), "--speed", "60"),
            *("--suppliers", "6"),
            *("--emulator-port", str(ports[0]), "--relay-port", str(ports[1])),
            *arguments,
        ],
        cwd=cwd,
        # A proxy of the user's is not asked for what is on this machine.
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", MARK: mark, "HTTP_PROXY": NOWHERE},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = Demo(data, *ports, mark, process)

    def read() -> None:
        for line in process.stdout or ():
            running.lines.append(line.rstrip())
            running.news.put(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield running
    finally:
        for pid in [process.pid, *running.pids()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()
        reader.join()
        if process.stdout is not None:
            process.stdout.close()
