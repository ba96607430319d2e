"""What somebody does who sees the page for the first time, by what it says and nothing else."""

from __future__ import annotations

import re

from playwright.async_api import Page, expect

from tests.browser.pages import Database, hotspot, recommendation, relay_is, rolled_up


async def test_a_new_user_finds_who_wastes_most_and_why_approves_advice_and_silences_the_rest(
    page: Page, db: Database
) -> None:
    worst = hotspot(db, "Delta_Mills", event_type="factory", excess_kg=9_000)
    recommendation(db, worst, "Look for machines that idle")
    for name in ("Own_Fleet", "Metro_Parcels", "Alpine_Foundry"):
        hotspot(db, name, excess_kg=50)
        rolled_up(db, name, "logistics", 50)
    rolled_up(db, "Delta_Mills", "factory", 9_000)
    await page.reload()
    await relay_is(page, "Live")

    # Who wastes most: the tile says it, and so does the first row of the matrix.
    await expect(page.get_by_role("table").get_by_role("button").first).to_have_text("Delta_Mills")
    await page.get_by_role("link", name=re.compile("Worst now.*Delta_Mills")).click()

    # Why, and what to do about it.
    episode = page.get_by_role("region", name=re.compile("Delta_Mills"))
    await expect(episode).to_contain_text("56 % more kg per tonne-km")
    await expect(episode).to_contain_text("Where the excess comes from")
    await episode.get_by_role("button", name="Approve").click()
    done = page.get_by_text("Approved: Look for machines that idle", exact=True)
    await expect(done).to_be_visible()
    await episode.get_by_role("button", name=re.compile("^Close the episode")).click()

    # The rest is to be quiet for a week.
    await page.get_by_role("checkbox", name="Select all shown").check()
    await page.get_by_role("checkbox", name="Select Delta_Mills").uncheck()
    await expect(page.get_by_text("3 selected")).to_be_visible()
    await (
        page.get_by_role("toolbar", name="Decide on the selection")
        .get_by_role("button", name=re.compile("^Silence"))
        .click()
    )
    form = page.get_by_role("form", name="Silence")
    await expect(form).to_be_visible()
    await expect(page.get_by_role("button", name="Undo")).to_have_count(0)  # it lay over the form
    await form.get_by_label("For").select_option("1 week")
    await form.get_by_label("Why").fill("known, work is booked")
    await form.get_by_role("button", name="Silence").click()
    await expect(page.get_by_text("Silenced: 3 hotspots")).to_be_visible()
    await page.get_by_role("button", name=re.compile("^Open")).click()
    await expect(page.get_by_text("1 shown, 1 open, 3 silenced")).to_be_visible()

    assert db.execute("select status from public.recommendations").fetchall() == [("approved",)]
    silenced = db.execute("select entity from public.silences order by 1").fetchall()
    assert silenced == [("Alpine_Foundry",), ("Metro_Parcels",), ("Own_Fleet",)]
