"""The dashboard's pictures in docs/pictures: `python -m bench.pictures`.

Made-up events of some months, judged by the worker, on a relay with default settings; each picture
is what Chromium shows of it. Look at them before they are committed.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from bench import machine
from bench.emulated import Supabase, supabase
from bench.page import INSERT, served, sign_in, sign_up
from bench.processes import ROOT, started
from demo.feed import BATCH, row
from demo.generator import LINES, PROBLEMS, QUIET_DAYS, Event, day

FOLDER = ROOT / "docs" / "pictures"
DESKTOP = (1440, 900)
PHONE = (390, 844)
DAYS = 120  # of events of each supplier, up to yesterday
SHOWN = ("detour", "wasted_fuel", "idling", "half_empty", "worse_vehicle", "drift")
DAYS_OF_PROBLEM = 25  # of the first problem of each, at most
SEED = 1
MANY = 600
SOON_MS = 120_000
JUDGED_SECONDS = 600.0
COLOURS = 256  # the page has fewer, but for the smoothed edges of letters


def events() -> Iterator[Event]:
    """Yield the made-up events of each supplier, whose first problem has just begun."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for line in LINES:
        scripted = (each for each in PROBLEMS if each.supplier_id == line.supplier_id)
        problem = next((each for each in scripted if each.kind in SHOWN), None)
        first = 0 if problem is None else problem.first + min(problem.days, DAYS_OF_PROBLEM)
        end = max(QUIET_DAYS + first, DAYS)
        start = today - timedelta(days=end)
        for number in range(end - DAYS, end):
            for place, made in enumerate(day(SEED, start, number, (line,))):
                yield row(made, f"picture-{line.supplier_id}-{number}-{place}")


async def write_events(backend: Supabase) -> None:
    """Insert them, as a program of the project would."""
    made = list(events())
    columns = sorted({name for each in made for name in each})
    async with httpx.AsyncClient(base_url=backend.url, trust_env=False, timeout=60) as client:
        for start in range(0, len(made), BATCH):
            reply = await client.post(
                "/rest/v1/events_normalized",
                params={"columns": ",".join(columns)},
                headers={
                    "apikey": backend.key,
                    "Authorization": f"Bearer {backend.key}",
                    "Prefer": "return=minimal, missing=default",
                },
                json=made[start : start + BATCH],
            )
            reply.raise_for_status()


async def until_judged(connection: psycopg.AsyncConnection[Any], since: datetime) -> None:
    """Wait until the worker says that nothing waits which was written before that time."""
    query = "select 1 from public.worker_heartbeats where last_scan_at > %s and pending = 0"
    async with asyncio.timeout(JUDGED_SECONDS):
        while await (await connection.execute(query, (since,))).fetchone() is None:  # noqa: ASYNC110
            await asyncio.sleep(1)
    await asyncio.sleep(5)  # for what is summed up after it


@asynccontextmanager
async def tab(
    browser: Browser, address: str, email: str, size: tuple[int, int], scheme: str
) -> AsyncIterator[Page]:
    """A browser of its own, signed in."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
        device_scale_factor=2 if size == PHONE else 1,
    )
    page = await context.new_page()
    page.set_default_timeout(SOON_MS)
    await sign_in(page, address, email)
    yield page
    await context.close()


async def settled(page: Page) -> None:
    """Wait until the page has loaded what it shows."""
    await page.wait_for_load_state("networkidle")
    await expect(page.get_by_text("Loading")).to_have_count(0, timeout=SOON_MS)
    await page.evaluate("document.fonts.ready")
    await page.wait_for_timeout(1_000)  # for sparklines, which are asked for once rows stand


async def keep(page: Page, folder: Path, name: str) -> None:
    """The picture, in few colours, which makes it a third as large."""
    await settled(page)
    path = folder / f"page-{name}.png"
    await page.screenshot(path=path)
    with Image.open(path) as picture:
        # So, since the median cut takes the colour from what is small, as the health's dots.
        few = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
        few.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1024} KiB", flush=True)


async def pictures(folder: Path) -> None:
    """All of them, in the order in which their state comes about."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(supabase())
        environment = {
            "SUPABASE_URL": backend.url,
            "SUPABASE_SECRET_KEY": backend.key,
            "WORKER_CLOCK": "events",
        }
        relaying = AsyncExitStack()
        address, _ = await relaying.enter_async_context(served(backend, backend.publishable))
        stack.push_async_callback(relaying.aclose)
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"]
        )
        stack.push_async_callback(browser.close)
        email = await sign_up(backend)
        connection = await stack.enter_async_context(
            await psycopg.AsyncConnection.connect(backend.dsn, autocommit=True)
        )
        await connection.execute("delete from public.hotspots")
        worker = [sys.executable, "-m", "worker", "run"]
        core = machine.cores()[1]

        async with (
            started("worker", worker, core=core, environment=environment),
            tab(browser, address, email, DESKTOP, "light") as page,
        ):
            await expect(page.locator("#worker")).to_contain_text("scan", timeout=SOON_MS)
            await keep(page, folder, "empty")
        await write_events(backend)
        written = datetime.now(UTC)
        await stack.enter_async_context(
            started("worker", worker, core=core, environment=environment)
        )
        await until_judged(connection, written)

        async with tab(browser, address, email, DESKTOP, "light") as page:
            await expect(page.locator("#worker.good")).to_be_visible(timeout=SOON_MS)
            await keep(page, folder, "overview")
            await page.locator(".rows .row").first.click()
            await keep(page, folder, "light")
        async with tab(browser, address, email, DESKTOP, "dark") as page:
            await keep(page, folder, "dark")
        async with tab(browser, address, email, PHONE, "light") as page:
            await keep(page, folder, "phone")

        await connection.execute(INSERT, (1, MANY))
        async with tab(browser, address, email, DESKTOP, "light") as page:
            await expect(page.locator(".count")).to_contain_text("6", timeout=SOON_MS)
            await keep(page, folder, "many")
            await relaying.aclose()
            await expect(page.locator("#relay.bad")).to_be_visible(timeout=SOON_MS)
            await keep(page, folder, "relay-down")


def main() -> None:
    """Parse the arguments and make the pictures."""
    parser = argparse.ArgumentParser(prog="python -m bench.pictures", description=__doc__)
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder (docs/pictures)")
    folder = parser.parse_args().into.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(pictures(folder))


if __name__ == "__main__":
    main()
