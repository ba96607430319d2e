"""Puts the figures of results/full.json and results/delivery.json into the documentation, and the
plot beside it: `python -m bench.docs`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from bench import table
from bench.processes import ROOT
from bench.results import DELIVERY, FULL, RELAY, Results
from bench.spread import chosen, ratio, spread

FIGURES = ROOT / "docs/benchmarks.md"
SIZES = ROOT / "docs/deploy/scaling.md"
PICTURE = ROOT / "docs/pictures/fanout.png"
BEGIN, END = "<!-- figures of make bench -->", "<!-- end of the figures -->"
MAIN_CLIENTS = 1000
PLOT = "![CPU, latency and memory of the relay beside others](pictures/fanout.png)"


class NoPlace(Exception):
    """The text has no place for figures."""


def main() -> int:
    """Rewrite the pages."""
    results = Results.from_json(json.loads(FULL.read_text()))
    delivery = json.loads(DELIVERY.read_text())["figures"] if DELIVERY.exists() else {}
    for page, shown in ((FIGURES, figures(results, delivery)), (SIZES, loads(results))):
        page.write_text(filled(page.read_text(), shown))
        print(f"written: {page}")
    drawn = FULL.with_name(PICTURE.name)
    if drawn.exists():
        drawn.replace(PICTURE)
        print(f"written: {PICTURE}")
    return 0


def filled(text: str, figures: str) -> str:
    """The text with the figures between its marks.

    Raises:
        NoPlace: The marks are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoPlace(f"no place for figures: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{figures}\n{END}{after}"


def figures(results: Results, delivery: Mapping[str, Mapping[str, float]]) -> str:
    """The figures as Markdown."""
    about = results.about
    machine = about["machine"]
    where = f"{machine['cores']} cores of {machine['processor']}, Linux {machine['kernel']}"
    how = "median (least to most) of the rounds, `x floor` within a round"
    parts = [
        f"Taken at {about['taken_at']} on {where}, Python {machine['python']}; {how}.",
        PLOT,
        table.markdown(results, MAIN_CLIENTS),
        _sizes(results),
    ]
    parts += ["\n".join([f"- {title}: {_listed(found)}" for title, found in delivery.items()])]
    if results.skipped:
        left_out = "; ".join(f"{name} ({why})" for name, why in results.skipped.items())
        parts.append(f"Not measured: {left_out}.")
    return "\n\n".join(part for part in parts if part)


def _sizes(results: Results) -> str:
    head = ("clients", "paced x floor", "p99 x floor", "burst us", "KiB/conn", "connects/s")
    lines = [f"| {' | '.join(head)} |", "|" + " ---: |" * len(head)]
    for clients in table.sizes(results):
        runs = chosen(results.runs, "fanout", clients)
        cells = (
            f"{clients:,}",
            table.number(ratio(runs, RELAY, "paced_us"), 2),
            table.number(ratio(runs, RELAY, "paced_p99_ms"), 2),
            table.number(spread(runs, RELAY, "burst_us"), 2),
            table.number(spread(runs, RELAY, "kib_per_idle_connection"), 1),
            table.number(spread(runs, RELAY, "connects_per_s"), 0),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(["**The relay by number of clients**", "", *lines])


LOADS = ((100, 50), (1000, 10), (1000, 50), (5000, 10), (10_000, 1), (10_000, 10))


def loads(results: Results) -> str:
    """What a load takes, as Markdown: processor time of one core, and memory of the connections."""
    signed_in = spread(chosen(results.runs, "idle", 10_000), f"{RELAY}-ES256", "idle_kib")
    head = ("clients", "rows/s", "deliveries/s", "of one core", "p99 ms", "connections MiB")
    lines = [f"| {' | '.join(head)} |", "|" + " ---: |" * len(head)]
    for clients, rate in LOADS:
        runs = chosen(results.runs, "fanout", clients)
        cost = spread(runs, RELAY, "paced_us")
        latency = spread(runs, RELAY, "paced_p99_ms")
        if cost is None or latency is None or signed_in is None:
            continue
        measured = rate == (50 if clients <= MAIN_CLIENTS else 10)  # else worked out from that
        cells = (
            f"{clients:,}",
            str(rate),
            f"{clients * rate:,}",
            f"{clients * rate * cost.median / 1e6:.0%}",
            f"{latency.median:.0f}" if measured else "",
            f"{clients * signed_in.median / 1024:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _listed(found: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in found.items())


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
