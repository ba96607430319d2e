"""What the dashboard reads, at a million predictions: `python -m bench.insights`.

Fills an embedded Supabase with a year of 1,000 suppliers, each with an open hotspot, starts a relay
with default settings, and asks as a signed-in user for everything that the dashboard shows: the SQL
functions by themselves, over REST, and over the relay's routes. Prints a table and writes
bench/results/insights.json; exit status 1 when summary, contributors or series took longer than
they may.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql

from bench import machine
from bench.emulated import Supabase, supabase
from bench.insights.database import Size, fill
from bench.page import PASSWORD, relayed, sign_up
from bench.processes import Failed
from bench.results import FULL

USER = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000016"}'
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """One answer of the dashboard: SQL function, its arguments, the relay's route, the limit."""

    name: str
    function: str
    arguments: dict[str, Any]
    route: str
    limit_ms: float | None = None


def questions(id: int, ids: list[int]) -> list[Question]:
    """All of them, about a hotspot and those that a list shows."""
    contributors = "emissions_contributors"
    shown = ",".join(map(str, ids))
    return [
        Question("summary", "emissions_summary", {}, "emissions/summary", 50),
        Question("contributors, 7 days", contributors, {}, "emissions/contributors", 50),
        Question(
            "contributors, 30 days",
            contributors,
            {"days": 30},
            "emissions/contributors?days=30",
            50,
        ),
        Question(
            "all keys, 7 days",
            contributors,
            {"by": "key", "size": 5000},
            "emissions/contributors?by=key&size=5000",
            50,
        ),
        Question(
            "all keys, 30 days",
            contributors,
            {"by": "key", "size": 5000, "days": 30},
            "emissions/contributors?by=key&size=5000&days=30",
            50,
        ),
        Question("trend, 30 days", "emissions_trend", {}, "emissions/trend"),
        Question(
            "series, 100 points",
            "hotspot_series",
            {"id": id, "points": 100},
            f"hotspots/{id}/series?points=100",
            20,
        ),
        Question(
            f"sparks of {len(ids)}", "hotspot_sparks", {"ids": ids}, f"hotspots/sparks?ids={shown}"
        ),
        Question("history", "hotspot_history", {"id": id}, f"hotspots/{id}/history"),
    ]


async def measure(size: Size, rounds: int) -> dict[str, Any]:
    """Fill, ask, and give milliseconds by question and way."""
    with tempfile.TemporaryDirectory(prefix="hr-insights-") as name:
        async with supabase() as project:
            began = time.monotonic()
            await fill(project, size, Path(name), _tell)
            _tell(f"filled in {time.monotonic() - began:.0f} s")
            async with (
                await psycopg.AsyncConnection.connect(project.dsn, autocommit=True) as connection,
                relayed(project, project.publishable) as port,
                httpx.AsyncClient(trust_env=False, timeout=60) as client,
            ):
                return await _asked(
                    connection, project, f"http://127.0.0.1:{port}/", client, rounds
                )


async def _asked(
    connection: psycopg.AsyncConnection[Any],
    project: Supabase,
    address: str,
    client: httpx.AsyncClient,
    rounds: int,
) -> dict[str, Any]:
    cursor = await connection.execute(
        "select (select count(*) from predictions), (select count(*) from rollups),"
        " (select count(*) from periods), (select count(*) from hotspots where status = 'active'),"
        " (select array_agg(id order by id desc) from hotspots where status = 'active')"
    )
    row = await cursor.fetchone()
    assert row is not None
    *counts, ids = row
    held = dict(zip(("predictions", "rollups", "periods", "open_hotspots"), counts, strict=True))
    _tell(", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in held.items()))
    headers = await _sign_in(project, client)
    await connection.execute("select set_config('request.jwt.claims', %s, false)", (USER,))
    await connection.execute("set role authenticated")
    rest = f"{project.url}/rest/v1/rpc"
    answers = {}
    for question in questions(ids[len(ids) // 2], ids[:60]):
        _tell(question.name)
        ways: dict[str, Callable[[Question], Awaitable[Any]]] = {
            "sql": lambda asked: _call(connection, asked),
            "rest": lambda asked: _checked(
                client.post(f"{rest}/{asked.function}", json=asked.arguments, headers=headers)
            ),
            "relay": lambda asked: _checked(client.get(address + asked.route, headers=headers)),
        }
        taken = {way: await _timed(ask, question, rounds) for way, ask in ways.items()}
        answers[question.name] = {"limit_ms": question.limit_ms, **taken}
    return {"machine": machine.described(), "held": held, "rounds": rounds, "answers": answers}


async def _sign_in(project: Supabase, client: httpx.AsyncClient) -> dict[str, str]:
    email = await sign_up(project)
    reply = await client.post(
        f"{project.url}/auth/v1/token?grant_type=password",
        headers={"apikey": project.publishable},
        json={"email": email, "password": PASSWORD},
    )
    reply.raise_for_status()
    token = reply.json()["access_token"]
    return {"apikey": project.publishable, "Authorization": f"Bearer {token}"}


async def _timed(
    ask: Callable[[Question], Awaitable[Any]], question: Question, rounds: int
) -> dict[str, float]:
    """Milliseconds of the first answer, the median and the 95th percentile of the others."""
    taken = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        await ask(question)
        taken.append((time.perf_counter() - began) * 1000)
    first, others = taken[0], sorted(taken[1:])
    return {
        "first_ms": first,
        "p50_ms": statistics.median(others),
        "p95_ms": others[int(0.95 * (len(others) - 1))],
    }


async def _call(connection: psycopg.AsyncConnection[Any], question: Question) -> None:
    """Call the function as PostgREST does: a statement anew each time, the answer as text."""
    named = [sql.SQL("{} => %s").format(sql.Identifier(name)) for name in question.arguments]
    statement = sql.SQL("select public.{}({})::text").format(
        sql.Identifier(question.function), sql.SQL(", ").join(named)
    )
    cursor = await connection.execute(statement, list(question.arguments.values()), prepare=False)
    await cursor.fetchone()


async def _checked(reply: Awaitable[httpx.Response]) -> None:
    (await reply).raise_for_status()


def table(figures: dict[str, Any]) -> str:
    """Give the figures as a Markdown table."""
    lines = [
        "| answer | the function alone, ms (95 %) | over REST | by the relay | limit |",
        "|---|---|---|---|---|",
    ]
    for name, found in figures["answers"].items():
        limit = "" if found["limit_ms"] is None else f"{found['limit_ms']:g}"
        cells = [
            f"{found[way]['p50_ms']:.1f} ({found[way]['p95_ms']:.1f})"
            for way in ("sql", "rest", "relay")
        ]
        lines.append("| " + " | ".join([name, *cells, limit]) + " |")
    return "\n".join(lines)


def too_slow(figures: dict[str, Any]) -> list[str]:
    """Say which answers took longer than they may, in the median of any way."""
    return [
        f"{name} by {way}: {found[way]['p50_ms']:.1f} ms where {found['limit_ms']:g} are allowed"
        for name, found in figures["answers"].items()
        if found["limit_ms"] is not None
        for way in ("sql", "rest", "relay")
        if found[way]["p50_ms"] > found["limit_ms"]
    ]


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m bench.insights", description=__doc__)
    parser.add_argument("--suppliers", type=int, default=1000, help="each with a hotspot (1000)")
    parser.add_argument("--events", type=int, default=1000, help="of each supplier (1000)")
    parser.add_argument("--rounds", type=int, default=50, help="times that each is asked (50)")
    options = parser.parse_args()
    templates = min(10, options.suppliers)
    size = Size(options.suppliers, options.events, templates)
    try:
        figures = asyncio.run(measure(size, options.rounds))
    except Failed as exc:
        print(f"bench.insights: {exc}", file=sys.stderr)
        return 2
    print(table(figures))
    slow = too_slow(figures)
    print(*slow, sep="\n", file=sys.stderr)
    if figures["held"]["predictions"] >= MILLION:
        text = json.dumps(figures, indent=1)
        FULL.with_name("insights.json").write_text(text + "\n", encoding="utf-8")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
