"""The detector's bench: `python -m bench.engine`; exit status 1 when it falls behind its reference.

Every contestant judges the same labelled years. Prints a Markdown table of the means over all
seeds and writes bench/results/engine.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict
from pathlib import Path

from bench.engine.contestants import CONTESTANTS
from bench.engine.score import ANOMALIES, Rates, rates
from bench.engine.utilisation import Found, measured
from bench.engine.years import KINDS, Kind, year

RESULTS = Path(__file__).parent.parent / "results" / "engine.json"
QUIET = "false per supplier-week"
ALLOWED = 0.03  # how far a rate may lie below the reference's
COLUMNS = (QUIET, "% of normal events hot", "precision", "recall", *ANOMALIES, "us")

UTILISATION = "utilisation"
Utilisation = dict[str, dict[str, Found]]
Means = dict[str, dict[str, Rates]]  # kind, contestant


def main() -> int:
    """Run what the arguments say."""
    options = _parser().parse_args()
    kinds = [kind for kind in KINDS if options.only in kind.name]
    if not kinds and options.only not in UTILISATION:
        print(f"no kind of year has {options.only!r} in its name", file=sys.stderr)
        return 2
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    means: Means = {}
    for kind in kinds:
        means[kind.name] = _judged(kind, seeds)
        print(f"{kind.name}: done", file=sys.stderr, flush=True)
    print(table(means))
    utilisation = measured(seeds) if options.only in UTILISATION else {}
    print("", utilisation_table(utilisation), sep="\n")
    if kinds == list(KINDS):
        _write(seeds, means, utilisation)
    behind = falls_behind(means) + falls_behind_in_utilisation(utilisation)
    print(*behind, sep="\n", file=sys.stderr)
    return 1 if behind else 0


def _write(seeds: range, means: Means, utilisation: Utilisation) -> None:
    found = {
        year: {name: asdict(figures) for name, figures in by_name.items()}
        for year, by_name in utilisation.items()
    }
    results = {"seeds": list(seeds), "means": means, "utilisation": found}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="years of each kind")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the name of the kinds to run")
    return parser


def _judged(kind: Kind, seeds: range) -> dict[str, Rates]:
    runs: dict[str, list[Rates]] = {name: [] for name in CONTESTANTS}
    for seed in seeds:
        jobs = year(kind, seed)
        for name, judge in CONTESTANTS.items():
            runs[name].append(rates(jobs, judge(jobs)))
    return {name: _mean(found) for name, found in runs.items()}


def _mean(runs: list[Rates]) -> Rates:
    answer: Rates = {}
    for name in runs[0]:
        values = [value for run in runs if (value := run[name]) is not None]
        answer[name] = statistics.mean(values) if values else None
    return answer


def table(means: Means) -> str:
    """Give the rates as a Markdown table."""
    lines = [
        "| year | contestant | " + " | ".join(COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 2) + "|",
    ]
    for kind, found in means.items():
        for name, figures in found.items():
            cells = [_cell(column, figures[column]) for column in COLUMNS]
            lines.append("| " + " | ".join([kind, name, *cells]) + " |")
    return "\n".join(lines)


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    digits = {QUIET: 3, "us": 0}.get(column, 2)
    return f"{value:.{digits}f}"


def utilisation_table(found: Utilisation) -> str:
    """Give what the period series finds as a Markdown table."""
    if not found:
        return ""
    lines = [
        "| trips, load after day 200 | contestant | false per key | found | days after |",
        "|---|---|---|---|---|",
    ]
    for kind, by_name in found.items():
        for name, figures in by_name.items():
            days = "-" if figures.days is None else f"{figures.days:.0f}"
            lines.append(
                f"| {kind} | {name} | {figures.false:.2f} | {figures.found:.2f} | {days} |"
            )
    return "\n".join(lines)


def falls_behind_in_utilisation(found: Utilisation) -> list[str]:
    """Say where the shipped period series is worse than its reference, over all fleets and falls.

    One fleet of a row with ten is a tenth, so rows are not compared one by one.
    """
    if not found:
        return []
    ours, theirs = ([row[name] for row in found.values()] for name in ("shipped", "prototype"))
    behind = []
    our, their = (statistics.mean(f.found for f in figures) for figures in (ours, theirs))
    if our < their - ALLOWED:
        behind.append(f"utilisation: found {our:.3f} instead of {their:.3f}")
    our, their = (statistics.mean(f.false for f in figures) for figures in (ours, theirs))
    if our > their + ALLOWED:
        behind.append(f"utilisation: false {our:.3f} instead of {their:.3f}")
    return behind


def falls_behind(means: Means) -> list[str]:
    """Say where the shipped detector is worse than its reference on the same years."""
    found = []
    for kind, figures in means.items():
        ours, theirs = figures["shipped"], figures["prototype"]
        for name in ("precision", "recall", *ANOMALIES):
            our, their = ours[name], theirs[name]
            if our is not None and their is not None and our < their - ALLOWED:
                found.append(f"{kind}: {name} {our:.3f} instead of {their:.3f}")
        our, their = ours[QUIET], theirs[QUIET]
        if our is not None and their is not None and our > their + 1e-9:
            found.append(f"{kind}: {QUIET} {our:.4f} instead of {their:.4f}")
    return found


if __name__ == "__main__":
    sys.exit(main())
