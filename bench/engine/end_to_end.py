"""A labelled file through `ingest` and `scan` to the tables: `python -m bench.engine.end_to_end`.

Says what the tables hold against the labels, and the processor time of the scan for each event.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bench.emulated import supabase
from bench.engine.files import write
from bench.engine.years import KINDS, year
from worker.backtest import FOUND_WITHIN

Row = dict[str, Any]


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine.end_to_end", description=__doc__)
    parser.add_argument("--kind", default="sizes vary, noise .03", help="see bench/engine/years.py")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kinds = {kind.name: kind for kind in KINDS}
    if options.kind not in kinds:
        print(f"no such kind; there are: {'; '.join(kinds)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "year.csv"
        number = write(file, year(kinds[options.kind], options.seed))
        seconds, events, hotspots = asyncio.run(_through(file))
        with file.open(encoding="utf-8") as opened:
            labels = [row["label"] for row in csv.DictReader(opened)]
    print(f"{options.kind}, seed {options.seed}: {number} events")
    print(f"scan: {seconds / number * 1e6:.0f} us of processor time for each event")
    for line in figures(events, labels, hotspots):
        print(line)
    return 0


async def _through(file: Path) -> tuple[float, list[Row], list[Row]]:
    async with supabase() as project:
        env = os.environ | {
            "SUPABASE_URL": project.url,
            "SUPABASE_SECRET_KEY": project.key,
            "WORKER_CLOCK": "events",
            "GRID_COUNTRY": "GBR",
        }
        seconds = 0.0
        for arguments in (["ingest", str(file)], ["scan"]):
            before = _children()
            await asyncio.to_thread(
                subprocess.run, [sys.executable, "-m", "worker", *arguments], env=env, check=True
            )
            seconds = _children() - before
        connection = psycopg.connect(project.dsn, row_factory=dict_row)
        with connection:
            events = connection.execute(
                "select e.id, e.supplier_id, e.event_type, e.timestamp, coalesce(p.hotspot, false)"
                " as hot from events_normalized e left join predictions p on p.event_id = e.id"
                " order by e.id"
            ).fetchall()
            hotspots = connection.execute(
                "select entity, event_type, occurred_at, last_seen_at, status from hotspots"
            ).fetchall()
    return seconds, events, hotspots


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures(events: list[Row], labels: list[str], hotspots: list[Row]) -> list[str]:
    """Give the share of normal events hot, recall by kind, and false hotspots.

    Both lists of events are in order of event time. An anomaly is found by an episode that began
    at most FOUND_WITHIN events after its end and was last seen after its beginning.
    """
    by_key: dict[tuple[str, str], list[tuple[Row, str]]] = defaultdict(list)
    for row, label in zip(events, labels, strict=True):
        by_key[row["supplier_id"], row["event_type"]].append((row, label))
    episodes: dict[tuple[str, str], list[tuple[datetime, datetime]]] = defaultdict(list)
    for spot in hotspots:
        found = (spot["occurred_at"], spot["last_seen_at"])
        episodes[spot["entity"], spot["event_type"]].append(found)
    normal = [row["hot"] for row, label in zip(events, labels, strict=True) if not label]
    hits: dict[str, list[bool]] = defaultdict(list)
    for key, work in by_key.items():
        for label, first, last in _anomalies([label for _, label in work]):
            begin = work[first][0]["timestamp"]
            end = work[min(last + FOUND_WITHIN, len(work) - 1)][0]["timestamp"]
            hits[label].append(any(a <= end and b >= begin for a, b in episodes[key]))
    lines = [f"normal events hot: {sum(normal)} of {len(normal)} ({sum(normal) / len(normal):.2%})"]
    lines += [
        f"{label:<14} found {sum(found)} of {len(found)} ({sum(found) / len(found):.2f})"
        for label, found in sorted(hits.items())
    ]
    return [*lines, f"hotspots: {len(hotspots)}"]


def _anomalies(labels: list[str]) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for place, label in enumerate(labels):
        if label and place and labels[place - 1] == label:
            found[-1] = (label, found[-1][1], place)
        elif label:
            found.append((label, place, place))
    return found


if __name__ == "__main__":
    sys.exit(main())
