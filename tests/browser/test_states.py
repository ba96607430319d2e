"""The page when parts of it are away, on a phone, and to a screen reader."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import Browser, Page, expect

from emulator.running import Emulator
from tests.browser.conftest import Relaying, Starting, User
from tests.browser.network import network
from tests.browser.pages import (
    SOON,
    Database,
    choose,
    held_back,
    hotspot,
    recommendation,
    relay_is,
    row_of,
    sign_in,
    use_token,
)
from tests.node import JAVASCRIPT, install, node
from tests.relay.access.admission import token_of

AXE = JAVASCRIPT / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 390, "height": 844}


async def complaints(page: Page, part: str = "html") -> list[Any]:
    """What axe finds wrong with this part of the page as it stands."""
    rules = "{ rules: { 'target-size': { enabled: true } } }"
    run = f"(part) => axe.run(part, {rules}).then(({{ violations }}) => violations)"
    found = await page.evaluate(run, part)
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


async def test_axe_finds_nothing(
    browser: Browser, relaying: Relaying, user: User, db: Database
) -> None:
    node()
    install(JAVASCRIPT)
    hot = hotspot(db, "Own_Fleet")
    hotspot(db, "Delta_Mills", event_type="factory", severity="warn", excess_kg=1)
    recommendation(db, hot, "Drive slower")
    for number in range(30):
        held_back(db, f"Odd_Meter_{number}", "1 km with 40 l of fuel")
    async with relaying() as address:
        for scheme, size in (("light", None), ("dark", None), ("light", PHONE)):
            context = await browser.new_context(
                color_scheme=scheme,  # type: ignore[arg-type]
                reduced_motion="reduce",  # what still moves in has no contrast yet
                viewport=size or {"width": 1440, "height": 900},  # type: ignore[arg-type]
                bypass_csp=True,  # axe is no part of the page
            )
            await context.add_init_script(path=AXE)
            page = await context.new_page()
            await page.goto(address)
            await expect(page.get_by_label("E-mail")).to_be_visible()
            assert await complaints(page) == []
            await sign_in(page, user.email, user.password)
            await expect(row_of(page, hot)).to_be_visible()
            assert await complaints(page) == []
            await choose(page, "Saved views")
            assert await complaints(page, "dialog") == []
            await page.keyboard.press("Escape")
            for queue, shown in (("Quarantine", ".queue"), ("Advice", ".queue"), ("Notices", "p")):
                await page.locator(".pair button", has_text=queue).click()
                await expect(page.locator(f"dialog {shown}").first).to_be_visible()
                assert await complaints(page, "dialog") == []
                await page.keyboard.press("Escape")
            await page.locator("#q").fill("nothing of that name")
            await expect(page.locator(".nothing")).to_be_visible()
            assert await complaints(page) == []
            await page.locator("#q").fill("")
            await row_of(page, hot).click()
            await expect(page.locator(".advice")).to_be_visible()
            assert await complaints(page) == []
            await page.keyboard.press("s")
            await expect(page.get_by_role("form", name="Silence")).to_be_visible()
            assert await complaints(page, ".silence") == []
            await context.close()


async def test_a_phone_lists_and_opens_and_decides(
    browser: Browser, relaying: Relaying, emulator: Emulator, db: Database
) -> None:
    hot = hotspot(db, "Own_Fleet")
    for number in range(30):
        hotspot(db, f"Supplier_{number}", excess_kg=number)
    context = await browser.new_context(viewport=PHONE, has_touch=True)  # type: ignore[arg-type]
    page = await context.new_page()
    async with relaying() as address:
        await page.goto(address)
        await use_token(page, token_of(emulator))
        await expect(row_of(page, hot)).to_be_visible()
        await page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await expect(page.locator(".rows [data-id]").last).to_be_visible()
        await page.evaluate("scrollTo(0, 0)")
        await row_of(page, hot).tap()
        panel = page.locator("#panel")
        await expect(panel).to_contain_text("56 % more kg")
        for button in await panel.get_by_role("button").all():
            box = await button.bounding_box()
            assert box is None or box["height"] > 43.99  # which is no whole number of its pixels
        await panel.get_by_role("button", name="Acknowledge").tap()
        await expect(page.locator(".toast")).to_contain_text("Acknowledged: Own_Fleet")
        await panel.get_by_role("button", name="Close the episode (Esc)").tap()
        await expect(panel).to_have_count(0)
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await context.close()


async def test_a_relay_that_is_away_greys_the_figures_and_comes_back_by_itself(
    page: Page, emulator: Emulator, db: Database
) -> None:
    hot = hotspot(db, "Own_Fleet")
    await expect(row_of(page, hot)).to_be_visible()
    with emulator.faults.during("rest-error"), emulator.faults.during("refuse"):
        emulator.faults.start("reset", count=1)
        await relay_is(page, "Relay cut off")
        await expect(page.locator("#overview")).to_have_class(re.compile("stale"))
        await expect(row_of(page, hot)).to_contain_text("Own_Fleet")  # as of the last change
    await relay_is(page, "Live")
    await expect(page.locator("#overview")).not_to_have_class(re.compile("stale"))


async def test_a_relay_that_is_killed_leaves_the_rows_and_brings_the_missed_ones_when_it_is_back(
    tab: Page, starting: Starting, user: User, db: Database
) -> None:
    hot = hotspot(db, "Own_Fleet")
    async with network() as between:
        async with starting() as relay:
            between.lead_to(relay.url)
            await tab.clock.install()
            await tab.goto(between.url)
            await sign_in(tab, user.email, user.password)
            await relay_is(tab, "Live")
            await expect(row_of(tab, hot)).to_be_visible()
            between.lead_to(None)
            relay.process.kill()
            await expect(tab.locator("#relay")).to_contain_text("Relay lost, again in")
        await expect(tab.locator("#overview")).to_have_class(re.compile("stale"))
        as_of = re.compile(r"as of (the last change|\d\d:\d\d:\d\d)")
        await expect(tab.locator(".banner")).to_contain_text(as_of)
        await tab.clock.fast_forward(21_000)  # so long after the relay's last word
        await expect(tab.locator("#worker")).to_contain_text("not known", timeout=2 * SOON)
        await row_of(tab, hot).click()  # what is here can still be read
        await expect(tab.locator("#panel .reason")).to_contain_text("56 % more kg")
        await tab.keyboard.press("r")
        await expect(tab.locator(".toast")).to_contain_text("The relay cannot be reached.")
        await expect(row_of(tab, hot).locator(".c8")).to_have_text("open")
        missed = hotspot(db, "Delta_Mills")
        async with starting() as relay:
            between.lead_to(relay.url)
            await tab.get_by_role("button", name="Try now").click()
            await relay_is(tab, "Live")
            await expect(tab.locator(".count")).to_have_text("2 shown, 2 open")
            await expect(row_of(tab, missed)).to_be_visible()
            await expect(tab.locator("#overview")).not_to_have_class(re.compile("stale"))


async def test_light_and_dark_are_switched_and_kept_in_the_address(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    before = await page.evaluate(background)
    await page.get_by_role("button", name="Switch between light and dark").click()
    assert await page.evaluate(background) != before
    after = await page.evaluate(background)
    await page.reload()
    await relay_is(page, "Live")
    assert await page.evaluate(background) == after


async def test_a_command_of_somebody_whose_session_is_over_leads_to_the_form(
    page: Page, db: Database
) -> None:
    hot = hotspot(db, "Own_Fleet")
    await expect(row_of(page, hot)).to_be_visible()
    await page.route(
        "**/hotspots/scan", lambda route: route.fulfill(status=401, body='{"detail": "expired"}')
    )
    await choose(page, "Scan now")
    await expect(page.get_by_label("E-mail")).to_be_visible()
