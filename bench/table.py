"""The results as tables, for a terminal or for Markdown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.results import Results, headline
from bench.spread import Run, Spread, chosen, ratio, spread

Row = list[str]
Column = tuple[str, Callable[[list[Run], str], str]]


def _figure(name: str, digits: int, factor: float = 1.0) -> Callable[[list[Run], str], str]:
    return lambda runs, contestant: number(spread(runs, contestant, name), digits, factor)


def _times(name: str) -> Callable[[list[Run], str], str]:
    return lambda runs, contestant: number(ratio(runs, contestant, name), 2)


def _with_spread(name: str, digits: int, factor: float = 1.0) -> Callable[[list[Run], str], str]:
    def shown(runs: list[Run], contestant: str) -> str:
        found = spread(runs, contestant, name)
        if found is None:
            return "-"
        values = (found.median, found.least, found.most)
        median, least, most = (f"{value * factor:.{digits}f}" for value in values)
        return f"{median} ({least}-{most})"

    return shown


def number(found: Spread | None, digits: int, factor: float = 1.0) -> str:
    """A median, or a dash."""
    return "-" if found is None else f"{found.median * factor:,.{digits}f}"


FANOUT: tuple[Column, ...] = (
    ("paced us", _with_spread("paced_us", 2)),
    ("x floor", _times("paced_us")),
    ("p50 ms", _figure("paced_p50_ms", 1)),
    ("p99 ms", _figure("paced_p99_ms", 1)),
    ("burst us", _with_spread("burst_us", 2)),
    ("x floor", _times("burst_us")),
    ("burst deliveries/s", _figure("burst_per_s", 0)),
    ("KiB/conn", _figure("kib_per_idle_connection", 1)),
    ("connects/s", _figure("connects_per_s", 0)),
    ("us/connect", _figure("connect_us", 0)),
)
SUSTAINED: tuple[Column, ...] = (
    ("us", _with_spread("us_per_delivery", 2)),
    ("p50 ms", _figure("p50_ms", 0)),
    ("p99 ms", _with_spread("p99_ms", 0)),
    ("max ms", _figure("max_ms", 0)),
)
BLOCKED: tuple[Column, ...] = (
    ("p99 ms without", _figure("p99_without_ms", 2)),
    ("p99 ms with", _figure("p99_ms", 2)),
    ("ratio", _with_spread("p99_ratio", 2)),
    ("others lack", _figure("missing", 0)),
    ("growth MiB", _figure("growth_kib", 1, 1 / 1024)),
    ("blocked closed", _figure("blocked_closed", 0)),
    ("blocked got all", _figure("blocked_complete", 0)),
)
STORM: tuple[Column, ...] = (
    ("all greeted s", _with_spread("greeted_s", 1)),
    ("all whole, s after the last row", _with_spread("whole_after_last_row_s", 1)),
    ("changes lost", _figure("lost", 0)),
    ("p99 ms of who stayed", _with_spread("staying_p99_ms", 0)),
)
DECODING: tuple[Column, ...] = (("us per row", _with_spread("us_per_row", 1)),)
LANES: tuple[Column, ...] = (
    ("burst us", _with_spread("burst_us", 2)),
    ("burst deliveries/s", _figure("burst_per_s", 0)),
    ("paced us", _with_spread("paced_us", 2)),
    ("x floor", _times("paced_us")),
    ("p99 ms", _figure("paced_p99_ms", 1)),
)
CONNECTS: tuple[Column, ...] = (
    ("us/connect", _with_spread("connect_us", 0)),
    ("connects/s", _with_spread("connects_per_s", 0)),
)
TOKENS: tuple[Column, ...] = (
    ("HS256 us", _with_spread("hs256_us", 0)),
    ("ES256 us", _with_spread("es256_us", 0)),
    ("RS256 us", _with_spread("rs256_us", 0)),
)
ATTACK: tuple[Column, ...] = (
    ("p50 ms quiet", _figure("p50_ms_quiet", 2)),
    ("attacked", _figure("p50_ms", 2)),
    ("p99 ms quiet", _figure("p99_ms_quiet", 2)),
    ("attacked", _figure("p99_ms", 2)),
    ("ratio", _with_spread("p99_ratio", 2)),
    ("lost", _figure("lost", 0)),
    ("attacks/s", _figure("attacks_per_s", 0)),
    ("at once", _figure("attacks_at_once", 0)),
    ("busy quiet %", _figure("busy_quiet", 0, 100)),
    ("attacked", _figure("busy", 0, 100)),
    ("MiB before", _figure("before_kib", 1, 1 / 1024)),
    ("growth MiB", _with_spread("growth_kib", 1, 1 / 1024)),
    ("left MiB quiet", _with_spread("left_kib_quiet", 1, 1 / 1024)),
    ("attacked", _with_spread("left_kib", 1, 1 / 1024)),
)
HOSTILE: tuple[Column, ...] = (
    ("p50 ms quiet", _figure("p50_ms_quiet", 2)),
    ("beside", _figure("p50_ms", 2)),
    ("p99 ms quiet", _figure("p99_ms_quiet", 2)),
    ("beside", _figure("p99_ms", 2)),
    ("ratio", _with_spread("p99_ratio", 2)),
    ("lost", _figure("lost", 0)),
    ("tries/s", _figure("attacks_per_s", 0)),
    ("MiB before", _figure("before_kib", 1, 1 / 1024)),
    ("growth MiB", _with_spread("growth_kib", 1, 1 / 1024)),
)
IDLE: tuple[Column, ...] = (
    ("KiB/conn opened", _with_spread("opened_kib", 2)),
    ("KiB/conn idle", _with_spread("idle_kib", 2)),
)
HOLD: tuple[Column, ...] = (
    ("longest ms quiet", _with_spread("quiet_ms", 1)),
    ("in the burst", _with_spread("longest_ms", 1)),
)
FILTERS: tuple[Column, ...] = (
    ("paced us one", _with_spread("paced_us_one", 2)),
    ("1,000", _with_spread("paced_us", 2)),
    ("ratio", _with_spread("paced_ratio", 2)),
    ("burst us one", _with_spread("burst_us_one", 2)),
    ("1,000", _with_spread("burst_us", 2)),
    ("ratio", _with_spread("burst_ratio", 2)),
    ("p99 ms one", _figure("paced_p99_ms_one", 1)),
    ("1,000", _figure("paced_p99_ms", 1)),
    ("MiB of 1,000 beside one", _with_spread("filters_kib", 1, 1 / 1024)),
)
INSERT: tuple[Column, ...] = (
    ("row by row, us bare", _with_spread("bare_single_us", 0)),
    ("stamped", _with_spread("stamped_single_us", 0)),
    ("all at once, us bare", _with_spread("bare_bulk_us", 1)),
    ("stamped", _with_spread("stamped_bulk_us", 1)),
)
OTHERS = (
    ("sustained", "500 rows/s to 1,000 clients", SUSTAINED),
    ("blocked", "10 of 100 readers blocked, 20,000 rows", BLOCKED),
    ("storm", "10,000 clients come back at once, 100 rows/s", STORM),
    ("decoding", "A burst of 1,000 rows with one client", DECODING),
    ("lanes", "The relay fed by the other lane, and without io_uring, 1,000 clients", LANES),
    ("connects", "2,000 clients connect, without tokens and each with its own", CONNECTS),
    ("tokens", "The check of a token", TOKENS),
    ("attack", "100 clients, 50 rows/s, in peace and while others attack", ATTACK),
    ("hold", "How long an answer takes while 3,000 clients get 2,000 rows at once", HOLD),
    ("filters", "1,000 clients with a filter each; limits 2 x CPU and 20 MiB", FILTERS),
    ("insert", "An insert into hotspots, and into a table like it without triggers", INSERT),
    ("hostile", "100 clients, 50 rows/s, beside one hostile user with a token", HOSTILE),
    ("idle", "10,000 idle clients, without tokens and each with its own", IDLE),
)


def sizes(results: Results) -> list[int]:
    """The numbers of clients that were measured."""
    return sorted({run["clients"] for run in chosen(results.runs, "fanout")})


def sections(results: Results, clients: int | None = None) -> list[tuple[str, list[Row]]]:
    """Titles and tables, the first row of each is its head; `clients`: only that size."""
    found = []
    for each in sizes(results) if clients is None else [clients]:
        title = f"{each:,} clients, {_pace(each)} rows/s and bursts"
        runs = chosen(results.runs, "fanout", each)
        found.append((title, _table(runs, FANOUT)))
    for scenario, title, columns in OTHERS:
        if runs := chosen(results.runs, scenario):
            found.append((title, _table(runs, columns)))
    return found


def text(results: Results) -> str:
    """For a terminal."""
    parts = []
    for title, rows in sections(results):
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.rjust(w) if at else cell.ljust(w) for at, (cell, w) in enumerate(pairs))
            for pairs in (zip(row, widths, strict=True) for row in rows)
        ]
        parts.append("\n".join([title, *lines]))
    if found := headline(results.runs):
        parts.append("\n".join(map(_line, found.items())))
    parts += [f"left out: {name}: {reason}" for name, reason in results.skipped.items()]
    return "\n\n".join(parts)


def _line(named: tuple[str, Spread]) -> str:
    name, found = named
    spread = f"{found.least:.3f} to {found.most:.3f}, {found.runs} runs"
    return f"{name:28} {found.median:10.3f}  ({spread})"


def markdown(results: Results, clients: int | None = None) -> str:
    """For a text file; `clients`: only that size."""
    parts = []
    for title, (head, *rows) in sections(results, clients):
        rule = ["---", *("---:" for _ in head[1:])]
        lines = ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]
        parts.append("\n".join([f"**{title}**", "", *lines]))
    return "\n\n".join(parts)


def _table(runs: list[Run], columns: Sequence[Column]) -> list[Row]:
    names = list(dict.fromkeys(run["contestant"] for run in sorted(runs, key=_order)))
    head = ["", *(title for title, _ in columns)]
    return [head, *([name, *(show(runs, name) for _, show in columns)] for name in names)]


def _order(run: Run) -> tuple[int, float]:
    own = ("relay", "relay-ES256", "relay-HS256", "floor-send", "floor-join")
    name = run["contestant"]
    at = own.index(name) if name in own else len(own)
    return at, float(run.get("paced_us") or run.get("us_per_delivery") or 0)


def _pace(clients: int) -> int:
    return 50 if clients < 5000 else 10
