"""What processes use: processor time and memory, as the kernel accounts for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SAMPLE_SECONDS = 0.25


def family(pid: int) -> tuple[int, ...]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for status in PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return tuple(found)


def processor_us(pids: Iterable[int]) -> float:
    """Microseconds that all threads of the processes have been on a processor."""
    nanoseconds = 0
    for pid in pids:
        for task in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):  # a thread may end meanwhile
                nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1000


def memory_kib(pids: Iterable[int]) -> float:
    """Memory of the processes, shared pages counted by share (PSS)."""
    return sum(_pss(pid) for pid in pids)


@dataclass
class Growth:
    """By how much memory was above what it was at first, at most."""

    kib: float = 0.0


@asynccontextmanager
async def growth(pids: Iterable[int]) -> AsyncIterator[Growth]:
    """Watch the memory of the processes until the block ends."""
    watched, found = tuple(pids), Growth()
    first = memory_kib(watched)

    async def watch() -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            found.kib = max(found.kib, memory_kib(watched) - first)

    watching = asyncio.create_task(watch(), name="memory")
    try:
        yield found
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _pss(pid: int) -> int:
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
