"""Debian's Chromium, and relays that run from an installed wheel with access control."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import uuid
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from emulator.running import Emulator
from tests import built
from tests.browser.pages import SOON, Database, relay_is, sign_in

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECONDS = 60.0
expect.set_options(timeout=SOON)


@dataclass(frozen=True)
class Relay:
    """A relay in a process of its own."""

    url: str
    process: Process


Relaying = Callable[..., AbstractAsyncContextManager[str]]
Starting = Callable[..., AbstractAsyncContextManager[Relay]]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs, and nothing else of the project."""
    directory = tmp_path_factory.mktemp("installed")
    wheel = built.wheel(built.source(directory), directory)
    target = directory / "site"
    built.pip("install", "--no-deps", "--target", str(target), str(wheel))
    return target


@dataclass(frozen=True)
class User:
    email: str
    password: str


@pytest.fixture
def user(emulator: Emulator) -> User:
    """Somebody whom the project's administrator has made."""
    found = User(f"{uuid.uuid4().hex}@example.org", uuid.uuid4().hex)
    secret = emulator.keys.secret
    reply = httpx.post(
        f"{emulator.url}/auth/v1/admin/users",
        headers={"apikey": secret, "Authorization": f"Bearer {secret}"},
        json={"email": found.email, "password": found.password, "email_confirm": True},
        trust_env=False,
        timeout=60,
    )
    assert reply.status_code == 200, reply.text
    return found


@pytest.fixture
def db(emulator: Emulator) -> Iterator[Database]:
    with psycopg.connect(emulator.dsn(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def relaying(starting: Starting) -> Relaying:
    """Starts the installed relay, as it is shipped but for what is said, and gives its address."""

    @asynccontextmanager
    async def start(**variables: str) -> AsyncIterator[str]:
        async with starting(**variables) as relay:
            yield relay.url

    return start


@pytest.fixture
def starting(emulator: Emulator, installed: Path, tmp_path: Path) -> Starting:
    """As `relaying`, for who wants to end its process too."""

    @asynccontextmanager
    async def start(**variables: str) -> AsyncIterator[Relay]:
        log = tmp_path / f"relay-{uuid.uuid4().hex}.log"
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(installed),
            "SUPABASE_URL": emulator.url,
            "SUPABASE_SECRET_KEY": emulator.keys.secret,
            "SUPABASE_PUBLISHABLE_KEY": emulator.keys.publishable,
            "PORT": "0",
        }
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "relay", env=env | variables, stderr=output, cwd=tmp_path
            )
        try:
            async with asyncio.timeout(SECONDS):
                while "listening on " not in (said := log.read_text()):
                    assert process.returncode is None, said
                    await asyncio.sleep(0.05)
                address = said.split("listening on ")[1].split()[0] + "/"
                async with httpx.AsyncClient(
                    base_url=address, trust_env=False, timeout=60
                ) as client:
                    while (await _status(client)) != 200:  # noqa: ASYNC110 over HTTP
                        await asyncio.sleep(0.1)
            yield Relay(address, process)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    return start


async def _status(client: httpx.AsyncClient) -> int:
    try:
        return (await client.get("readyz")).status_code
    except httpx.TransportError:
        return 0


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def address(relaying: Relaying) -> AsyncIterator[str]:
    async with relaying() as address:
        yield address


@pytest.fixture
async def tab(browser: Browser) -> AsyncIterator[Page]:
    """An empty tab. What the browser complains about fails the test, but for requests."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        requests = ("Failed to load resource", "WebSocket connection to")
        if message.type in ("warning", "error") and not message.text.startswith(requests):
            complaints.append(message.text)

    context = await browser.new_context()
    tab = await context.new_page()
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", note)
    yield tab
    await context.close()
    assert complaints == []


@pytest.fixture
async def page(tab: Page, address: str, user: User) -> Page:
    """The page, signed in and connected."""
    await tab.goto(address)
    await sign_in(tab, user.email, user.password)
    await relay_is(tab, "Live")
    return tab
