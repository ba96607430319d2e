"""Relays as black boxes: processes that are killed with -9 and started again."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.children import Child

START_SECONDS = 30.0
LOOK_SECONDS = 0.02
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


class Form(enum.StrEnum):
    """How a relay is served: as shipped, or as an application under stock uvicorn."""

    SHIPPED = "shipped"
    ASGI = "asgi"


def can_jump() -> bool:
    """Whether a relay's clock can be made to jump: Debian's package libfaketime is there."""
    return FAKETIME.exists()


@dataclass
class Relay:
    """One relay on a fixed port; `program` is the module, with arguments, that `python -m` runs."""

    name: str
    port: int
    environment: Mapping[str, str] = field(repr=False)
    directory: Path
    form: Form = Form.SHIPPED
    program: Sequence[str] = ("relay",)
    _child: Child | None = field(default=None, init=False, repr=False)

    @property
    def host(self) -> str:
        """Address and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The file that its output goes to."""
        return self.directory / f"{self.name}.log"

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._child is not None and self._child.runs

    def start(self) -> None:
        """Start it; clients find out by themselves when it serves."""
        self.jump(0)
        self._child = Child(self._arguments(), {**self.environment, **self._clock()}, self.log)
        self._child.start()

    async def serves(self) -> None:
        """Return when it accepts connections.

        Raises:
            RuntimeError: It does not within `START_SECONDS`.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                if not self.runs or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} does not serve, see {self.log}") from None
                await asyncio.sleep(LOOK_SECONDS)
            else:
                writer.close()
                return

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._child is not None:
            self._child.kill()

    async def stop(self) -> None:
        """End it in order."""
        if self._child is not None:
            await asyncio.to_thread(self._child.stop)

    def jump(self, seconds: int) -> None:
        """Offset its wall clock by so many seconds; the monotonic clock is unchanged."""
        self._offset.write_text(f"{seconds:+d}\n")

    @property
    def _offset(self) -> Path:
        return self.directory / f"{self.name}.clock"

    def _clock(self) -> Mapping[str, str]:
        if not can_jump():
            return {}
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def _arguments(self) -> tuple[str, ...]:
        if self.form is Form.ASGI:
            address = ("--host", "127.0.0.1", "--port", str(self.port))
            return "-m", "uvicorn", "--factory", "relay.asgi:create", *address
        return "-m", *self.program, "--port", str(self.port)
