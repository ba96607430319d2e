"""The page on the demo as a user starts it, while its parts are killed, hang, and come back."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from os import kill
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.pages import SOON, relay_is, sign_in
from tests.demo.running import Demo, demo

pytestmark = pytest.mark.timeout(400)

EMULATOR, POSTGRES = "-m emulator --port", "postgres -D"
WORKER, RELAY = "-m worker run", "-m relay"
ENTITY = "Own_Fleet"
LATE = 4 * SOON  # milliseconds: what becomes known by a silence, and then only
# Everything that the page says of its parts, in order: states may be short.
LISTEN = """() => {
  const said = (globalThis.said = []);
  const note = () => {
    const parts = [...document.querySelectorAll("#relay, #worker, .banner")];
    const figures = document.querySelector("#overview.stale") ? "stale" : "fresh";
    const text = [...parts.map((part) => part.textContent), figures].join(" | ");
    if (said.at(-1) !== text) said.push(text);
  };
  new MutationObserver(note).observe(document.body,
    { attributes: true, childList: true, characterData: true, subtree: true });
}"""


@pytest.fixture(scope="module")
def shown(private_directory: Callable[[], Path]) -> Iterator[Demo]:
    """What `make demo ARGS=--auth` starts."""
    directory = private_directory()
    with demo(directory, "--auth") as running:
        running.wait_line("Ctrl-C stops everything", seconds=120)
        write_hotspot(running.variables())
        yield running
    shutil.rmtree(directory)


def write_hotspot(variables: dict[str, str]) -> None:
    """One that stays open: those of the made-up events come and go."""
    key = variables["SUPABASE_SECRET_KEY"]
    row = {
        "entity": ENTITY,
        "entity_type": "supplier",
        "event_type": "logistics",
        "predicted_co2": 150,
        "baseline_co2": 100,
        "percent_above": 50,
        "severity": "critical",
        "excess_kg": 900,
        "reason": "50 % more kg per tonne-km",
    }
    reply = httpx.post(
        f"{variables['SUPABASE_URL']}/rest/v1/hotspots",
        headers={"apikey": key, "Authorization": f"Bearer {key}", "Prefer": "return=minimal"},
        json=row,
        trust_env=False,
        timeout=60,
    )
    assert reply.status_code == 201, reply.text


@pytest.fixture
async def page(tab: Page, shown: Demo) -> Page:
    """The page, signed in as the demo says, with a hotspot and all parts well."""
    (email, password) = next(line.split()[-2:] for line in shown.lines if "sign in " in line)
    await tab.goto(shown.relay)
    await sign_in(tab, email, password)
    await is_well(tab)
    await expect(row_of(tab)).to_be_visible(timeout=LATE)
    await tab.evaluate(LISTEN)
    return tab


def row_of(page: Page) -> Locator:
    return page.locator(".rows [data-id]", has_text=ENTITY)


async def is_well(page: Page) -> None:
    await expect(page.locator("#relay.good b")).to_have_text("Live", timeout=LATE)
    await expect(page.locator("#worker.good")).to_contain_text("scan", timeout=LATE)
    await expect(page.locator("#overview")).not_to_have_class(re.compile("stale"))
    await expect(page.locator(".banner")).to_be_empty()


async def said(page: Page) -> str:
    return "\n".join(await page.evaluate("globalThis.said"))


@asynccontextmanager
async def stopped(shown: Demo, part: str) -> AsyncIterator[None]:
    """Let the part hang: it is there, and does nothing."""
    (pid,) = shown.pids(part)
    kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        kill(pid, signal.SIGCONT)


async def is_started_again(shown: Demo, name: str) -> None:
    line = f"{name} ended (signal SIGKILL); starting it again"
    await asyncio.to_thread(shown.wait_line, line, LATE / 1000)


async def test_a_worker_that_is_killed_is_started_again_and_scans_on(
    page: Page, shown: Demo
) -> None:
    before = shown.pids(WORKER)
    shown.kill(WORKER)
    await is_started_again(shown, "worker")
    await page.locator("#account summary").click()
    await page.get_by_role("button", name="Scan now").click()
    await expect(page.locator("#scan-result")).to_contain_text("is done", timeout=LATE)
    await is_well(page)
    assert shown.pids(WORKER) != before
    assert "Relay" not in await said(page)  # it lived all the time


async def test_a_worker_that_hangs_is_called_silent_until_it_goes_on(
    page: Page, shown: Demo
) -> None:
    async with stopped(shown, WORKER):
        await expect(page.locator("#worker.bad b")).to_have_text("Worker silent", timeout=LATE)
        await expect(page.locator(".banner")).to_contain_text("Nothing new is judged")
        await relay_is(page, "Live")
        await expect(row_of(page)).to_be_visible()
    await is_well(page)


async def test_a_relay_that_is_killed_is_missed_and_found_again(page: Page, shown: Demo) -> None:
    shown.kill(RELAY)
    await is_started_again(shown, "relay")
    await is_well(page)
    await expect(row_of(page)).to_be_visible()
    assert "Relay lost" in await said(page)
    assert re.search(r"as of (the last change|\d\d:\d\d:\d\d)", await said(page))
    assert "fresh" not in (await said(page)).split("Relay lost")[1].split("Live")[0]


async def test_a_relay_that_hangs_is_called_lost_and_the_rows_of_its_time(
    page: Page, shown: Demo
) -> None:
    async with stopped(shown, RELAY):
        await expect(page.locator("#relay.bad")).to_contain_text("Relay lost", timeout=LATE)
        await expect(page.locator("#overview")).to_have_class(re.compile("stale"))
        await expect(page.locator(".banner")).to_contain_text(
            re.compile(r"as of (the last change|\d\d:\d\d:\d\d)")
        )
        await expect(page.locator("#worker")).to_contain_text("not known", timeout=LATE)
        await expect(row_of(page)).to_be_visible()
    await is_well(page)


async def test_a_database_that_is_killed_comes_back_with_what_was_decided(
    page: Page, shown: Demo
) -> None:
    row = row_of(page)
    await row.get_by_role("checkbox").check()
    await page.keyboard.press("a")
    await expect(row.locator(".c8")).to_have_text("acknowledged")
    await expect(page.locator(".toast")).to_contain_text("Acknowledged")
    before = shown.pids(POSTGRES)
    shown.kill(POSTGRES)
    await asyncio.to_thread(shown.wait_line, "PostgreSQL", LATE / 1000)
    await is_well(page)
    assert shown.pids(POSTGRES) != before
    await page.reload()
    await is_well(page)
    await expect(row.locator(".c8")).to_have_text("acknowledged")


async def test_a_supabase_that_is_killed_cuts_the_relay_off_until_it_is_back(
    page: Page, shown: Demo
) -> None:
    shown.kill(EMULATOR)
    await expect(page.locator("#relay")).not_to_have_text(re.compile("^Live"), timeout=LATE)
    await is_started_again(shown, "emulator")
    await is_well(page)


async def test_a_supabase_that_hangs_is_said_and_what_is_here_is_still_read(
    page: Page, shown: Demo
) -> None:
    row = row_of(page)
    async with stopped(shown, EMULATOR):
        await expect(page.locator("#relay.bad b")).to_have_text("Relay cut off", timeout=LATE)
        await expect(page.locator("#overview")).to_have_class(re.compile("stale"))
        await expect(page.locator("#worker")).to_contain_text("not known", timeout=LATE)
        await row.get_by_role("link").click()
        await expect(page.locator("#panel .reason")).to_be_visible()
    await is_well(page)
    await expect(page.locator("#panel .timeline")).to_contain_text("Found", timeout=LATE)
