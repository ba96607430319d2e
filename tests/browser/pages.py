"""What the tests of the page do again and again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from playwright.async_api import Locator, Page, expect

from emulator.running import Emulator

SOON = 30_000  # milliseconds: what is waited for comes at once, but machines may be busy

Database = psycopg.Connection[tuple[Any, ...]]


@asynccontextmanager
async def worker(emulator: Emulator, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m worker` on the emulator; stopped at the end of the block if it still runs."""
    variables = {
        "SUPABASE_URL": emulator.url,
        "SUPABASE_SECRET_KEY": emulator.keys.secret,
        "WORKER_POLL_SECONDS": "0.5",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", *arguments, env=variables
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def sign_in(page: Page, email: str, password: str) -> None:
    """Fills in the form that the page shows by itself."""
    await page.get_by_label("E-mail").fill(email, timeout=SOON)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def use_token(page: Page, token: str) -> None:
    """As `sign_in`, with a token instead."""
    unfold = page.get_by_text("Use an access token")
    await expect(unfold).to_be_visible()
    if not await page.get_by_label("Access token").is_visible():  # open for who came by a token
        await unfold.click()
    await page.get_by_label("Access token").fill(token)
    await page.get_by_role("button", name="Use it", exact=True).click()


async def relay_is(page: Page, text: str) -> None:
    """Waits until the page says that of its connection."""
    await expect(page.locator("#relay b")).to_have_text(text)


def row_of(page: Page, id: int) -> Locator:
    """The hotspot's row in the list."""
    return page.locator(f".rows [data-id='{id}']")


async def listed(page: Page) -> list[int]:
    """The hotspots that are drawn, from top to bottom."""
    rows = await page.locator(".rows [data-id]").evaluate_all(
        "all => all.sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => row.dataset.id)"
    )
    return [int(id) for id in rows]


async def choose(page: Page, entry: str) -> None:
    """Something of the page's menu."""
    await page.locator("#account summary").click()
    await page.get_by_role("button", name=entry).click()


def hotspot(
    db: Database,
    entity: str,
    *,
    event_type: str = "logistics",
    severity: str = "critical",
    excess_kg: float = 33.6,
    days: float = 3,
    reason: str = "56 % more kg per tonne-km",
) -> int:
    """An open episode that began so many days ago."""
    row = db.execute(
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2,"
        " baseline_co2, percent_above, severity, excess_kg, reason, occurred_at, drivers)"
        " values (%s, 'supplier', %s, 93.6, 60, 56, %s, %s, %s, now() - make_interval(secs => %s),"
        """ '[{"input": "distance", "log_ratio": 0.47, "kg": 35},"""
        """ {"input": "load", "log_ratio": -0.02, "kg": -1.4}]')"""
        " returning id",
        (entity, event_type, severity, excess_kg, reason, days * 86_400),
    ).fetchone()
    assert row is not None
    return int(row[0])


def many(db: Database, count: int) -> None:
    """So many open hotspots, of each severity a third."""
    db.execute(
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
        " percent_above, severity) select 'Supplier_' || n, 'supplier', 'factory', 93.6, 60, 56,"
        " (array['critical', 'warn', 'info'])[1 + n %% 3] from generate_series(1, %s) as n",
        (count,),
    )


def held_back(db: Database, entity: str, reason: str) -> None:
    """An event in quarantine."""
    event = db.execute(
        'insert into public.events_normalized (supplier_id, event_type, "timestamp", distance_km)'
        " values (%s, 'logistics', now() - interval '1 hour', 1) returning id",
        (entity,),
    ).fetchone()
    assert event is not None
    db.execute(
        "insert into public.quarantine (event_id, entity, event_type, kind, reason, column_name)"
        " values (%s, %s, 'logistics', 'implausible', %s, 'fuel_l')",
        (event[0], entity, reason),
    )


def alert(db: Database, message: str) -> int:
    row = db.execute(
        "insert into public.alerts (hotspot_id, level, message) values (%s, 'warn', %s)"
        " returning id",
        (hotspot(db, f"Supplier of {message}"), message),
    ).fetchone()
    assert row is not None
    return int(row[0])


def recommendation(db: Database, hotspot_id: int, action: str) -> int:
    row = db.execute(
        "insert into public.recommendations (hotspot_id, action, co2_reduction)"
        " values (%s, %s, 11.5) returning id",
        (hotspot_id, action),
    ).fetchone()
    assert row is not None
    return int(row[0])


def rolled_up(db: Database, entity: str, event_type: str, excess_kg: float) -> None:
    """One judged event of today that cost three times the excess above its usual."""
    db.execute(
        "insert into public.rollups (entity, entity_type, event_type, day, method, basis, country,"
        " dq, events, hot, estimated, judged, kg, kg_ttw, kg_wtt, judged_kg, expected_kg, activity,"
        " activity_kg, scope_1, scope_2, scope_3_1, scope_3_3, scope_3_4, scope_3_9)"
        " values (%(entity)s, 'supplier', %(type)s, current_date, 'primary', 'none', '', 1, 1, 1,"
        " 0, 1, 3 * %(kg)s, 0, 0, 3 * %(kg)s, 2 * %(kg)s, 0, 0, 0, 0, 0, 0, 0, 0)",
        {"entity": entity, "type": event_type, "kg": excess_kg},
    )
