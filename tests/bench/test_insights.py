"""What the benchmark of the dashboard's answers fills in is what the worker would have left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bench.emulated import supabase
from bench.insights.__main__ import table, too_slow
from bench.insights.database import Size, fill

SIZE = Size(suppliers=8, events_each=250, templates=4)


async def test_copies_of_suppliers_have_their_own_rows_of_everything(tmp_path: Path) -> None:
    told: list[str] = []
    async with supabase() as project:
        await fill(project, SIZE, tmp_path, told.append)
        async with await psycopg.AsyncConnection.connect(
            project.dsn, autocommit=True, row_factory=dict_row
        ) as connection:

            async def rows(query: str) -> list[dict[str, Any]]:
                return await (await connection.execute(query.encode())).fetchall()

            assert await rows("select count(*)::int as n from predictions") == [{"n": 2000}]
            assert await rows("select 1 from event_queue") == []
            for name in ("rollups", "periods", "detectors", "hotspots", "predictions"):
                counted = f"select entity as who, count(*) as n from {name} group by 1"  # noqa: S608
                found = {row["who"]: row["n"] for row in await rows(counted)}
                templates = {who: n for who, n in found.items() if who.startswith("Template ")}
                originals = {who: n for who, n in templates.items() if " of " not in who}
                copies = {who: n for who, n in templates.items() if " of " in who}
                assert copies == {f"{who} of 1": n for who, n in originals.items()}, name
                assert len(originals) == SIZE.templates, name
            kilograms = await rows(
                "select sum(kg) = (select sum(round(predicted_co2::numeric, 3)) from predictions)"
                " as equal from rollups"
            )
            assert kilograms == [{"equal": True}]
            series = await rows(
                "select jsonb_array_length(hotspot_series(id) -> 'points') as points from hotspots"
                " where status = 'active' and entity like 'Template % of 1'"
            )
            assert {row["points"] for row in series} == {50}
            assert len(series) == SIZE.templates
    assert told[0] == "worker ingest: 1,000 events"


def test_what_is_slower_than_it_may_be_is_named() -> None:
    def taken(ms: float) -> dict[str, float]:
        return {"first_ms": 99.0, "p50_ms": ms, "p95_ms": 2 * ms}

    answers = {
        "summary": {"limit_ms": 50, "sql": taken(7), "rest": taken(12), "relay": taken(51)},
        "history": {"limit_ms": None, "sql": taken(99), "rest": taken(99), "relay": taken(99)},
    }
    figures = {"answers": answers}
    assert too_slow(figures) == ["summary by relay: 51.0 ms where 50 are allowed"]
    assert "| summary | 7.0 (14.0) | 12.0 (24.0) | 51.0 (102.0) | 50 |" in table(figures)
