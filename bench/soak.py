"""Whether a relay's memory levels off: `python -m bench.soak --seconds 3600`.

The embedded Supabase with a real PostgreSQL, a writer of its tables, and a relay with default
settings for each number of clients, all of them beside each other. Half of the changes are new
rows, the others updates; rows older than ten minutes are deleted, so that the database stays small
as well. Prints the relays' memory every minute and at the end how much the last quarter grew;
writes bench/results/soak.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass

import psycopg

from bench import build, machine, usage
from bench.delivery.crowd import EVENTS
from bench.emulated import Supabase, supabase
from bench.load import load
from bench.processes import Program, started
from bench.results import FULL

STEP_SECONDS = 0.1
SAMPLE_SECONDS = 60.0
KEEP_SECONDS = 600.0
INSERT = (
    "insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
    " percent_above, severity, status) select 'Supplier ' || n, 'supplier', 'logistics', 130, 100,"
    " 30, (array['info', 'warn', 'critical'])[1 + n %% 3], 'resolved'"
    " from unnest(%s::int[]) n returning id"
)
UPDATE = "update public.hotspots set percent_above = percent_above + 1 where id = any(%s)"
DELETE = "delete from public.hotspots where id = any(%s)"


@dataclass
class Sample:
    """Memory at a moment: MiB (PSS) of each relay, by its number of clients."""

    seconds: float
    changes: int
    mib: dict[int, float]


class Writer:
    """Writes changes at a steady rate; `changes` counts what was committed."""

    def __init__(self, dsn: str, rate: float) -> None:
        self._dsn = dsn
        self._rate = rate
        self._random = random.Random(7)  # noqa: S311 which rows change, no secret
        self._rows: list[tuple[float, int]] = []  # when it was written, id
        self.changes = 0

    async def run(self) -> None:
        """Write until cancelled."""
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            began = time.monotonic()
            while True:
                due = int((time.monotonic() - began) * self._rate) - self.changes
                if due > 1:
                    await self._write(connection, min(due, 1000))
                await asyncio.sleep(STEP_SECONDS)

    async def _write(self, connection: psycopg.AsyncConnection, due: int) -> None:
        new = self._random.sample(range(1_000_000), (due + 1) // 2)
        cursor = await connection.execute(INSERT, (new,))
        now = time.monotonic()
        self._rows += [(now, row[0]) for row in await cursor.fetchall()]
        touched = {self._random.choice(self._rows)[1] for _ in range(due // 2)}
        cursor = await connection.execute(UPDATE, (list(touched),))
        self.changes += len(new) + cursor.rowcount
        old = [row for at, row in self._rows if now - at > KEEP_SECONDS]
        if len(old) >= 100:
            self._rows = self._rows[len(old) :]
            cursor = await connection.execute(DELETE, (old,))
            self.changes += cursor.rowcount


@asynccontextmanager
async def _relay(project: Supabase, port: int) -> AsyncIterator[Program]:
    environment = {
        "SUPABASE_URL": project.url,
        "SUPABASE_SECRET_KEY": project.key,
        "RELAY_AUTH": "off",
        "RELAY_MAX_PER_ADDRESS": "100000",  # all clients are this machine's
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    command = [sys.executable, "-m", "relay"]
    core = machine.cores()[0]
    async with started(f"relay {port}", command, core=core, environment=environment) as program:
        await program.listens(port)
        yield program


async def measure(seconds: float, rate: float, clients: list[int]) -> list[Sample]:
    """The samples of a run of that many seconds, `rate` changes a second."""
    samples: list[Sample] = []
    async with supabase() as project, AsyncExitStack() as stack:
        relays: dict[int, Program] = {}
        for count in clients:
            port = machine.free_port()
            relays[count] = await stack.enter_async_context(_relay(project, port))
            if count:
                options = ("--path", "/ws/hotspots", *EVENTS, "-t", str(int(seconds) + 600))
                await stack.enter_async_context(load(port, count, options))
        writer = Writer(project.dsn, rate)
        writing = asyncio.create_task(writer.run())
        stack.callback(writing.cancel)
        began = time.monotonic()
        with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
            while (passed := time.monotonic() - began) < seconds:
                await asyncio.wait({writing}, timeout=min(SAMPLE_SECONDS, seconds - passed + 0.01))
                if writing.done():
                    writing.result()
                mib = {
                    count: usage.memory_kib(usage.family(program.pid)) / 1024
                    for count, program in relays.items()
                }
                samples.append(Sample(time.monotonic() - began, writer.changes, mib))
                print(_line(samples[-1]), flush=True)
    return samples


def _line(sample: Sample) -> str:
    memory = "  ".join(f"{count} clients {mib:6.1f} MiB" for count, mib in sample.mib.items())
    return f"{sample.seconds:6.0f} s  {sample.changes:8d} changes  {memory}"


def grown(samples: list[Sample], count: int) -> float:
    """MiB that the relay with so many clients grew in the last quarter of the run: the mean of
    its second half less that of its first, so that one sample decides nothing."""
    last = [sample.mib[count] for sample in samples[len(samples) * 3 // 4 :]]
    half = max(1, len(last) // 2)
    return sum(last[half:] or last) / len(last[half:] or last) - sum(last[:half]) / half


def main() -> int:
    """Read the arguments, measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--rate", type=float, default=200.0, help="changes a second")
    parser.add_argument("--clients", type=int, nargs="+", default=[0, 200], help="one relay each")
    options = parser.parse_args()
    build.programs()
    samples = asyncio.run(measure(options.seconds, options.rate, options.clients))
    growth = {count: grown(samples, count) for count in options.clients}
    for count, mib in growth.items():
        print(f"{count} clients: {mib:+.1f} MiB in the last quarter")
    result = {"rate": options.rate, "growth_mib": growth, "samples": [asdict(s) for s in samples]}
    FULL.with_name("soak.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
