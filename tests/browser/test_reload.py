"""What a page costs that is loaded again."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page

from emulator.running import Emulator
from tests.browser.conftest import Relaying
from tests.browser.frontend import Tokens, frontend
from tests.browser.network import Network, network
from tests.browser.pages import SOON, Database

ROWS = 1_000
SYNCED = "['hotspots', 'alerts', 'recommendations'].every((channel) => window.synced?.[channel])"

SAVED = """new Promise((resolve, reject) => {
  const opening = indexedDB.open("hotspot-relay", 1);
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const counting = opening.result.transaction("held").objectStore("held").count();
    counting.onsuccess = () => resolve(counting.result);
    opening.result.close();
  };
})"""


async def loaded(page: Page) -> list[list[dict[str, Any]]]:
    """The rows that the page holds, when it has been told that these are all."""
    await page.wait_for_function(SYNCED, timeout=SOON)
    found: list[list[dict[str, Any]]] = await page.evaluate("records()")
    return found


async def until_saved(page: Page) -> None:
    """Waits until the client has put what it holds in the database of the browser."""
    await page.wait_for_function("saved.size === 3", timeout=SOON)
    assert await page.evaluate(SAVED) == 3


def received(between: Network) -> int:
    """Bytes that came over WebSockets, handshakes included."""
    return sum(count for path, count in between.received.items() if path.startswith("/ws/"))


@pytest.mark.parametrize("storage", ["session", "database"])
async def test_a_page_with_a_thousand_rows_is_loaded_again_for_a_twentieth_of_the_bytes(
    browser: Browser, relaying: Relaying, emulator: Emulator, db: Database, storage: str
) -> None:
    db.execute(
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
        " percent_above, severity) select 'Supplier ' || n, 'supplier', 'logistics', 93.6, 60, 56,"
        " 'critical' from generate_series(1, %s) n",
        (ROWS,),
    )
    context = await browser.new_context()
    with frontend(Tokens(emulator)) as page:
        # Uncompressed: what a state costs then is what a reload saves.
        open_to = {"RELAY_ALLOWED_ORIGINS": page.url, "RELAY_COMPRESSION": "off"}
        async with network() as between, relaying(**open_to) as relay:
            between.lead_to(relay)
            tab = await context.new_page()
            await tab.goto(page.address(between.url, storage=storage))
            first = await loaded(tab)
            assert len(first[0]) == ROWS
            cost = received(between)
            if storage == "database":
                await until_saved(tab)

            await tab.reload()
            assert await loaded(tab) == first
            again = received(between) - cost
            assert again <= cost / 20, f"{cost} bytes at first, {again} for a reload"

            await tab.goto("about:blank")
            changed, deleted = first[0][0]["id"], first[0][1]["id"]
            db.execute("update public.hotspots set severity = 'warn' where id = %s", (changed,))
            db.execute("delete from public.hotspots where id = %s", (deleted,))
            before = received(between)
            await tab.goto(page.address(between.url, storage=storage))
            await tab.wait_for_function("holds()[0].length === 999", timeout=SOON)
            rows = (await loaded(tab))[0]
            assert rows == [first[0][0] | {"severity": "warn"}, *first[0][2:]]
            assert received(between) - before <= cost / 20
            assert await tab.evaluate("twice") == []
    await context.close()
