"""The tabs of one browser share a user and their sockets."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from emulator.running import Emulator
from tests.browser.conftest import Relaying, User
from tests.browser.network import Network, network
from tests.browser.pages import (
    SOON,
    Database,
    choose,
    hotspot,
    relay_is,
    row_of,
    sign_in,
)

PATHS = ("/ws/hotspots", "/ws/recommendations")


@dataclass
class Tabs:
    """A browser's tabs on the page of one relay, whose sockets are counted."""

    context: BrowserContext
    network: Network

    async def open(self) -> Page:
        """One more."""
        page = await self.context.new_page()
        await page.goto(self.network.url)
        return page

    async def until_sockets(self, *wanted: int) -> None:
        """Waits until there are so many to hotspots and to recommendations, in all tabs."""
        await self.network.changes.until(lambda: self.sockets() == wanted, 2 * SOON / 1000)

    def sockets(self) -> tuple[int, ...]:
        return tuple(self.network.open_to(path) for path in PATHS)


@pytest.fixture
async def tabs(browser: Browser, relaying: Relaying) -> AsyncIterator[Tabs]:
    context = await browser.new_context()
    async with network() as between, relaying() as relay:
        between.lead_to(relay)
        yield Tabs(context, between)
        await context.close()


async def test_one_sign_in_opens_all_tabs_and_one_sign_out_closes_them(
    tabs: Tabs, user: User, db: Database
) -> None:
    hot = hotspot(db, "Own_Fleet")
    first, second = await tabs.open(), await tabs.open()
    await expect(second.get_by_label("E-mail")).to_be_visible()
    await sign_in(first, user.email, user.password)
    for tab in (first, second):
        await expect(row_of(tab, hot)).to_be_visible()
        await relay_is(tab, "Live")
    third = await tabs.open()  # which is signed in from the start
    await expect(row_of(third, hot)).to_be_visible()
    assert [page.url for page in tabs.context.pages] == [tabs.network.url] * 3  # no token in them
    await choose(second, "Sign out")
    for tab in (first, second, third):
        await expect(tab.get_by_label("E-mail")).to_be_visible()
        await expect(tab.get_by_text("Own_Fleet")).to_have_count(0)
    assert await first.evaluate("localStorage.length + sessionStorage.length") == 0


async def test_two_tabs_have_one_socket_for_each_endpoint_and_hand_over(
    tabs: Tabs, user: User, db: Database
) -> None:
    first = await tabs.open()
    await sign_in(first, user.email, user.password)
    await relay_is(first, "Live")
    second = await tabs.open()
    await relay_is(second, "Live")
    hot = hotspot(db, "Own_Fleet")
    for tab in (first, second):
        await expect(row_of(tab, hot)).to_be_visible()
    await tabs.until_sockets(1, 1)
    assert [tabs.network.most_open[path] for path in PATHS] == [1, 1]
    await row_of(first, hot).click()
    await first.keyboard.press("r")  # a decision of one tab shows in the other
    await expect(row_of(second, hot).locator(".c8")).to_have_text("resolved")
    await first.close()
    later = hotspot(db, "Delta_Mills")
    await expect(second.locator(".count")).to_contain_text("1 open")
    await second.keyboard.press("n")
    await expect(row_of(second, later)).to_be_visible()
    await tabs.until_sockets(1, 1)
    await relay_is(second, "Live")


async def test_another_user_takes_over_every_tab_and_decides_as_that_user(
    tabs: Tabs, user: User, emulator: Emulator, db: Database
) -> None:
    """Two users never stand side by side in one browser: the one who came last is in all tabs."""
    hot = hotspot(db, "Own_Fleet")
    first, second = await tabs.open(), await tabs.open()
    await sign_in(first, user.email, user.password)
    await row_of(first, hot).click(timeout=SOON)
    session = await someone_else(emulator)
    # As a tab does that has kept its form open.
    await second.evaluate(
        "(session) => localStorage.setItem('relay.session', session)", json.dumps(session)
    )
    await first.locator("#account summary").click()
    await expect(first.locator("#account")).to_contain_text(session["email"])
    await first.locator("#account summary").click()
    await expect(row_of(first, hot)).to_be_visible()
    await first.locator("#panel").get_by_role("button", name="Resolve").click()
    await expect(first.locator(".toast")).to_contain_text("Resolved: Own_Fleet")
    decided = db.execute("select user_id::text from public.audit_log").fetchall()
    assert decided == [(session["id"],)]
    await tabs.until_sockets(1, 1)


async def someone_else(emulator: Emulator) -> dict[str, str]:
    """Another user, signed in, as the page keeps it; with the user's id."""
    email, password = f"{uuid.uuid4().hex}@example.org", uuid.uuid4().hex
    secret = emulator.keys.secret
    async with httpx.AsyncClient(base_url=emulator.url, trust_env=False, timeout=60) as client:
        made = await client.post(
            "/auth/v1/admin/users",
            headers={"apikey": secret, "Authorization": f"Bearer {secret}"},
            json={"email": email, "password": password, "email_confirm": True},
        )
        assert made.status_code == 200, made.text
        reply = await client.post(
            "/auth/v1/token?grant_type=password",
            headers={"apikey": emulator.keys.publishable},
            json={"email": email, "password": password},
        )
    token = reply.json()["access_token"]
    return {"access_token": token, "email": email, "id": made.json()["id"]}
