"""`python -m bench.ingest`: how fast a CSV file is written, and in how much memory.

Each round writes the same file into an empty table of an embedded Supabase, by the worker of this
tree and by that of another commit (`--against`), in turn. Rows come with times that are not in
order. Prints rows per second, processor time and the peak of
memory of the worker's process.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from bench.emulator_load import emulator

ROOT = Path(__file__).parent.parent
HEADER = (
    "timestamp,supplier_id,event_type,distance_km,load_kg,vehicle_type,fuel_type,speed,energy_kwh"
)
SUPPLIERS = 200


def write_file(path: Path, rows: int) -> None:
    """Write a file of made-up events, two in three of them trips."""
    rng = random.Random(1)  # noqa: S311 - sample data, no secret
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        for number in range(rows):
            when = start + timedelta(seconds=rng.randrange(300 * 86_400))
            stamp = when.strftime("%Y-%m-%d %H:%M:%S")
            supplier = f"Supplier {rng.randrange(SUPPLIERS)}"
            if number % 3:
                km, kg = rng.uniform(10, 400), rng.uniform(100, 5000)
                file.write(f"{stamp},{supplier},logistics,{km:.1f},{kg:.0f},truck,diesel,60,\n")
            else:
                file.write(f"{stamp},{supplier},factory,,,,,,{rng.uniform(900, 9000):.1f}\n")


def tree_of(commit: str, directory: Path) -> Path:
    """The worker of a commit, unpacked."""
    packed = subprocess.run(
        ["git", "archive", commit, "worker"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(directory, filter="data")
    return directory


def ingest(tree: Path, file: Path, environment: dict[str, str]) -> dict[str, float]:
    """Run the command once: seconds, processor seconds, peak of memory in MiB."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "ingest", str(file)],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    summary = process.stdout.readline()
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, summary
    return {
        "seconds": time.monotonic() - started,
        "cpu": usage.ru_utime + usage.ru_stime,
        "mib": usage.ru_maxrss / 1024,
    }


def measure(
    variables: dict[str, str], dsn: str, trees: dict[str, Path], file: Path, rounds: int
) -> None:
    """Print the figures of all trees."""
    with file.open() as lines:
        rows = sum(1 for _ in lines) - 1
    environment = {**os.environ, **variables}
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    for _ in range(rounds):
        for name, tree in trees.items():
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("truncate events_normalized cascade")
            taken[name].append(ingest(tree, file, environment))
    print(f"{rows:,} rows, median (least to most) of {rounds} rounds")
    for name, results in taken.items():
        paces = sorted(rows / result["seconds"] for result in results)
        cpu = statistics.median(result["cpu"] for result in results) / rows * 1e6
        print(
            f"{name:<12} {statistics.median(paces):>8,.0f} rows/s ({paces[0]:,.0f} to "
            f"{paces[-1]:,.0f})  {cpu:>5,.0f} us/row  "
            f"{max(result['mib'] for result in results):>5,.0f} MiB"
        )
    print(json.dumps({"rows": rows, "results": taken}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="rows of the file (20000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--against", metavar="COMMIT", help="also measure the worker of a commit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hr-ingest-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        trees = {"this tree": ROOT}
        if options.against:
            trees[options.against] = tree_of(options.against, directory / "against")
        file = directory / "events.csv"
        write_file(file, options.rows)
        with emulator({}, schema=None) as (_, variables, dsn):
            measure(variables, dsn, trees, file, options.rounds)


if __name__ == "__main__":
    main()
