"""Ten tabs of a frontend in a real browser, while everything between them and the rows fails."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from emulator.running import Emulator
from tests.browser.conftest import Relay, Starting
from tests.browser.frontend import Tokens, frontend
from tests.browser.network import Network, network
from tests.browser.waiting import Changes
from tests.browser.writing import CHANNELS, Writer, writer_to

TABS = 10
PATHS = tuple(f"/ws/{channel}" for channel in CHANNELS)
DEADLINE = 150.0
TOKEN_SECONDS = 36  # the relay warns of the end of each after six


@dataclass(frozen=True)
class Plan:
    """How long each trouble lasts, in seconds, and options of the client."""

    down: float
    offline: float
    lost: float
    rounds: int
    options: dict[str, float]


SHORT = Plan(down=2, offline=6, lost=4, rounds=1, options={"pingSeconds": 3, "replySeconds": 3})
LONG = Plan(down=10, offline=40, lost=40, rounds=2, options={})

at_length = pytest.mark.skipif(
    not os.environ.get("TABS_AT_LENGTH"), reason="takes some ten minutes: make tabs"
)


class Tabs:
    """The tabs of one browser, and who of them has the sockets."""

    def __init__(self, context: BrowserContext, between: Network) -> None:
        self._context = context
        self._network = between
        self._sockets: dict[Page, int] = {}
        self._changes = Changes()
        self.all: list[Page] = []

    async def open(self, url: str) -> None:
        """One more tab."""
        page = await self._context.new_page()
        self._sockets[page] = 0
        page.on("websocket", lambda socket: self._opened(page, socket))
        self.all.append(page)
        await page.goto(url)

    def _opened(self, page: Page, socket: Any) -> None:
        self._sockets[page] += 1
        self._changes.happened()

        def closed(_: object) -> None:
            self._sockets[page] -= 1
            self._changes.happened()

        socket.on("close", closed)

    def leader(self) -> Page:
        """The tab with most sockets."""
        return max(self.all, key=lambda page: self._sockets[page])

    async def until_others_lead(self, page: Page) -> None:
        """Waits until there is a socket for each endpoint in the tabs but this one."""

        def lead() -> bool:
            others = (count for other, count in self._sockets.items() if other is not page)
            return sum(others) >= len(PATHS)

        await self._changes.until(lead, DEADLINE)

    def sockets(self) -> list[int]:
        """How many reach the relay, by endpoint."""
        return [self._network.open_to(path) for path in PATHS]

    async def until_equal(self, writer: Writer, phase: str) -> None:
        """Waits until each tab holds what the database holds, over one socket for each endpoint."""
        wanted = writer.holding()
        different = list(range(len(self.all)))
        try:
            async with asyncio.timeout(DEADLINE):
                while different:
                    await asyncio.gather(
                        *(
                            page.evaluate("(wanted) => untilHeld(wanted)", wanted)
                            for page in self.all
                        )
                    )
                    await self._network.changes.until(lambda: self.sockets() == [1, 1, 1], DEADLINE)
                    different = await self._different(wanted)  # once more, with these sockets
        except TimeoutError:
            states = [await page.evaluate("client.status") for page in self.all]
            pytest.fail(
                f"after {phase}: tabs {await self._different(wanted)} hold other rows;"
                f" sockets {self.sockets()}; {states}"
            )
        for page in self.all:
            assert await page.evaluate("twice") == [], phase

    async def _different(self, wanted: list[list[list[int]]]) -> list[int]:
        held = await asyncio.gather(*(page.evaluate("holds()") for page in self.all))
        return [n for n, holding in enumerate(held) if holding != wanted]


@pytest.mark.timeout(1_500)
@pytest.mark.parametrize(
    "plan", [SHORT, pytest.param(LONG, marks=at_length)], ids=["short", "long"]
)
async def test_ten_tabs_lose_nothing_and_are_told_nothing_twice_over_one_socket_for_each_endpoint(
    browser: Browser, starting: Starting, emulator: Emulator, plan: Plan
) -> None:
    tokens = Tokens(emulator, TOKEN_SECONDS, flawless=False)
    async with AsyncExitStack() as stack:
        page = stack.enter_context(frontend(tokens))
        writer = stack.enter_context(writer_to(emulator))
        between = await stack.enter_async_context(network())
        context = await browser.new_context()
        stack.push_async_callback(context.close)
        for _ in range(50):
            writer.step()

        async def relay() -> Relay:
            return await stack.enter_async_context(starting(RELAY_ALLOWED_ORIGINS=page.url))

        first, second = await relay(), await relay()
        between.lead_to(first.url)
        tabs = Tabs(context, between)
        async with writer.writing():
            for _ in range(TABS):
                await tabs.open(page.address(between.url, **plan.options))
        await tabs.until_equal(writer, "opening")
        assert [between.most_open[path] for path in PATHS] == [1, 1, 1]

        for _ in range(plan.rounds):
            async with writer.writing():
                first.process.kill()
                await asyncio.sleep(plan.down)
                between.lead_to(second.url)
            await tabs.until_equal(writer, "kill -9 of a relay")
            async with writer.writing():
                second.process.kill()
                first = await relay()
                between.lead_to(first.url)
            await tabs.until_equal(writer, "kill -9 of the other relay")
            second = await relay()

            async with writer.writing():
                frozen = tabs.leader()
                freezing = asyncio.create_task(frozen.evaluate("freeze()"))
                await tabs.until_others_lead(frozen)
                page.thaw()
                await freezing
            await tabs.until_equal(writer, "a frozen leader")

            async with writer.writing():
                await context.set_offline(True)
                between.cut()
                await asyncio.sleep(plan.offline)
                between.lead_to(first.url)
                await context.set_offline(False)
            await tabs.until_equal(writer, "being offline")

            async with writer.writing():
                between.swallow()
                await asyncio.sleep(plan.lost)
                between.pass_on()
            await tabs.until_equal(writer, "a black hole")

            async with writer.writing():
                leader = tabs.leader()
                await leader.close()
                tabs.all.remove(leader)
                await tabs.open(page.address(between.url, **plan.options))
            await tabs.until_equal(writer, "closing the leading tab")
        assert writer.written > 200
        assert tokens.given > 2 * TABS
