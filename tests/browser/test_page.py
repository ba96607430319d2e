"""The page in a real browser, from a row in the database to a decision and back; its relay runs
from an installed wheel, with access control."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from emulator.running import Emulator
from tests.browser.pages import SOON, Database, alert, hotspot, recommendation


async def test_a_row_that_is_written_appears_with_its_figures_and_goes_when_deleted(
    page: Page, db: Database
) -> None:
    await expect(page.locator("#hotspots .empty")).to_be_visible()
    id = hotspot(db, "Northwind_Freight")
    card = page.locator(f"#hotspots [data-id='{id}']")
    await expect(card).to_contain_text("Northwind_Freight", timeout=SOON)
    for text in ("critical", "+56.0 %", "93.6 kg CO₂", "60.0 kg CO₂", "active"):
        await expect(card).to_contain_text(text)
    await expect(page.locator("#hotspots .head")).to_contain_text("1 active")
    db.execute("delete from public.hotspots where id = %s", (id,))
    await expect(card).to_have_count(0, timeout=SOON)


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


async def done(emulator: Emulator, *arguments: str) -> None:
    async with worker(emulator, *arguments) as process:
        assert await process.wait() == 0


@pytest.mark.parametrize("running", [True, False], ids=["service", "cron"])
async def test_the_events_of_a_file_become_hotspots_on_the_page(
    page: Page, emulator: Emulator, tmp_path: Path, running: bool
) -> None:
    """Both ways to run the worker: for ever, and once in a while without the other."""
    file = tmp_path / "events.csv"
    first = datetime.now(UTC) - timedelta(days=60, hours=1)
    kilometres = [*(100 + number % 3 for number in range(60)), 250]  # two and a half times as far
    file.write_text(
        "supplier_id,event_type,timestamp,distance_km,planned_distance_km,load_kg\n"
        + "".join(
            f"Own_Fleet,logistics,{(first + timedelta(days=day)).isoformat()},{km},100,400\n"
            for day, km in enumerate(kilometres)
        )
    )
    card = page.locator("#hotspots .card")
    if running:
        async with worker(emulator, "run"):
            await done(emulator, "ingest", str(file))
            await expect(card).to_contain_text("Own_Fleet", timeout=SOON)
    else:
        await done(emulator, "ingest", str(file))
        await expect(page.locator("#hotspots .empty")).to_be_visible()
        await done(emulator, "scan")
        await expect(card).to_contain_text("Own_Fleet", timeout=SOON)
    for text in ("critical", re.compile(r"\+14[5-9]\.\d %"), "active"):
        await expect(card).to_contain_text(text)
    await expect(page.locator("#recommendations .card").first).to_contain_text("pending")


async def test_approving_by_button_shows_the_row_approved(page: Page, db: Database) -> None:
    id = recommendation(db, "Consolidate half-empty runs")
    card = page.locator(f"#recommendations [data-id='{id}']")
    await expect(card).to_contain_text("pending", timeout=SOON)
    await card.get_by_role("button", name="Approve").click()
    await expect(card.locator(".badge")).to_have_text("approved", timeout=SOON)
    await expect(card.get_by_role("button")).to_have_count(0)
    written = db.execute("select status from public.recommendations where id = %s", (id,))
    assert written.fetchone() == ("approved",)


async def test_an_alert_is_acknowledged_by_button(page: Page, db: Database) -> None:
    alert(db, "Too much")
    card = page.locator("#alerts .card")
    await expect(card).to_contain_text("Too much", timeout=SOON)
    await card.get_by_role("button", name="Acknowledge").click()
    await expect(card).to_contain_text("acknowledged", timeout=SOON)


async def test_a_command_that_fails_is_said_on_its_card_and_can_be_repeated(
    page: Page, db: Database
) -> None:
    id = recommendation(db, "Consolidate half-empty runs")
    card = page.locator(f"#recommendations [data-id='{id}']")
    reject = card.get_by_role("button", name="Reject")
    await expect(reject).to_be_visible(timeout=SOON)
    path = f"**/recommendations/{id}/reject"
    await page.route(path, lambda route: route.abort())
    await reject.click()
    await expect(card.get_by_role("alert")).to_have_text("The relay cannot be reached.")
    await page.unroute(path)
    await reject.click()
    await expect(card.locator(".badge")).to_have_text("rejected", timeout=SOON)


async def test_rows_cannot_bring_markup_into_the_page(page: Page, db: Database) -> None:
    text = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
    recommendation(db, text)
    await expect(page.locator("#recommendations h3")).to_have_text(text, timeout=SOON)
    assert await page.locator("#recommendations b, #recommendations img").count() == 1  # the count
    assert await page.title() == "Hotspot Relay"


async def test_nothing_is_wider_than_the_screen(page: Page, db: Database) -> None:
    recommendation(db, "An_action_in_one_word_" * 20)
    for width in (320, 390, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        await expect(page.locator("#recommendations .card")).to_be_visible(timeout=SOON)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_scan_is_followed_to_its_end(page: Page, emulator: Emulator, db: Database) -> None:
    button, result = page.get_by_role("button", name="Scan now"), page.locator("#scan-result")
    await button.click()
    await expect(result).to_contain_text("Scan 1 is queued", timeout=SOON)
    assert db.execute("select id, status from public.scans").fetchall() == [(1, "queued")]
    await expect(button).to_be_enabled()
    await done(emulator, "scan")
    await expect(result).to_have_text("Scan 1 is done: 0 events", timeout=SOON)


async def test_a_page_that_asks_for_what_does_not_exist_learns_it_by_the_code(page: Page) -> None:
    status = await page.evaluate(
        """async () => {
          const { RelayClient } = await import("/web/client.js");
          const { access_token: token } = JSON.parse(sessionStorage.getItem("relay.session"));
          const client = new RelayClient({ token, filters: { alerts: { colour: "red" } } });
          const refused = new Promise((resolve) => client.onStatus((_, status) =>
            status.state === "refused" && resolve(status)));
          client.subscribe("alerts", () => {});
          client.connect();
          return refused;
        }"""
    )
    assert status["code"] == 4502
    assert "colour" in status["reason"]


async def test_no_other_page_can_frame_this_one(page: Page, address: str) -> None:
    response = await page.request.get(address)
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
