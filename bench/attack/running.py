"""A running attack, seen from the benchmark."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.processes import Failed, Program, started

END_SECONDS = 30.0


@dataclass(frozen=True)
class Done:
    """Result of an attack: attacks started per second by kind, and the most open at once."""

    per_second: dict[str, float]
    at_once: int

    def __str__(self) -> str:
        kinds = ", ".join(f"{each:.0f} {kind}" for kind, each in self.per_second.items())
        return f"attacks a second: {kinds}; {self.at_once} at once"


@dataclass(frozen=True)
class Attack:
    """A process of hostile clients."""

    program: Program

    async def end(self) -> Done:
        """End it.

        Raises:
            Failed: It was none, or not all that was wanted of it.
        """
        self.program.signal(signal.SIGTERM)
        report = json.loads(await self.program.line(END_SECONDS))
        begun = sum(report["begun"].values())
        if not begun or report["unable"] or report["left_out"]:
            raise Failed(f"the attack did not go as wanted: {report}")
        found = {kind: count / report["seconds"] for kind, count in report["begun"].items()}
        return Done(found, report["at_once"])


@asynccontextmanager
async def attacking(
    port: int, per_second: float, tokens: Sequence[str], way: str | None = None
) -> AsyncIterator[Attack]:
    """So many attacks begin each second, by strangers and by the users with these tokens; or by
    the users alone, in that way."""
    with tempfile.TemporaryDirectory(prefix="hr-bench-") as folder:
        words = Path(folder) / "tokens"
        words.write_text("\n".join(tokens))
        command = [sys.executable, "-m", "bench.attack", str(port), "--tokens", str(words)]
        command += ["--per-second", str(per_second), *(["--way", way] if way else [])]
        core = machine.cores()[1]
        async with started("attack", command, core=core, piped=True) as program:
            await program.line()
            yield Attack(program)
