"""What a scan costs for each event: `python -m bench.engine.cost --against COMMIT`.

Each round puts the same labelled year (in order of event time, over the database's own connection)
into a new embedded Supabase of each tree and scans it with that tree's worker, in turn. Prints the
processor time of the worker, of the emulator (REST) and of PostgreSQL, and the seconds of the scan.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import csv
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql

from bench.engine.files import COLUMNS, write
from bench.engine.years import KINDS, year
from bench.usage import family

ROOT = Path(__file__).parents[2]
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """Processor time in us for each event, and the seconds of the whole scan."""

    worker: float
    emulator: float
    postgres: float
    seconds: float

    @property
    def total(self) -> float:
        return self.worker + self.emulator + self.postgres


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine.cost", description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", help="also measure that commit")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (3)")
    parser.add_argument("--suppliers", type=int, default=20, help="of 4 kinds of work each (20)")
    parser.add_argument("--kind", default="sizes vary, noise .03", help="see bench/engine/years.py")
    options = parser.parse_args()
    kinds = {kind.name: kind for kind in KINDS}
    if options.kind not in kinds:
        print(f"no such kind; there are: {'; '.join(kinds)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="hr-cost-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        file = directory / "year.csv"
        number = write(file, year(replace(kinds[options.kind], suppliers=options.suppliers), 1))
        trees = {"this tree": ROOT}
        if options.against:
            trees[options.against] = _unpacked(options.against, directory / "against")
        for root in trees.values():  # as an installed package is: no start is to compile it
            compileall.compile_dir(root / "worker", quiet=1)
        found: dict[str, list[Cost]] = {tree: [] for tree in trees}
        for _ in range(options.rounds):
            for tree, root in trees.items():
                found[tree].append(measured(root, file, number))
    print(f"{number:,} events, {options.kind}; us for each, median of {options.rounds} rounds")
    for tree, costs in found.items():
        middle = Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))
        totals = sorted(cost.total for cost in costs)
        print(
            f"{tree:<12} worker {middle.worker:4.0f}  REST {middle.emulator:4.0f}  "
            f"PostgreSQL {middle.postgres:4.0f}  together {statistics.median(totals):4.0f} "
            f"({totals[0]:.0f} to {totals[-1]:.0f})  {middle.seconds:5.1f} s"
        )
    return 0


def _unpacked(commit: str, directory: Path) -> Path:
    packed = subprocess.run(
        ["git", "archive", commit, "worker", "emulator", "supabase"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(directory, filter="data")
    return directory


def measured(tree: Path, file: Path, number: int) -> Cost:
    """Scan the file's events once with that tree."""
    with _emulator(tree) as (pid, dsn, variables):
        _insert(dsn, file)
        before = _ticks(pid)
        worker, began = _children_us(), time.monotonic()
        environment = os.environ | variables | {"WORKER_CLOCK": "events", "GRID_COUNTRY": "GBR"}
        command = [sys.executable, "-m", "worker", "scan"]
        subprocess.run(command, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds, worker = time.monotonic() - began, _children_us() - worker
        own, postgres = (
            (now - then) * TICK_US for now, then in zip(_ticks(pid), before, strict=True)
        )
    return Cost(worker / number, own / number, postgres / number, seconds)


@contextmanager
def _emulator(tree: Path) -> Iterator[tuple[int, str, dict[str, str]]]:
    with tempfile.TemporaryDirectory(prefix="hr-cost-") as name:
        data = Path(name)
        data.chmod(0o755)
        command = [sys.executable, "-m", "emulator", "--port", "0", "--data", name]
        command += ["--migrations", str(tree / "supabase" / "migrations")]
        command += ["--env", str(data / "env")]
        process = subprocess.Popen(command, cwd=tree, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            printed: list[str] = []
            while not printed or not printed[-1].startswith("Ctrl-C"):
                printed.append(process.stdout.readline())
                assert printed[-1], "the emulator did not start"
            dsn = next(line.split(None, 1)[1] for line in printed if line.startswith("PostgreSQL"))
            lines = (data / "env").read_text().splitlines()
            yield process.pid, dsn.strip(), dict(line.split("=", 1) for line in lines)
        finally:
            process.terminate()
            process.wait()


def _insert(dsn: str, file: Path) -> None:
    """Add the events in order; a column that a tree's table lacks is left out."""
    with psycopg.connect(dsn, autocommit=True) as connection, file.open(encoding="utf-8") as opened:
        known = {
            row[0]
            for row in connection.execute(
                "select column_name from information_schema.columns"
                " where table_schema = 'public' and table_name = 'events_normalized'"
            )
        }
        columns = [name for name in COLUMNS if name in known]
        target = sql.SQL("copy public.events_normalized ({}) from stdin").format(
            sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with connection.cursor().copy(target) as copy:
            for row in csv.DictReader(opened):
                copy.write_row([row[name] or None for name in columns])
        connection.execute("analyze")


def _children_us() -> float:
    times = os.times()
    return (times.children_user + times.children_system) * 1e6


def _ticks(pid: int) -> tuple[float, float]:
    """Processor time of the emulator itself and of the processes below it, ended ones as well."""
    return _used([pid], ended=False), _used(family(pid)[1:], ended=True)


def _used(pids: Sequence[int], *, ended: bool) -> float:
    total = 0
    for pid in reversed(pids):  # one that ends meanwhile is counted by the process above it
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11 : 15 if ended else 13])
    return total


if __name__ == "__main__":
    sys.exit(main())
