"""Who may see the page's streams: signing in, renewing, and what is said when something is away."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from playwright.async_api import Page, WebSocket, expect

from emulator.auth import service
from emulator.running import Emulator
from tests.browser.conftest import Relaying, User
from tests.browser.pages import (
    SOON,
    Database,
    choose,
    hotspot,
    recommendation,
    relay_is,
    row_of,
    sign_in,
    use_token,
    worker,
)
from tests.browser.waiting import Changes
from tests.relay.access.admission import USER, token_of

SOCKETS = 2  # hotspots and recommendations
PATIENT = {"RELAY_AUTH_SECONDS": "3600"}  # the form does not come by the relay's close


class Traffic:
    """The WebSockets that a page opens, and the tokens that it sends on each."""

    def __init__(self, page: Page) -> None:
        self.shown: list[list[str]] = []
        self.received: Counter[str] = Counter()
        self.changes = Changes()
        page.on("websocket", self._opened)

    def _opened(self, socket: WebSocket) -> None:
        shown: list[str] = []
        self.shown.append(shown)

        def sent(frame: str | bytes) -> None:
            message = json.loads(frame)
            if message["type"] == "auth":
                shown.append(message["token"])
                self.changes.happened()

        socket.on("framesent", sent)
        socket.on("framereceived", lambda frame: self.received.update([json.loads(frame)["type"]]))


async def until_shown(traffic: Traffic, least: int) -> None:
    """Waits until both sockets have sent so many tokens each."""

    def shown_by_both() -> bool:
        return sum(len(shown) >= least for shown in traffic.shown) >= SOCKETS

    await traffic.changes.until(shown_by_both, 2 * SOON / 1000)


async def test_who_is_not_signed_in_is_asked_at_once_and_signs_in_by_password(
    tab: Page, relaying: Relaying, user: User, db: Database
) -> None:
    hotspot(db, "Northwind_Freight")
    async with relaying(**PATIENT) as address:
        await tab.goto(address)
        await relay_is(tab, "Not signed in")
        await sign_in(tab, user.email, "a wrong one")
        error = tab.locator("#sign-in .error")
        await expect(error).to_contain_text("Check both")
        await sign_in(tab, user.email, user.password)
        await relay_is(tab, "Live")
        await expect(tab.locator("#sign-in")).to_have_count(0)
        await expect(tab.locator(".rows .row")).to_contain_text("Northwind_Freight")
        await tab.reload()
        await relay_is(tab, "Live")
        await choose(tab, "Sign out")
        await expect(tab.get_by_label("E-mail")).to_be_visible()
        assert await tab.evaluate("localStorage.length + sessionStorage.length") == 0


async def test_nothing_of_a_user_is_left_on_the_page_after_signing_out(
    tab: Page, relaying: Relaying, user: User, db: Database
) -> None:
    hot = hotspot(db, "Own_Fleet")
    recommendation(db, hot, "Drive slower")
    async with relaying(**PATIENT) as address:
        await tab.goto(address)
        for _ in range(2):  # the rows come back with the next user
            await sign_in(tab, user.email, user.password)
            await row_of(tab, hot).click(timeout=SOON)
            await expect(tab.locator(".advice")).to_be_visible()
            await choose(tab, "Scan now")
            await expect(tab.locator("#scan-result")).to_contain_text("Scan")
            await choose(tab, "Sign out")
            await relay_is(tab, "Not signed in")
            await expect(tab.get_by_text("Own_Fleet")).to_have_count(0)
            await expect(tab.locator("#scan-result")).to_be_empty()
            await expect(tab).to_have_title("Hotspot Relay")


async def test_nothing_of_a_user_is_left_on_the_page_after_being_cut_off(
    tab: Page, relaying: Relaying, emulator: Emulator, db: Database
) -> None:
    hot = hotspot(db, "Own_Fleet")
    async with signed_in(tab, relaying, token_of(emulator)) as address:
        await expect(row_of(tab, hot)).to_be_visible()
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as client:
            headers = {"Authorization": f"Bearer {emulator.keys.secret}"}
            await client.post("admin/disconnect", json={"user": USER}, headers=headers)
        await expect(tab.locator("#sign-in")).to_be_visible()
        await expect(tab.get_by_text("Own_Fleet")).to_have_count(0)
        await use_token(tab, token_of(emulator))
        await expect(row_of(tab, hot)).to_be_visible()


async def test_nobody_can_ask_for_a_scan_before_signing_in(tab: Page, relaying: Relaying) -> None:
    async with relaying(**PATIENT) as address:
        await tab.goto(address)
        await relay_is(tab, "Not signed in")
        await tab.locator("#account summary").click()
        await expect(tab.get_by_role("button", name="Scan now")).to_be_disabled()


async def test_a_long_refusal_does_not_squeeze_the_header(page: Page) -> None:
    detail = json.dumps({"detail": "the database does not answer and " * 20})
    await page.route("**/hotspots/scan", lambda route: route.fulfill(status=503, body=detail))
    before = await page.locator(".brand").bounding_box()
    await choose(page, "Scan now")
    await expect(page.locator("#scan-result")).to_contain_text("does not answer")
    assert await page.locator(".brand").bounding_box() == before
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_a_worker_that_is_killed_stops_looking_well_and_looks_well_once_it_is_back(
    tab: Page, relaying: Relaying, emulator: Emulator, db: Database
) -> None:
    told = tab.locator("#worker")
    async with signed_in(tab, relaying, token_of(emulator)):
        async with worker(emulator, "run") as process:
            await expect(told).to_have_class(re.compile("good"))
            process.kill()
            await process.wait()
            # Its beats are made as old as they are after so long: nothing else tells the time.
            silence = "update public.worker_heartbeats set seen_at = seen_at - %s * interval '1 s'"
            db.execute(silence, (36,))
            await expect(told).to_contain_text("Worker silent", timeout=3 * SOON)
            db.execute(
                "insert into public.events_normalized (event_type, supplier_id, timestamp)"
                " values ('factory', 'A', now()), ('factory', 'B', now())"
            )
            await expect(told).to_contain_text("queue 2")
            db.execute(silence, (25,))
            await expect(told).to_have_class(re.compile("bad"), timeout=3 * SOON)
            await expect(tab.locator(".top")).to_have_class(re.compile("alarm"))
            await relay_is(tab, "Live")
        async with worker(emulator, "run"):
            await expect(told).to_have_class(re.compile("good"), timeout=3 * SOON)
            await expect(tab.locator(".top")).not_to_have_class(re.compile("alarm"))


async def test_a_wrong_token_is_refused_with_the_reason_and_a_good_one_is_taken(
    tab: Page, relaying: Relaying, emulator: Emulator
) -> None:
    traffic = Traffic(tab)
    wrong = token_of(emulator, iss="https://elsewhere.example/auth/v1")
    async with relaying(**PATIENT) as address:
        await tab.goto(address)
        await use_token(tab, wrong)
        error = tab.locator("#sign-in .error")
        await expect(error).to_contain_text("the token is of another issuer")
        await relay_is(tab, "Refused: the token is of another issuer")
        await tab.get_by_label("Access token").fill(token_of(emulator))
        await tab.get_by_role("button", name="Use it", exact=True).click()
        await relay_is(tab, "Live")
    assert Counter(token == wrong for shown in traffic.shown for token in shown) == {
        True: SOCKETS,
        False: SOCKETS,
    }


@asynccontextmanager
async def signed_in(
    tab: Page, relaying: Relaying, token: str, **variables: str
) -> AsyncIterator[str]:
    async with relaying(**variables) as address:
        await tab.goto(address)
        await use_token(tab, token)
        yield address


async def test_every_button_works_for_who_signed_in_by_token(
    tab: Page, relaying: Relaying, emulator: Emulator, db: Database
) -> None:
    hots = {
        button: hotspot(db, f"Supplier of {button}", excess_kg=100 - number)
        for number, button in enumerate(
            (
                "Acknowledge",
                "Resolve",
                "Ignore until it is over",
                "Accept as the new normal",
                "This is not normal",
            )
        )
    }
    wanted = recommendation(db, hots["Acknowledge"], "Drive slower")
    async with signed_in(tab, relaying, token_of(emulator)):
        panel = tab.locator("#panel")
        await row_of(tab, hots["Acknowledge"]).click(timeout=SOON)
        await panel.locator(f"[data-id='{wanted}']").get_by_role("button", name="Approve").click()
        for button, hot in hots.items():
            await row_of(tab, hot).click()
            await expect(panel).to_have_attribute("data-id", str(hot))
            if button not in ("Acknowledge", "Resolve"):
                await panel.get_by_text("More", exact=True).click()
            await panel.get_by_role("button", name=button).click()
            toast = tab.locator(".toast")
            await expect(toast).to_contain_text(f"Supplier of {button}")
            await expect(toast.get_by_role("button", name="Undo")).to_be_visible()
        await choose(tab, "Scan now")
        await expect(tab.locator("#scan-result")).to_contain_text("is queued")
    rows = db.execute("select status, resolution, held from public.hotspots order by id").fetchall()
    assert rows == [
        ("active", None, False),
        ("resolved", None, False),
        ("ignored", None, False),
        ("resolved", "new_normal", False),
        ("active", None, True),
    ]
    decided = db.execute("select distinct user_id from public.audit_log").fetchall()
    assert len(decided) == 1  # all under the user's own token


async def test_a_session_is_renewed_on_the_open_connections(
    tab: Page,
    relaying: Relaying,
    user: User,
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its tokens last a little longer than the relay's warning, which comes for each."""
    monkeypatch.setattr(service, "SECONDS", 34)
    traffic = Traffic(tab)
    async with relaying() as address:
        await tab.goto(address)
        await sign_in(tab, user.email, user.password)
        await until_shown(traffic, 3)
        await relay_is(tab, "Live")
    sockets = [shown for shown in traffic.shown if shown]
    assert len(sockets) == SOCKETS
    for shown in sockets:
        assert len(set(shown)) == len(shown), "a token was sent twice on one connection"
    # One warning for each token but those of which there was no time to warn yet.
    assert traffic.received["token_expiring"] <= traffic.received["authenticated"] + SOCKETS


async def test_a_token_in_its_last_seconds_is_shown_once_and_makes_no_storm(
    tab: Page, relaying: Relaying, emulator: Emulator
) -> None:
    traffic = Traffic(tab)
    async with relaying(**PATIENT) as address:
        await tab.goto(address)
        await relay_is(tab, "Not signed in")
        token = token_of(emulator, exp=int(time.time()) + 25)
        await use_token(tab, token)
        await relay_is(tab, "Live")
        await expect(tab.locator("#sign-in")).to_be_visible(timeout=2 * SOON)
        await expect(tab.locator("#relay")).to_contain_text("Relay lost")
        await tab.wait_for_timeout(3_000)  # in which the former client opened dozens
    assert [shown for shown in traffic.shown if shown] == [[token]] * SOCKETS
    assert len(traffic.shown) == 2 * SOCKETS  # without a token, and with it
    assert traffic.received["token_expiring"] == SOCKETS


async def test_an_empty_list_is_good_news_only_with_a_worker(
    tab: Page, relaying: Relaying, emulator: Emulator, db: Database
) -> None:
    empty, worker = tab.locator(".nothing"), tab.locator("#worker")
    async with signed_in(tab, relaying, token_of(emulator)) as address:
        await relay_is(tab, "Live")
        await expect(worker).to_contain_text("No worker")
        await expect(empty).to_contain_text("No worker is running")
        await choose(tab, "Scan now")
        scan = tab.locator("#scan-result")
        await expect(scan).to_contain_text("but no worker is running")
        holder = "00000000-0000-4000-8000-000000000001"
        db.execute("select public.worker_heartbeat(%s, 0)", (holder,))
        db.execute("update public.worker_heartbeats set last_scan_at = now(), pending = 0")
        await expect(empty).to_contain_text("No events yet", timeout=2 * SOON)
        await expect(worker).to_have_class(re.compile("good"))
        db.execute("update public.worker_heartbeats set seen_at = now() - interval '17 minutes'")
        await tab.goto(address)
        await expect(worker).to_contain_text("for 17 min", timeout=2 * SOON)
        await expect(empty).to_contain_text("The worker is silent")


async def test_an_upstream_that_is_down_is_said_on_the_open_page_and_on_a_new_one(
    tab: Page, relaying: Relaying, emulator: Emulator
) -> None:
    async with signed_in(tab, relaying, token_of(emulator)):
        await relay_is(tab, "Live")
        with emulator.faults.during("rest-error"), emulator.faults.during("refuse"):
            emulator.faults.start("reset", count=1)
            await relay_is(tab, "Relay cut off")
            await tab.reload()
            await relay_is(tab, "Relay cut off")
        await relay_is(tab, "Live")


# Resolves once two texts, one after the other, are a second apart.
COUNTED_DOWN = """() => new Promise((resolve) => {
  let before = null;
  const look = () => {
    const text = document.querySelector("#relay b")?.textContent ?? "";
    const left = Number(/^Relay lost, again in (\\d+)/.exec(text)?.[1] ?? NaN);
    if (left === before - 1) resolve(true);
    if (!Number.isNaN(left)) before = left;
  };
  const all = { subtree: true, childList: true, characterData: true };
  new MutationObserver(look).observe(document.body, all);
})"""


async def test_the_time_until_the_next_attempt_counts_down(
    tab: Page, relaying: Relaying, emulator: Emulator
) -> None:
    async with signed_in(tab, relaying, token_of(emulator)):
        await relay_is(tab, "Live")
    async with asyncio.timeout(120):
        assert await tab.evaluate(COUNTED_DOWN)


async def test_a_page_of_a_relay_without_access_control_asks_nobody(
    tab: Page, relaying: Relaying, emulator: Emulator, db: Database
) -> None:
    hot = hotspot(db, "Own_Fleet")
    local = token_of(emulator)
    async with relaying(RELAY_AUTH="off", RELAY_LOCAL_TOKEN=local) as address:
        await tab.goto(address)
        # What another relay left at the same address is not shown to this one.
        left = json.dumps({"access_token": "of another relay"})
        await tab.evaluate("(left) => localStorage.setItem('relay.session', left)", left)
        await tab.reload()
        await relay_is(tab, "Live")
        await expect(tab.locator("#sign-in")).to_have_count(0)
        await row_of(tab, hot).click(timeout=SOON)
        await tab.locator("#panel").get_by_role("button", name="Acknowledge").click()
        await expect(row_of(tab, hot)).to_contain_text("acknowledged")


async def empty_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Another server of this machine, which answers everything with a page without content."""
    await reader.readuntil(b"\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
    writer.write(head + b"<!doctype html><link rel=icon href=data:,>")
    writer.close()


async def test_a_page_of_an_allowed_origin_imports_the_client_from_the_relay(
    tab: Page, relaying: Relaying, emulator: Emulator, db: Database
) -> None:
    hotspot(db, "Acme, Inc.")
    hotspot(db, "Acme")
    async with (
        relaying(RELAY_ALLOWED_ORIGINS="http://localhost:*") as address,
        await asyncio.start_server(empty_page, "127.0.0.1", 0) as elsewhere,
    ):
        port = elsewhere.sockets[0].getsockname()[1]
        await tab.goto(f"http://localhost:{port}/")
        found = await tab.evaluate(
            """async ([url, token]) => {
              const { RelayClient, hasRecord } = await import(`${url}web/client.js`);
              const filters = { hotspots: { entity: ["Acme, Inc."] } };
              const client = new RelayClient({ url, filters, token: async () => token });
              const rows = [];
              const synced = new Promise((resolve) => client.subscribe("hotspots", (frame) => {
                if (frame.type === "synced") resolve();
                else if (hasRecord(frame)) rows.push(frame.record.entity);
              }));
              client.connect();
              await synced;
              client.disconnect();
              return rows;
            }""",
            [address, token_of(emulator)],
        )
    assert found == ["Acme, Inc."]
