"""The faults: what each is, how long it lasts, and what may go on beside it. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos.ledger import TABLES

Options = Mapping[str, Any]
Choose = Callable[[random.Random], Options]


def nothing(_: random.Random) -> Options:
    """No options."""
    return {}


@dataclass(frozen=True)
class Kind:
    """One fault.

    `withholds`: Realtime loses changes by it, and it counts as used only when it did. `outage`: the
    database or REST is away. `alone`: the database itself is changed or has to stand still, so that
    no other fault of this sort may go on. `epoch`: the database gets another history.
    """

    name: str
    seconds: tuple[float, float]
    withholds: bool = False
    outage: bool = False
    alone: bool = False
    epoch: bool = False
    choose: Choose = field(default=nothing, repr=False)


def _lane(chance: random.Random) -> Options:
    return {
        "lane": chance.choice(["all", "all", "postgres_changes", "broadcast"]),
        "table": chance.choice([None, None, *TABLES]),
    }


def _withhold(chance: random.Random) -> Options:
    return {"lane": chance.choice(["all", "postgres_changes", "broadcast"])}


def _delay(chance: random.Random) -> Options:
    return {"lane": chance.choice(["all", "broadcast"]), "by": round(chance.uniform(0.1, 0.6), 2)}


def _one(name: str, *values: Any) -> Choose:
    return lambda chance: {name: chance.choice(values)}


def _share(chance: random.Random) -> Options:
    return {"share": round(chance.uniform(0.1, 0.6), 2), "seed": chance.randrange(2**32)}


def _relay(chance: random.Random) -> Options:
    return {"relay": chance.randrange(2), "away": round(chance.uniform(0.5, 4.0), 1)}


def _jump(chance: random.Random) -> Options:
    return {"relay": chance.randrange(2), "by": chance.choice([-7200, -600, 600, 7200])}


# What Realtime does on its way: named as in the emulator, which is told so.
CHANGES = (
    Kind("withhold", (6, 12), withholds=True, choose=_withhold),
    Kind("duplicate", (5, 8), choose=_lane),
    Kind("delay", (5, 8), choose=_delay),
    Kind("reorder", (5, 8)),
)
SOCKETS = (
    Kind("reset", (2, 4), withholds=True),
    Kind("close", (2, 4), withholds=True, choose=_one("code", 1000, 1006, 1011, 1012, 4000)),
    Kind("stall", (4, 10)),
    Kind("half-open", (5, 20), withholds=True),
    Kind("refuse", (4, 10), withholds=True, choose=_one("status", 0, 429, 500, 503)),
)
REST = (
    Kind("rest-error", (4, 10), outage=True, choose=_one("status", 400, 429, 500, 503)),
    Kind("rest-html", (4, 10), outage=True),
    Kind("rest-slow", (4, 8), outage=True, choose=_one("by", 0.5, 1.5, 3.0)),
    Kind("rest-hang", (4, 10), outage=True),
    Kind("rest-reset", (4, 8), outage=True),
    Kind("rest-lost", (4, 8), outage=True),
)
TOLD = CHANGES + SOCKETS + REST

DATABASE = (
    Kind("terminate", (13, 15), withholds=True, choose=_one("what", "poller", "broadcast", "all")),
    Kind("postgres-kill", (3, 5), withholds=True, outage=True, alone=True),
    Kind("postgres-restart", (3, 5), withholds=True, outage=True, alone=True),
    Kind("postgres-stop", (15, 15), withholds=True, outage=True, alone=True),
    Kind("table-lock", (3, 6), outage=True, alone=True, choose=_one("table", *TABLES)),
    Kind("realtime-lock", (4, 8), withholds=True, alone=True),
    Kind("realtime-drop", (4, 8), withholds=True, alone=True),
    Kind("long-transaction", (60, 60), alone=True),
    Kind("oversized-row", (2, 3)),
    Kind("put-back", (3, 5), choose=_one("table", *TABLES)),
    Kind("standby-away", (5, 8), outage=True, alone=True, choose=_share),
    Kind("rate-limit", (12, 16), withholds=True, outage=True, alone=True),
    Kind("supabase-kill", (2, 4), withholds=True, outage=True, alone=True),
    Kind("dump-restore", (6, 8), outage=True, alone=True, epoch=True),
    Kind("promotion", (6, 8), withholds=True, outage=True, alone=True, epoch=True),
)
CLIENTS = (
    Kind("relay-kill", (4, 6), choose=_relay),
    Kind("clock-jump", (4, 10), choose=_jump),
    Kind("client-cut", (1, 2), choose=_share),
    Kind("client-stall", (5, 25), choose=_share),
    Kind("client-move", (3, 12), choose=_share),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in TOLD + DATABASE + CLIENTS}
