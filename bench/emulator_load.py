"""Load on the emulated Realtime: `python -m bench.emulator_load`.

Writes so many changes a second into an emulator of its own while subscribers, in a process of
their own, check that each of them gets every change once and in order. Prints latencies from
commit to receipt, and the emulator's memory and processor time. `--burst` writes that many rows in
one transaction instead. The exit status is 1 when anything was lost, came twice or out of order.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import psycopg

from bench.raw_subscriber import subscribe

ROOT = Path(__file__).parent.parent
MIGRATION = """
create table public.load (id bigint primary key, at float8, note text);
alter table public.load enable row level security;
create policy everybody on public.load for select to anon using (true);
grant select on public.load to anon;
alter publication supabase_realtime add table public.load;
"""
WRITE = """
insert into public.load
select n, extract(epoch from clock_timestamp()), repeat('x', 200)
from generate_series(%s::bigint, %s::bigint) n
"""
STATEMENTS_PER_SECOND = 50
SAMPLE_SECONDS = 1.0


@contextmanager
def emulator(
    settings: dict[str, str], schema: str | None = MIGRATION
) -> Iterator[tuple[int, dict[str, str], str]]:
    """Its process id, the variables that it writes, and how to connect to its PostgreSQL.

    Without `schema` it has the migrations of the project.
    """
    data = Path(tempfile.mkdtemp(prefix="hr-load-"))
    data.chmod(0o755)
    migrations = data / "supabase" / "migrations"
    migrations.mkdir(parents=True)
    command = [sys.executable, "-m", "emulator", "--port", "0", "--data", str(data)]
    command += ["--env", str(data / "env")]
    if schema is not None:
        (migrations / "20260101000000_load.sql").write_text(schema)
        command += ["--migrations", str(migrations)]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        printed: list[str] = []
        while not printed or not printed[-1].startswith("Ctrl-C"):
            printed.append(process.stdout.readline())
            assert printed[-1], "the emulator did not start"
        dsn = next(line.split(None, 1)[1] for line in printed if line.startswith("PostgreSQL"))
        variables = dict(line.split("=", 1) for line in (data / "env").read_text().splitlines())
        yield process.pid, variables, dsn.strip()
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(data, ignore_errors=True)


def memory_mb(pid: int) -> float:
    """Resident memory of the process, without its children."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_seconds(pid: int) -> float:
    """Processor time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write(dsn: str, pid: int, rate: int, seconds: float) -> tuple[int, list[float]]:
    """Write at that rate; how many rows, and the emulator's memory at each second."""
    written, memory, sampled = 0, [memory_mb(pid)], 0.0
    with psycopg.connect(dsn, autocommit=True) as connection:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * rate)
            if due > written:
                connection.execute(WRITE, (written + 1, due))
                written = due
            if passed - sampled > SAMPLE_SECONDS:
                sampled = passed
                memory.append(memory_mb(pid))
            time.sleep(1 / STATEMENTS_PER_SECOND)
    return written, memory


def write_at_once(dsn: str, rows: int) -> int:
    """Write all rows in one transaction."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(WRITE, (1, rows))
    return rows


def run(options: argparse.Namespace) -> dict[str, object]:
    """Run it; what came out."""
    settings = {"EMULATOR_JOIN_MS": "0", "EMULATOR_COLD_JOIN_MS": "0"}
    if options.poll_ms is not None:
        settings["EMULATOR_POLL_MS"] = options.poll_ms
    with emulator(settings) as (pid, variables, dsn):
        here, there = multiprocessing.get_context("spawn").Pipe()
        arguments = (
            variables["SUPABASE_URL"],
            variables["SUPABASE_PUBLISHABLE_KEY"],
            options.subscribers,
            there,
        )
        process = multiprocessing.get_context("spawn").Process(target=subscribe, args=arguments)
        process.start()
        assert here.recv() == "joined"
        used, began = processor_seconds(pid), time.time()
        if options.burst:
            memory = [memory_mb(pid)]
            written = write_at_once(dsn, options.burst)
        else:
            written, memory = write(dsn, pid, options.rate, options.seconds)
        here.send(written)
        result = here.recv()
        used = processor_seconds(pid) - used
        memory.append(memory_mb(pid))
        process.join()
    latencies = result["latencies"] or [0.0]
    return {
        "rows": written,
        "subscribers": options.subscribers,
        "lost": result["lost"],
        "out of order or twice": result["wrong"],
        "rows per second": round(written / (result["finished"] - began)),
        "latency ms p50": round(latencies[len(latencies) // 2] * 1000, 1),
        "latency ms p99": round(latencies[len(latencies) * 99 // 100] * 1000, 1),
        "latency ms max": round(latencies[-1] * 1000, 1),
        "emulator processor share": round(used / (result["finished"] - began), 2),
        "memory MB": [round(sample) for sample in memory],
    }


def main() -> int:
    """Read the arguments, run and print; 1 when anything was lost or in disorder."""
    parser = argparse.ArgumentParser(description="Load on the emulated Realtime.")
    parser.add_argument("--rate", type=int, default=2000, help="changes a second (2000)")
    parser.add_argument("--seconds", type=float, default=30, help="for so long (30)")
    parser.add_argument("--subscribers", type=int, default=20, help="each gets everything (20)")
    parser.add_argument("--burst", type=int, help="so many rows in one transaction instead")
    parser.add_argument("--poll-ms", help="EMULATOR_POLL_MS (like the real server)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    result = run(options)
    if options.json:
        print(json.dumps(result))
    else:
        memory = cast(list[int], result["memory MB"])
        report = result | {"memory MB": f"{memory[0]} to {memory[-1]}, at most {max(memory)}"}
        for name, value in report.items():
            print(f"{name:28} {value}")
    return 1 if result["lost"] or result["out of order or twice"] else 0


if __name__ == "__main__":
    sys.exit(main())
