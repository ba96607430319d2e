"""The examples, built as their READMEs say and driven as their users would."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from emulator.running import Emulator
from tests.browser.conftest import Relaying, User
from tests.browser.frontend import served
from tests.browser.network import network
from tests.browser.pages import SOON, Database, alert, hotspot, recommendation, sign_in
from tests.browser.writing import CHANNELS
from tests.node import install, node
from tests.relay.access.admission import token_of

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples"
CLIENT = PROJECT / "clients" / "js"
BUILD_SECONDS = 110


def run(program: str, folder: Path, *arguments: str, **variables: str) -> None:
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def built(folder: Path, output: Path, **variables: str) -> None:
    """Builds the example in `folder` with Vite, for development: StrictMode works there alone."""
    program = node()
    vite = ("node_modules/vite/bin/vite.js", "build", "--mode", "development")
    run(program, folder, *vite, "--outDir", str(output), NODE_ENV="development", **variables)


@pytest.mark.timeout(400)  # a first run installs packages
async def test_the_react_example_is_live_over_one_socket_under_strict_mode(
    tab: Page, relaying: Relaying, emulator: Emulator, db: Database, tmp_path: Path
) -> None:
    folder = EXAMPLES / "react"
    program = node()
    await asyncio.to_thread(install, folder)
    packed = folder / "node_modules" / "hotspot-relay-client"
    for name in ("src", "package.json"):  # as it is now, whenever it was installed
        source, copy = CLIENT / name, packed / name
        if source.is_dir():
            shutil.copytree(source, copy, dirs_exist_ok=True)
        else:
            shutil.copy(source, copy)
    await asyncio.to_thread(run, program, folder, "node_modules/typescript/bin/tsc")
    resolved, other = hotspot(db, "Northwind"), hotspot(db, "Contoso")
    assert resolved != other
    sockets: Counter[str] = Counter()
    tab.on("websocket", lambda socket: sockets.update([socket.url.rsplit("/", 1)[1]]))
    async with network() as between:
        await asyncio.to_thread(built, folder, tmp_path / "react", VITE_RELAY_URL=between.url)
        with served(tmp_path / "react") as page:
            async with relaying(RELAY_ALLOWED_ORIGINS=page) as relay:
                between.lead_to(relay)
                await tab.goto(page)
                await tab.get_by_label("Access token").fill(token_of(emulator), timeout=SOON)
                await tab.get_by_role("button", name="Sign in").click()
                await expect(tab.locator("output")).to_have_text("2")
                sockets.clear()
                await tab.reload()
                await expect(tab.locator("output")).to_have_text("2")
                hotspot(db, "Fabrikam")
                await expect(tab.get_by_text("Fabrikam")).to_be_visible()
                item = tab.get_by_role("listitem").filter(has_text="Northwind")
                await item.get_by_role("button", name="Resolve").click()
                await expect(item).to_have_count(0)
                await expect(tab.locator("p[role=status]")).to_have_text("open")
                assert [between.open_to(f"/ws/{channel}") for channel in CHANNELS] == [1, 0, 0]
                assert sum(sockets.values()) == 1


async def test_the_plain_example_shows_rows_and_connects_again_after_three_seconds(
    tab: Page, relaying: Relaying, emulator: Emulator, db: Database
) -> None:
    hotspot(db, "Northwind")
    gone = alert(db, "Too much")
    tab_list = tab.get_by_role("listitem")
    with served(EXAMPLES) as page:
        async with network() as between, relaying(RELAY_ALLOWED_ORIGINS=page) as relay:
            between.lead_to(relay)
            await tab.goto(f"{page}/plain.html?relay={between.url}#{token_of(emulator)}")
            await expect(tab_list.filter(has_text="Northwind")).to_be_visible()
            await expect(tab_list.filter(has_text="Too much").last).to_be_visible()
            db.execute("delete from public.alerts where id = %s", (gone,))
            await expect(tab.locator("#alerts li")).to_have_count(0)
            between.cut()
            recommendation(db, hotspot(db, "Contoso Freight"), "Drive slower")
            between.lead_to(relay)
            await expect(tab.locator("#recommendations li")).to_contain_text("Drive slower")


@pytest.mark.timeout(400)  # a first run installs packages
async def test_the_direct_example_closes_the_gaps_of_realtime(
    tab: Page, emulator: Emulator, user: User, db: Database, tmp_path: Path
) -> None:
    folder = EXAMPLES / "supabase-direct"
    node()
    await asyncio.to_thread(install, folder)
    hotspot(db, "Northwind")
    items = tab.get_by_role("listitem")
    async with network() as between:
        variables = {
            "VITE_SUPABASE_URL": between.url.rstrip("/"),
            "VITE_SUPABASE_PUBLISHABLE_KEY": emulator.keys.publishable,
        }
        await asyncio.to_thread(built, folder, tmp_path / "direct", **variables)
        between.lead_to(emulator.url)
        with served(tmp_path / "direct") as page:
            await tab.goto(page)
            await sign_in(tab, user.email, user.password)
            await expect(items.filter(has_text="Northwind")).to_be_visible()
            await expect(tab.get_by_role("status")).to_have_text("live")
            gone = alert(db, "Too much")
            await expect(tab.locator("#alerts li")).to_have_text("Too much")
            between.cut()
            recommendation(db, hotspot(db, "Contoso Freight"), "Drive slower")
            db.execute("delete from public.alerts where id = %s", (gone,))
            between.lead_to(emulator.url)
            await expect(tab.locator("#recommendations li")).to_contain_text(
                "Drive slower", timeout=2 * SOON
            )
            await expect(tab.locator("#alerts li")).to_have_count(0)
