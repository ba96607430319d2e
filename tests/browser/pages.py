"""What the tests of the page do again and again."""

from __future__ import annotations

from typing import Any

import psycopg
from playwright.async_api import Page, expect

SOON = 30_000  # milliseconds: what is waited for comes at once, but machines may be busy
CHANNELS = ("hotspots", "alerts", "recommendations")

Database = psycopg.Connection[tuple[Any, ...]]


async def sign_in(page: Page, email: str, password: str) -> None:
    """Fills in the form that the page shows by itself."""
    await page.get_by_label("E-mail").fill(email, timeout=SOON)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def use_token(page: Page, token: str) -> None:
    """As `sign_in`, with a token instead."""
    await page.get_by_text("Use an access token").click(timeout=SOON)
    await page.get_by_label("Access token").fill(token)
    await page.get_by_role("button", name="Use it in this tab").click()


async def are(page: Page, text: str, *channels: str) -> None:
    """Waits until the boards say that of their connections."""
    for channel in channels or CHANNELS:
        await expect(page.locator(f"#{channel} .pill")).to_have_text(text, timeout=SOON)


def hotspot(db: Database, entity: str) -> int:
    row = db.execute(
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2,"
        " baseline_co2, percent_above, severity)"
        " values (%s, 'supplier', 'logistics', 93.6, 60, 56, 'critical') returning id",
        (entity,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def alert(db: Database, message: str) -> int:
    row = db.execute(
        "insert into public.alerts (hotspot_id, level, message) values (%s, 'warn', %s)"
        " returning id",
        (hotspot(db, f"Supplier of {message}"), message),
    ).fetchone()
    assert row is not None
    return int(row[0])


def recommendation(db: Database, action: str) -> int:
    row = db.execute(
        "insert into public.recommendations (hotspot_id, action, co2_reduction)"
        " values (%s, %s, 11.5) returning id",
        (hotspot(db, f"Supplier of {action[:40]}"), action),
    ).fetchone()
    assert row is not None
    return int(row[0])
