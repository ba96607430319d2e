"""A labelled year as a CSV file, for `ingest` and `backtest`: `python -m bench.engine.files FILE`.

The kilograms come from the file's inputs by the worker's own factors: a detour is a longer
distance for the same plan, wasted energy more kWh for the same output.
"""

from __future__ import annotations

import argparse
import csv
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.engine.years import KINDS, Job, year

COLUMNS = (
    "timestamp", "supplier_id", "event_type", "distance_km", "planned_distance_km", "load_kg",
    "vehicle_type", "vehicle_class", "fuel_type", "delivery_count", "energy_kwh",
    "output_quantity", "output_unit", "throughput_t", "temperature", "country", "label",
)  # fmt: skip


def row(job: Job) -> dict[str, Any] | None:
    """Give the row of a job, None for one whose activity is not known."""
    if job.activity is None:
        return None
    made: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(job.time, UTC).isoformat(),
        "supplier_id": f"S-{job.key.supplier:02}",
        "event_type": job.key.event_type,
        "label": job.label,
    }
    # kg lie `badness` above what such a job costs at an intensity of 1.
    match job.key.event_type:
        case "logistics":
            planned = job.size * 100
            made |= {
                "planned_distance_km": round(planned, 2),
                "distance_km": round(planned * job.badness, 2),
                "load_kg": round(job.activity / planned * 1000, 1),
                "vehicle_type": "truck",
                "vehicle_class": "rigid_7_5",
                "fuel_type": "diesel",
            }
        case "delivery":
            made |= {
                "delivery_count": max(1, round(job.activity)),
                "distance_km": round(max(1, round(job.activity)) * 0.4 * job.badness, 3),
                "vehicle_type": "van",
                "fuel_type": "diesel",
            }
        case "factory":
            made |= {
                "energy_kwh": round(job.activity * 40 * job.badness, 2),
                "output_quantity": round(job.activity, 3),
                "output_unit": "t",
                "country": "GBR",
            }
        case _:
            made |= {
                "energy_kwh": round(job.activity * 3 * job.badness, 2),
                "throughput_t": round(job.activity, 3),
                "country": "DEU",
            }
    return made


def write(path: Path, jobs: list[Job]) -> int:
    """Write jobs in order of event time; the number of rows."""
    rows = [made for job in sorted(jobs, key=lambda job: job.time) if (made := row(job))]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def main() -> int:
    """Write what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine.files", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE.csv")
    parser.add_argument("--kind", default="sizes vary, noise .03", help="see bench/engine/years.py")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kinds = {kind.name: kind for kind in KINDS}
    if options.kind not in kinds:
        print(f"no such kind; there are: {'; '.join(kinds)}", file=sys.stderr)
        return 2
    number = write(options.file, year(kinds[options.kind], options.seed))
    print(f"{number} rows of {options.kind}, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
