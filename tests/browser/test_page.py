"""The page in a real browser, from a row in the database to a decision and back; its relay runs
from an installed wheel, with access control."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from emulator.running import Emulator
from tests.browser.pages import (
    SOON,
    Database,
    choose,
    held_back,
    hotspot,
    listed,
    many,
    recommendation,
    relay_is,
    rolled_up,
    row_of,
    worker,
)

LATER = 2 * SOON


async def done(emulator: Emulator, *arguments: str) -> None:
    async with worker(emulator, *arguments) as process:
        assert await process.wait() == 0


@pytest.mark.parametrize("width", [1440, 390], ids=["desktop", "phone"])
async def test_a_new_worst_row_shows_by_itself_while_the_list_is_short_and_nothing_is_aimed_at(
    page: Page, db: Database, width: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await page.mouse.move(1, 1)
    first = hotspot(db, "Northwind_Freight")
    await expect(row_of(page, first)).to_be_visible()
    second = hotspot(db, "Tessaly_Haulage", excess_kg=9000)
    await expect(row_of(page, second)).to_be_visible()
    assert await listed(page) == [second, first]
    await row_of(page, second).locator("a").focus()
    place = await row_of(page, second).bounding_box()
    third = hotspot(db, "Between_Both", excess_kg=700)
    await expect(row_of(page, third)).to_be_visible()  # below what has the focus
    fourth = hotspot(db, "Worst_Of_All", excess_kg=90_000)
    await expect(page.get_by_role("button", name="1 new")).to_be_visible()
    assert await row_of(page, second).bounding_box() == place
    await page.evaluate("document.activeElement.blur()")
    await expect(row_of(page, fourth)).to_be_visible()
    assert await listed(page) == [fourth, second, third, first]


async def test_a_row_under_the_pointer_stays_and_the_new_one_waits_and_is_counted_at_once(
    page: Page, db: Database
) -> None:
    first = hotspot(db, "Northwind_Freight")
    row = row_of(page, first)
    await expect(row).to_contain_text("Northwind_Freight")
    for text in ("+34", "1.56", "56 % more kg", "open"):
        await expect(row).to_contain_text(text)
    await row.hover()
    second = hotspot(db, "Tessaly_Haulage", excess_kg=9000)
    await expect(page.locator(".count")).to_have_text("1 shown, 2 open")
    await expect(page).to_have_title("2 critical · Hotspot Relay")
    assert await listed(page) == [first]
    await page.get_by_role("button", name="1 new").focus()
    await page.keyboard.press("Enter")
    await expect(row_of(page, second)).to_be_visible()
    assert await listed(page) == [second, first]  # the worst first
    db.execute("delete from public.hotspots where id = %s", (second,))
    await expect(row_of(page, second)).to_have_class(re.compile("faint"))
    await page.keyboard.press("n")
    await expect(row_of(page, second)).to_have_count(0)


async def test_a_click_during_a_burst_hits_the_row_that_was_aimed_at(
    page: Page, db: Database
) -> None:
    aimed = hotspot(db, "Aimed_At", excess_kg=10)
    await expect(row_of(page, aimed)).to_be_visible()
    others = [hotspot(db, f"Other_{number}", excess_kg=20 + number) for number in range(6)]
    await page.keyboard.press("n")
    await expect(row_of(page, aimed)).to_be_visible()
    await row_of(page, aimed).hover()
    place = await row_of(page, aimed).bounding_box()
    assert place is not None

    async def burst() -> None:
        for number in range(300):
            id = others[number % len(others)]
            query = "update public.hotspots set excess_kg = %s where id = %s"
            await asyncio.to_thread(db.execute, query, (1000.0 * number, id))
            if number % 10 == 0:
                await asyncio.to_thread(hotspot, db, f"New_{number}", excess_kg=1e6)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(burst())
        await expect(page.get_by_role("button", name=re.compile(r"^\d+ new$"))).to_be_visible()
        await page.mouse.click(place["x"] + 300, place["y"] + place["height"] / 2)
        await expect(page.locator("#panel-title")).to_contain_text("Aimed_At")
    assert await row_of(page, aimed).bounding_box() == place


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
    row = page.locator(".rows .row")
    if running:
        async with worker(emulator, "run"):
            await done(emulator, "ingest", str(file))
            await expect(row).to_contain_text("Own_Fleet")
    else:
        await done(emulator, "ingest", str(file))
        await done(emulator, "scan")
        await expect(row).to_contain_text("Own_Fleet")
    await expect(row.locator(".sev")).to_have_attribute("aria-label", "critical")
    await row.click()
    panel = page.locator("#panel")
    await expect(panel.locator(".reason")).to_contain_text("distance")
    await expect(panel.locator(".chart canvas")).to_be_visible()
    await expect(panel.locator(".values tbody tr")).to_have_count(61)
    await expect(panel.locator(".drivers")).to_contain_text("distance")
    await expect(panel.locator(".timeline")).to_contain_text("Found")
    await page.keyboard.press("Escape")
    await expect(page.locator("#matrix")).to_contain_text("Own_Fleet", timeout=LATER)
    cell = page.locator("#matrix tbody td button")
    await expect(cell).to_have_attribute(
        "title", re.compile(r"^Own_Fleet, logistics: .* open critical$")
    )
    await expect(page.locator(".tile.window").nth(1)).not_to_contain_text("not known")


async def test_the_panel_of_a_run_that_is_long_over_agrees_with_itself(
    page: Page, emulator: Emulator, db: Database, tmp_path: Path
) -> None:
    """Eight detours of 60 %, the third of 90 %, in a file of the past that is judged at once."""
    file = tmp_path / "events.csv"
    first = datetime.now(UTC).replace(hour=12) - timedelta(days=200)
    factors = [*[1.0] * 60, 1.6, 1.6, 1.9, *[1.6] * 5, *[1.0] * 12]
    file.write_text(
        "supplier_id,event_type,timestamp,distance_km,planned_distance_km,load_kg\n"
        + "".join(
            f"Own_Fleet,logistics,{(first + timedelta(days=day)).isoformat()},"
            f"{(plan := 100 + 40 * (day % 3)) * factor * (1 + day % 5 / 200)},{plan},400\n"
            for day, factor in enumerate(factors)
        )
    )
    await done(emulator, "ingest", str(file))
    await done(emulator, "scan")
    last = first + timedelta(days=67)
    await page.get_by_role("button", name=re.compile("^Closed")).click()
    row = page.locator(".rows .row")
    await expect(row.locator(".c7")).to_contain_text(f"to {last.day} ")
    await row.click()
    panel = page.locator("#panel")
    facts = panel.locator(".facts")
    for text in ("Excess in all", "Rate while it lasted", "All 8 events", f"Last seen{last.day} "):
        await expect(facts).to_contain_text(text)
    await expect(facts.get_by_text(re.compile(r"^\W1\.6"))).to_be_visible()  # of all of them
    reason = await panel.locator(".reason").inner_text()
    assert "the worst of 8 that stood out in 8 days" in reason
    shown = await panel.locator(".sect output").inner_text()
    usual = re.compile(r"usual ([\d.]+)")
    assert usual.findall(shown) == usual.findall(reason)
    assert shown.startswith("worst ")
    timeline = panel.locator(".timeline")
    await expect(timeline).to_contain_text(re.compile(rf"back to its usual, last seen {last.day} "))
    await expect(timeline.get_by_text("you", exact=True)).to_have_count(0)
    kg, month, excess, rate = (
        db.execute(
            "select sum(r.co2_reduction), sum(r.co2_reduction_month), min(h.predicted_co2"
            " - h.baseline_co2), min(h.excess_kg / 8 * 30) from public.recommendations r"
            " join public.hotspots h on h.id = r.hotspot_id"
        ).fetchone()
        or ()
    )
    assert month == pytest.approx(kg / excess * rate, rel=0.01)


async def test_advice_is_approved_and_rejected_in_its_episode(page: Page, db: Database) -> None:
    id = hotspot(db, "Own_Fleet")
    wanted = recommendation(db, id, "Consolidate half-empty runs")
    unwanted = recommendation(db, id, "Fly less")
    await row_of(page, id).click(timeout=SOON)
    for advice, button, text in ((wanted, "Approve", "approved"), (unwanted, "Reject", "rejected")):
        card = page.locator(f".advice[data-id='{advice}']")
        await card.get_by_role("button", name=button).click(timeout=SOON)
        await expect(card).to_contain_text(text)
        await expect(card.get_by_role("button")).to_have_count(0)
    await expect(page.locator(".pair button", has_text="Advice")).to_contain_text("0")
    decided = db.execute("select status from public.recommendations order by id").fetchall()
    assert decided == [("approved",), ("rejected",)]
    await page.keyboard.press("u")
    card = page.locator(f".advice[data-id='{unwanted}']")
    await expect(card.get_by_role("button", name="Reject")).to_be_visible()
    await expect(page.locator(".toast")).to_contain_text("Undone: Fly less")
    await expect(page.locator(".timeline")).to_contain_text(
        "Advice approved: Consolidate half-empty runs you"
    )
    await expect(page.locator(".timeline")).to_contain_text("Recommendation taken back: rejected")
    await expect(card.locator(".save")).to_have_text("\u221211.5 kg each event")


async def test_advice_together_saves_no_more_than_there_is(page: Page, db: Database) -> None:
    """33.6 kg above the usual, once, and three pieces of advice whose figures are older."""
    id = hotspot(db, "Own_Fleet")
    ids = [recommendation(db, id, f"Advice {number}") for number in range(3)]
    for each, kg in zip(ids, (20, 15.5, 10), strict=True):
        db.execute(
            "update public.recommendations set co2_reduction_month = %s where id = %s", (kg, each)
        )
    await row_of(page, id).click(timeout=SOON)
    together = page.locator(".together .save")
    await expect(together).to_have_text("\u221233.6 kg a month")
    await page.locator(".advice").first.get_by_role("button", name="Reject").click()
    await expect(together).to_have_text("\u221225.5 kg a month")


async def test_advice_whose_decision_fails_says_so_and_can_be_decided_again(
    page: Page, db: Database
) -> None:
    id = hotspot(db, "Own_Fleet")
    advice = recommendation(db, id, "Consolidate half-empty runs")
    await row_of(page, id).click(timeout=SOON)
    card = page.locator(f".advice[data-id='{advice}']")
    path = f"**/recommendations/{advice}/reject"
    await page.route(path, lambda route: route.abort())
    await card.get_by_role("button", name="Reject").click(timeout=SOON)
    await expect(card.get_by_role("alert")).to_have_text("The relay cannot be reached.")
    await page.unroute(path)
    await card.get_by_role("button", name="Reject").click()
    await expect(card).to_contain_text("rejected")


@pytest.mark.parametrize(
    ("key", "told", "decided"),
    [
        ("a", "Acknowledged: Own_Fleet", ("active", True)),
        ("r", "Resolved: Own_Fleet", ("resolved", False)),
    ],
)
async def test_a_decision_by_key_shows_at_once_and_is_undone(
    page: Page, db: Database, key: str, told: str, decided: tuple[str, bool]
) -> None:
    id = hotspot(db, "Own_Fleet")
    await expect(row_of(page, id)).to_be_visible()
    query = "select status, acknowledged_at is not null from public.hotspots"
    await page.keyboard.press("j")
    await expect(page.locator(f"[data-row='{id}']")).to_be_focused()
    await page.keyboard.press(key)
    await expect(page.locator(".toast")).to_contain_text(told)
    await expect(page.locator(".toast").get_by_role("button", name="Undo")).to_be_visible()
    assert db.execute(query).fetchone() == decided
    await expect(page.locator(f"[data-row='{id}']")).to_be_focused()
    await page.keyboard.press("u")
    await expect(page.locator(".toast")).to_contain_text("Undone: Own_Fleet")
    assert db.execute(query).fetchone() == ("active", False)
    await expect(row_of(page, id).locator(".c8")).to_have_text("open")


async def test_a_selection_is_silenced_with_a_reason_and_an_end(page: Page, db: Database) -> None:
    ids = [hotspot(db, name) for name in ("Roof_Works", "Roof_Works_2", "Loud")]
    await expect(row_of(page, ids[0])).to_be_visible()
    await expect(page.locator(".count")).to_contain_text("3 open")
    await page.keyboard.press("n")
    for id in ids[:2]:
        await row_of(page, id).get_by_role("checkbox").check()
    await expect(page.locator(".bulk")).to_contain_text("2 selected")
    await page.keyboard.press("s")
    form = page.get_by_role("form", name="Silence")
    await form.get_by_role("button", name="Silence").click()
    await expect(form.get_by_role("alert")).to_have_text("Say why, for those who read it later.")
    await expect(form.get_by_label("Why")).to_be_focused()
    await form.get_by_role("button", name="Cancel").press("x")  # a key of the list, not of the form
    await expect(page.locator(".bulk")).to_contain_text("2 selected")
    await form.get_by_label("For").select_option("3 days")
    await form.get_by_label("Why").fill("roof works until Friday")
    await form.get_by_role("button", name="Silence").click()
    for id in ids[:2]:
        await expect(row_of(page, id).locator(".c8")).to_contain_text("silenced")
    await expect(row_of(page, ids[2]).locator(".c8")).to_have_text("open")
    await expect(page.locator(".toast").get_by_role("button", name="Undo")).to_be_visible()
    found = db.execute("select entity, event_type, why from public.silences order by 1").fetchall()
    why = "roof works until Friday"
    assert found == [("Roof_Works", "logistics", why), ("Roof_Works_2", "logistics", why)]
    counts = page.locator(".count")
    await expect(counts).to_have_text("3 shown, 1 open, 2 silenced")  # nothing has moved
    critical = page.locator(".severities button", has_text="critical")
    await expect(critical.locator("b")).to_have_text("1")
    await critical.click()
    await expect(counts).to_have_text("1 shown, 1 open, 2 silenced")
    await page.reload()
    await relay_is(page, "Live")
    await expect(counts).to_have_text("1 shown, 1 open, 2 silenced")
    await page.get_by_role("button", name="Silenced").click()
    await expect(counts).to_have_text("2 shown, 1 open, 2 silenced")
    await expect(row_of(page, ids[0]).locator(".c8")).to_contain_text("silenced")


async def test_a_silence_that_somebody_else_makes_is_seen_and_not_counted_as_open(
    page: Page, db: Database
) -> None:
    ids = [hotspot(db, entity) for entity in ("Roof_Works", "Mill")]
    await expect(page.locator(".count")).to_contain_text("2 open")
    await page.keyboard.press("n")  # the one that came second
    await expect(page.locator(".count")).to_have_text("2 shown, 2 open")
    db.execute("select silence(now() + interval '1 day', 'relined', entity => 'Mill')")
    await expect(row_of(page, ids[1]).locator(".c8")).to_contain_text("silenced", timeout=60_000)
    await expect(page.locator(".count")).to_have_text("2 shown, 1 open, 1 silenced")
    await row_of(page, ids[1]).get_by_role("link").click()
    await expect(page.locator(".timeline")).to_contain_text("Silenced until")
    await expect(page.locator(".timeline")).to_contain_text("relined")


async def test_a_silence_is_read_in_the_timeline_and_ended_there(page: Page, db: Database) -> None:
    id = hotspot(db, "Mill")
    db.execute("select silence(now() + interval '1 day', 'relined', entity => 'Mill')")
    await page.goto(f"{page.url.split('?')[0]}?is=silenced&episode={id}")
    told = page.locator(".timeline li", has_text="relined")
    await expect(told).to_be_visible(timeout=60_000)
    box = await told.locator("bdi").first.bounding_box()
    assert box is not None
    assert box["width"] > 3 * box["height"], "its text stands in one line, and not in a column"
    await page.get_by_role("button", name="End silence").click()
    form = page.get_by_role("form", name="End silence")
    await form.get_by_role("button", name="End this one").click()
    await expect(page.locator(".toast")).to_contain_text("Silence ended: Mill")
    await expect(page.get_by_role("button", name="End silence")).to_have_count(0)
    (ended,) = db.execute("select ended_at from public.silences").fetchall()
    assert ended[0] is not None


async def test_of_several_silences_each_is_named_with_its_breadth_and_ended_alone(
    page: Page, db: Database
) -> None:
    id, _ = hotspot(db, "Mill"), hotspot(db, "Mill", event_type="factory")
    silence = (
        "select (silence(now() + interval '1 day', %s, entity => 'Mill', event_type => %s)).id"
    )
    (broad,), (narrow,) = (
        db.execute(silence, words).fetchone() or ()
        for words in (("holidays", None), ("relined", "logistics"))
    )

    def ended() -> set[int]:
        rows = db.execute("select id from public.silences where ended_at is not null")
        return {row[0] for row in rows.fetchall()}

    await page.goto(f"{page.url.split('?')[0]}?is=silenced&episode={id}")
    button = page.get_by_role("button", name="End silence")
    form = page.get_by_role("form", name="End silence")
    await button.click()
    lines = form.locator("li")
    await expect(lines).to_have_count(2)
    await expect(lines.filter(has_text="holidays")).to_contain_text("Mill with all its work")
    await expect(lines.filter(has_text="holidays")).to_contain_text("2 open hotspots, until")
    await expect(lines.filter(has_text="relined")).to_contain_text("Mill logistics")
    await expect(lines.filter(has_text="relined")).to_contain_text("1 open hotspot, until")
    box, around = await form.bounding_box(), await page.locator("#panel").bounding_box()
    assert box is not None
    assert around is not None
    assert around["y"] <= box["y"]
    assert around["x"] <= box["x"]  # the buttons, of which there are many, have moved nothing
    assert box["x"] + box["width"] <= around["x"] + around["width"]
    await page.keyboard.press("Escape")
    await expect(form).to_have_count(0)
    assert ended() == set()
    await button.click()
    await lines.filter(has_text="relined").get_by_role("button", name="End this one").click()
    await expect(page.locator(".toast")).to_contain_text("Silence ended: Mill logistics")
    assert ended() == {narrow}
    await button.click()  # what is left is of more than this hotspot
    await expect(lines).to_have_count(1)
    await expect(form).to_contain_text("This silence keeps back more than this hotspot")
    await form.get_by_role("button", name="End this one").click()
    await expect(button).to_have_count(0)
    assert ended() == {narrow, broad}


async def test_a_silence_of_this_work_alone_ends_without_a_question(
    page: Page, db: Database
) -> None:
    id = hotspot(db, "Mill")
    db.execute(
        "select silence(now() + interval '1 day', 'relined', entity => 'Mill',"
        " event_type => 'logistics')"
    )
    await page.goto(f"{page.url.split('?')[0]}?is=silenced&episode={id}")
    await page.get_by_role("button", name="End silence").click()
    await expect(page.locator(".toast")).to_contain_text("Silence ended: Mill logistics")


async def test_the_key_of_a_silence_asks_for_its_reason_without_an_open_episode(
    page: Page, db: Database
) -> None:
    id = hotspot(db, "Roof_Works")
    await expect(row_of(page, id)).to_be_visible()
    await page.keyboard.press("j")
    await expect(page.locator(f"[data-row='{id}']")).to_be_focused()
    await page.keyboard.press("s")
    form = page.get_by_role("form", name="Silence")
    await form.get_by_label("Why").fill("roof works until Friday")
    await page.keyboard.press("Enter")
    await expect(row_of(page, id).locator(".c8")).to_contain_text("silenced")


async def test_a_menu_closes_by_a_click_beside_it_and_by_its_key(page: Page, db: Database) -> None:
    await row_of(page, hotspot(db, "Own_Fleet")).click(timeout=SOON)
    menu = page.locator("#panel details.menu")
    await menu.locator("summary").click()
    await page.locator("#panel-title").click()
    await expect(menu).not_to_have_attribute("open", "")
    await menu.locator("summary").click()
    await page.keyboard.press("Escape")
    await expect(menu).not_to_have_attribute("open", "")
    await expect(page.locator("#panel")).to_be_visible()


async def test_what_is_closed_says_that_it_cannot_be_decided(page: Page, db: Database) -> None:
    id = hotspot(db, "Own_Fleet")
    await row_of(page, id).click(timeout=SOON)
    db.execute("update public.hotspots set status = 'resolved', resolved_at = now()")
    await expect(row_of(page, id).locator(".c8")).to_have_text("resolved")
    await page.keyboard.press("a")
    await expect(page.locator(".toast")).to_contain_text("Not done: what is closed")


async def test_figures_are_never_cut_however_narrow_their_cells_are(
    page: Page, db: Database
) -> None:
    hotspot(db, "Delta_Mills", event_type="factory", excess_kg=9_876_543)
    kinds = ("factory", "logistics", "delivery", "warehouse")
    for kind, kg in zip(kinds, (41_498, 3_974_123, 2_355, 900_000), strict=True):
        rolled_up(db, "Delta_Mills", kind, kg)
    many(db, 4500)
    await page.reload()
    for width in (390, 1024, 1440):
        await page.set_viewport_size({"width": width, "height": 900})
        cells = page.locator("#matrix td button > span:last-child, #matrix .total")
        await expect(cells).to_have_count(5)
        cut = "all => all.filter((one) => one.scrollWidth > one.parentElement.clientWidth + 1)"
        beside = (
            "all => all.filter((one) => { const cell = one.closest('td');"
            " const [a, b] = [one.getBoundingClientRect(), cell.getBoundingClientRect()];"
            " return a.left < b.left - 1 || a.right > b.right + 1 ||"
            " cell.scrollWidth > cell.clientWidth; })"
        )
        await expect(page.locator(".severities")).to_contain_text("1,501")
        hidden = "all => all.filter((one) => one.scrollWidth > one.clientWidth + 1).length"
        assert await page.locator(".tile .v, .tile .d").evaluate_all(hidden) == 0, width
        for wrong in (cut, beside):
            found = f"all => ({wrong})(all).map((one) => one.outerHTML)"
            assert await cells.evaluate_all(found) == [], width
        outside = "(one) => one.getBoundingClientRect().right > list.getBoundingClientRect().right"
        assert not await page.evaluate(
            "() => { const list = document.querySelector('#list'); return"
            f" [...list.querySelectorAll('.c4, .choice')].some({outside}); }}"
        ), width


async def test_the_address_holds_the_view_and_the_episode(page: Page, db: Database) -> None:
    factory = hotspot(db, "Delta_Mills", event_type="factory", severity="warn", excess_kg=1)
    other = hotspot(db, "Alpine_Foundry", event_type="factory", severity="warn", excess_kg=2)
    hotspot(db, "Own_Fleet")
    await expect(row_of(page, factory)).to_be_visible()
    await page.locator(".severities button", has_text="warn").click()
    await page.get_by_label("Sort").select_option("ratio")
    await page.locator(".tile.window").nth(2).click()
    await page.keyboard.press("/")
    await page.keyboard.type("mills")
    await expect(page.locator(".count")).to_have_text("1 shown, 3 open")
    await row_of(page, factory).click()
    await page.reload()
    await expect(page.locator("#panel-title")).to_contain_text("Delta_Mills")
    await expect(page.locator(".count")).to_have_text("1 shown, 3 open")
    await expect(page.get_by_role("searchbox")).to_have_value("mills")
    await expect(page.locator(".tile.window").nth(2)).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_label("Sort")).to_have_value("ratio")
    await page.get_by_role("button", name="Clear", exact=True).click()
    await expect(row_of(page, other)).to_be_visible()
    await expect(page.locator("#panel-title")).to_contain_text("Delta_Mills")


async def test_going_back_closes_the_episode_and_stays_on_the_page(
    page: Page, db: Database
) -> None:
    first, second = hotspot(db, "Delta_Mills", excess_kg=99), hotspot(db, "Own_Fleet")
    await expect(row_of(page, second)).to_be_visible()
    address = page.url
    panel = page.locator("#panel")
    await row_of(page, first).click()
    await page.keyboard.press("j")
    await expect(panel).to_contain_text("Own_Fleet")
    await page.locator(".severities button", has_text="critical").click()
    await page.go_back()
    await expect(panel).to_have_count(0)
    await expect(page).to_have_url(f"{address}?severity=critical")
    await expect(row_of(page, second).locator("a")).to_be_focused()
    await page.go_forward()
    await expect(panel).to_contain_text("Own_Fleet")
    await page.keyboard.press("Escape")
    await expect(panel).to_have_count(0)
    await page.goto(f"{address}?episode={first}")  # a link: there is nothing to go back to
    await expect(panel).to_contain_text("Delta_Mills")
    await page.keyboard.press("Escape")
    await expect(panel).to_have_count(0)
    await expect(page).to_have_url(address)


async def test_a_saved_view_comes_back_by_its_name(page: Page, db: Database) -> None:
    hotspot(db, "Delta_Mills", event_type="factory", severity="warn")
    hotspot(db, "Own_Fleet")
    await expect(page.locator(".count")).to_contain_text("2 open")
    await page.locator(".severities button", has_text="warn").click()
    await expect(page.locator(".count")).to_have_text("1 shown, 2 open")
    await choose(page, "Saved views")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Save this view as").fill("Warnings")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("button", name="Warnings", exact=True)).to_be_visible()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Clear", exact=True).click()
    await page.reload()
    await expect(page.locator(".count")).to_have_text("2 shown, 2 open")
    await choose(page, "Saved views")
    await page.get_by_role("button", name="Warnings", exact=True).click()
    await expect(page.locator(".count")).to_have_text("1 shown, 2 open")
    await expect(page).to_have_url(re.compile("severity=warn"))


async def test_a_saved_view_too_many_is_refused_until_one_is_deleted(page: Page) -> None:
    await choose(page, "Saved views")
    dialog = page.get_by_role("dialog")
    name, save = dialog.get_by_label("Save this view as"), dialog.get_by_role("button", name="Save")
    for number in range(50):
        await name.fill(f"view {10 + number}")
        await save.click()
    await name.fill("one more")
    await save.click()
    await expect(dialog.get_by_role("alert")).to_contain_text("delete one first")
    await dialog.get_by_role("button", name="Delete the view view 10").click()
    await save.click()
    await expect(dialog.get_by_role("button", name="one more", exact=True)).to_be_visible()
    await expect(dialog.get_by_role("alert")).to_have_text("")


async def test_ten_thousand_open_hotspots_are_all_in_reach(page: Page, db: Database) -> None:
    db.execute(
        "insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
        " percent_above, severity, excess_kg, reason, occurred_at)"
        " select 'Supplier_' || n, 'supplier', 'factory', 150, 100, 50, 'warn', 20000 - n,"
        " 'made up', now() - interval '30 days' from generate_series(1, 10000) n"
    )
    await page.reload()
    await expect(page.locator(".count")).to_have_text("10,000 shown, 10,000 open", timeout=LATER)
    assert await page.locator("*").count() < 1500
    outside = (
        "tile => [...tile.querySelectorAll('button')].filter((each) =>"
        " each.getBoundingClientRect().right > tile.getBoundingClientRect().right + 1).length"
    )
    for width in (390, 1024, 1440):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.locator(".severities").evaluate(outside) == 0, width
    await page.locator(".scroll").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    last = page.locator(".rows .row", has_text="Supplier_10000")
    await expect(last).to_be_visible()
    await expect(last).to_have_attribute("aria-rowindex", "10001")
    await last.click()
    await expect(page.locator("#panel-title")).to_contain_text("Supplier_10000")
    await page.keyboard.press("k")
    await expect(page.locator("#panel-title")).to_contain_text("Supplier_9999")


async def test_all_that_is_selected_is_decided_however_much_it_is(page: Page, db: Database) -> None:
    many(db, 1201)
    await page.reload()
    await expect(page.locator(".count")).to_have_text("1,201 shown, 1,201 open")
    await page.get_by_label("Select all shown").check()
    await page.locator(".bulk").get_by_role("button", name="Acknowledge").click()
    toast = page.locator(".toast")
    await expect(toast).to_contain_text("Acknowledged: 1201 hotspots", timeout=LATER)
    acknowledged = "select count(*) from public.hotspots where acknowledged_at is not null"
    assert db.execute(acknowledged.encode()).fetchone() == (1201,)
    await page.keyboard.press("u")
    await expect(toast).to_contain_text("Undone: 1201 hotspots", timeout=LATER)
    assert db.execute(acknowledged.encode()).fetchone() == (0,)


async def test_the_list_is_reached_by_the_tabulator_and_walked_by_the_arrows(
    page: Page, db: Database
) -> None:
    ids = [hotspot(db, f"Supplier_{number}", excess_kg=900 - number) for number in range(3)]
    await expect(row_of(page, ids[2])).to_be_visible()
    rows = [page.locator(f"[data-row='{id}']") for id in ids]
    await page.locator("#list .head button").last.focus()
    await page.keyboard.press("Tab")
    await expect(rows[0]).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await expect(rows[2]).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(rows[1]).to_be_focused()
    await page.keyboard.press("Tab")  # one stop for all rows
    assert await page.evaluate("document.activeElement.closest('.rows')") is None
    await page.keyboard.press("Shift+Tab")
    await expect(rows[1]).to_be_focused()


async def test_the_keys_walk_through_episodes_and_give_the_focus_back(
    page: Page, db: Database
) -> None:
    first, second = hotspot(db, "First", excess_kg=200), hotspot(db, "Second", excess_kg=100)
    await expect(row_of(page, first)).to_be_visible()
    await expect(page.locator(".count")).to_contain_text("2 open")
    await page.keyboard.press("n")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("#panel-title")).to_be_focused()
    await page.keyboard.press("j")
    await expect(page.locator("#panel-title")).to_contain_text("Second")
    await page.keyboard.press("Escape")
    await expect(page.locator(f"[data-row='{second}']")).to_be_focused()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
    await page.keyboard.press("a")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert db.execute("select count(acknowledged_at) from public.hotspots").fetchone() == (0,)


async def test_rows_cannot_bring_markup_into_the_page(page: Page, db: Database) -> None:
    text = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
    id = hotspot(db, text, reason=text)
    await expect(row_of(page, id).locator(".why")).to_have_text(text)
    assert await page.locator(".rows img, .why b").count() == 0
    await expect(page).to_have_title("1 critical · Hotspot Relay")


async def test_long_and_odd_values_stay_in_their_boxes(page: Page, db: Database) -> None:
    names = ("W" * 200, "An_entity_in_one_word_" * 9, "\u202edecrof-tfel-ot-thgir")
    ids = [hotspot(db, name, excess_kg=1e300, reason="R" * 1000) for name in names]
    db.execute("update public.hotspots set predicted_co2 = 1e300, baseline_co2 = 1e-300")
    recommendation(db, ids[0], "An_action_in_one_word_" * 20)
    for width in (320, 390, 1000, 1440):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.keyboard.press("n")
        await row_of(page, ids[0]).click(timeout=SOON)
        await expect(page.locator(".advice")).to_be_visible()
        wide = "element => element.scrollWidth > innerWidth"
        assert not await page.evaluate(f"({wide})(document.documentElement)")
        assert not await page.locator("#panel .body").evaluate(
            "box => box.scrollWidth > box.clientWidth"
        )
        await page.keyboard.press("Escape")


CUT = """() => [...document.querySelectorAll("#app *")].filter((box) => {
  const { overflowX, textOverflow, clipPath } = getComputedStyle(box);
  if (overflowX !== "hidden" || clipPath !== "none" || box.scrollWidth <= box.clientWidth + 1)
    return false;
  if (box.clientWidth === 0 || !box.checkVisibility({ visibilityProperty: true })) return false;
  const own = [...box.childNodes].some(({ nodeType, data }) => nodeType === 3 && data.trim());
  if (textOverflow !== "ellipsis" && !own) return false;
  return !(box.closest("[title]")?.title ?? "").includes(box.textContent.trim());
}).map((box) => box.outerHTML)"""


async def test_what_is_cut_is_whole_in_its_title(page: Page, db: Database) -> None:
    names = ("Alpine_Foundry", "Carpathia_Glass_Works", "Northern_Distribution_and_Storage" * 2)
    for name in names:
        for kind in ("factory", "warehouse"):
            rolled_up(db, name, kind, 15_000)
    ids = [
        hotspot(db, name, event_type="warehouse", reason="why " * 40, excess_kg=98_765_432)
        for name in names
    ]
    db.execute(
        "insert into public.silences (entity, starts_at, until, why)"
        " values (%s, now(), now() + interval '9 days', 'why')",
        (names[0],),
    )
    await page.reload()
    await expect(page.locator("#contributors")).to_contain_text(names[0])
    for width in (320, 390, 900, 1100, 1300, 1440):
        await page.set_viewport_size({"width": width, "height": 900})
        for view in ("", "?is=silenced", f"?supplier={names[2]}", f"?episode={ids[2]}"):
            await page.goto(page.url.split("?")[0] + view)
            await relay_is(page, "Live")
            await expect(page.locator(".rows .row").first).to_be_visible()
            assert await page.evaluate(CUT) == [], (width, view)
            hidden = "all => all.filter((one) => one.scrollWidth > one.clientWidth + 1).length"
            assert await page.locator(".tile.window .d").evaluate_all(hidden) == 0, width


async def test_a_scan_is_followed_to_its_end(page: Page, emulator: Emulator, db: Database) -> None:
    result = page.locator("#scan-result")
    await choose(page, "Scan now")
    await expect(result).to_contain_text("Scan 1 is queued")
    assert db.execute("select id, status from public.scans").fetchall() == [(1, "queued")]
    await done(emulator, "scan")
    await expect(result).to_have_text("Scan 1 is done: 0 events")


async def test_a_database_without_events_says_how_they_come_in(
    page: Page, emulator: Emulator
) -> None:
    async with worker(emulator, "run"):
        await expect(page.locator(".nothing")).to_contain_text("No events yet", timeout=LATER)
        await expect(page.locator(".nothing")).to_contain_text("worker ingest events.csv")


async def test_what_is_held_back_can_be_read(page: Page, db: Database) -> None:
    held_back(db, "Odd_Meter", "1 km with 40 l of fuel")
    await page.reload()
    await expect(page.locator(".pair button", has_text="Quarantine")).to_contain_text("1")
    await page.locator(".pair button", has_text="Quarantine").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Odd_Meter")
    await expect(page.get_by_role("dialog")).to_contain_text("1 km with 40 l of fuel")
    await expect(page.get_by_role("dialog")).to_contain_text("hotspot-worker quarantine --help")


async def test_a_page_that_asks_for_what_does_not_exist_learns_it_at_once(page: Page) -> None:
    said = await page.evaluate(
        """async () => {
          const { RelayClient } = await import("/web/client.js");
          try { new RelayClient({ filters: { alrets: { severity: "warn" } } }); return ""; }
          catch (error) { return error.message; }
        }"""
    )
    assert "alrets" in said


async def test_no_other_page_can_frame_this_one(page: Page, address: str) -> None:
    response = await page.request.get(address)
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
