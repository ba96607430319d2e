"""A backtest as a picture: each key a row of events by time and ratio, without a library."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from html import escape

from worker.backtest import Judged
from worker.events import Key

WIDTH, ROW, LEFT, MOST_ROWS = 1100, 90, 170, 40
COLOURS = {"normal": "#8a94a6", "hot": "#c62828", "labelled": "#1565c0"}
SHOWN = math.log(3)  # ratios beyond a third and the threefold stand at the edge


def svg(judged: Sequence[Judged]) -> str:
    """Give the picture: hot events red, labelled ones ringed, open episodes shaded.

    Keys with most hotspots come first; those that do not fit are left out, and told.
    """
    by_key: dict[Key, list[Judged]] = defaultdict(list)
    for seen in judged:
        by_key[seen.key].append(seen)
    ranked = sorted(by_key, key=lambda key: -sum(seen.opened for seen in by_key[key]))
    shown = ranked[:MOST_ROWS]
    begin = min((seen.time for seen in judged), default=0.0)
    span = max((seen.time for seen in judged), default=1.0) - begin or 1.0
    height = ROW * len(shown) + 30
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            'font-family="sans-serif" font-size="11">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for row, key in enumerate(shown):
        parts += _row(key, by_key[key], row * ROW, begin, span)
    left_out = len(ranked) - len(shown)
    note = f"; {left_out} keys are not shown" if left_out else ""
    legend = f"grey normal, red hot, blue ring labelled, shaded: an episode stands open{note}"
    parts += [f'<text x="{LEFT}" y="{height - 10}">{legend}</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def _row(key: Key, events: Sequence[Judged], top: float, begin: float, span: float) -> list[str]:
    def x(time: float) -> float:
        return LEFT + (time - begin) / span * (WIDTH - LEFT - 10)

    middle = top + ROW / 2
    name = f"{key.entity} {key.event_type}"[:28]
    parts = [
        f'<text x="4" y="{middle + 4:.0f}">{escape(name)}</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{middle}" y2="{middle}" stroke="#ccc"/>',
    ]
    for before, after in itertools.pairwise(events):
        if before.is_open:
            width = x(after.time) - x(before.time)
            parts.append(
                f'<rect x="{x(before.time):.1f}" y="{top + 5}" width="{width:.1f}" '
                f'height="{ROW - 10}" fill="#ffcdd2"/>'
            )
    for seen in events:
        if seen.ratio is None:
            continue
        share = max(-SHOWN, min(SHOWN, math.log(max(seen.ratio, 1e-9)))) / SHOWN
        y = middle - share * (ROW / 2 - 8)
        colour = COLOURS["hot" if seen.hot else "normal"]
        ring = "" if seen.normal else f' stroke="{COLOURS["labelled"]}" stroke-width="2"'
        parts.append(
            f'<circle cx="{x(seen.time):.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"{ring}/>'
        )
    return parts
