"""The plot of the results, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.results import FOLDER, HEADLINE_CLIENTS, Results
from bench.spread import Run, chosen, spread

NAME = "fanout"
LEAST_SHOWN = 0.03  # where the bars of a logarithmic scale begin
OWN, OTHER, FLOOR = "#0b7a75", "#9aa5b1", "#d1d5db"
PANELS = (
    ("paced_us", "50 rows/s\nCPU µs per delivery", False),
    ("burst_us", "burst\nCPU µs per delivery (log)", True),
    ("paced_p99_ms", "50 rows/s\np99 ms", False),
    ("kib_per_idle_connection", "KiB per idle connection", False),
)


class NoMatplotlib(Exception):
    """The plot cannot be drawn; the text says what to install."""


def draw(results: Results, folder: Path = FOLDER) -> list[Path]:
    """Draw the figures with 1,000 clients; the files.

    Raises:
        NoMatplotlib: It is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise NoMatplotlib("no plot without matplotlib: pip install -e '.[bench]'") from None
    runs = chosen(results.runs, "fanout", HEADLINE_CLIENTS)
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, title, log) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        _panel(axes, runs, name, title, log=log)
    figure.suptitle(f"{HEADLINE_CLIENTS:,} clients, rows of 350 bytes; shorter is better")
    paths = [folder / f"{NAME}.{suffix}" for suffix in ("png", "svg")]
    for path in paths:
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def _panel(axes: Any, runs: Sequence[Run], name: str, title: str, *, log: bool) -> None:
    found = {
        contestant: each
        for contestant in dict.fromkeys(run["contestant"] for run in runs)
        if (each := spread(runs, contestant, name)) is not None
    }
    names = sorted(found, key=lambda contestant: -found[contestant].median)
    medians = [found[each].median for each in names]
    errors = [
        [found[each].median - found[each].least for each in names],
        [found[each].most - found[each].median for each in names],
    ]
    colours = [OWN if n == "relay" else FLOOR if n.startswith("floor") else OTHER for n in names]
    axes.barh(names, medians, xerr=errors, color=colours, ecolor="#4b5563", error_kw={"lw": 0.8})
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if log:
        axes.set_xscale("log")
        axes.set_xlim(left=LEAST_SHOWN)
