"""How fluent the dashboard is in Chromium: `python -m bench.page`.

The embedded Supabase, a relay with default settings and the page, signed in. First the page with
600 open hotspots, idle and then with 200 changes/s, of which every tenth is a new hotspot; then a
fresh page with 10,000 open ones, and the same from a relay that compresses nothing. Frames are
counted by requestAnimationFrame, long tasks by the browser's own observer, bytes by a proxy before
the relay. Writes bench/results/page.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
from playwright.async_api import Page, async_playwright, expect

from bench import machine
from bench.emulated import Supabase, supabase
from bench.processes import started
from bench.results import FULL

START_SECONDS = 30.0
RATE = 200  # changes a second
OPEN = 600
MANY = 10_000
STEP_SECONDS = 0.1
PASSWORD = "of-the-benchmark"  # noqa: S105 of a database that lives for some minutes
INSERT = (
    "insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,"
    " percent_above, severity, excess_kg, reason, occurred_at) select 'Supplier ' || n, 'supplier',"
    " (array['logistics', 'factory', 'warehouse', 'delivery'])[1 + n %% 4], 150, 100, 50,"
    " (array['info', 'warn', 'critical'])[1 + n %% 3], n,"
    " 'made up for the benchmark: 50 %% more kg', now() - interval '9 days'"
    " from generate_series(%s::int, %s::int) n"
)
UPDATE = (
    "update public.hotspots set excess_kg = excess_kg + 1, last_seen_at = now() where id in"
    " (select 1 + (random() * %s)::int from generate_series(1, %s))"
)
# Frames and long tasks from now on.
WATCH = """() => {
  const watched = { frames: [], tasks: 0 };
  globalThis.watched = watched;
  let last = performance.now();
  const frame = (now) => {
    watched.frames.push(now - last);
    last = now;
    if (globalThis.watched === watched) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  watched.observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) watched.tasks += entry.duration;
  });
  watched.observer.observe({ type: "longtask" });
}"""
WATCHED = """() => {
  const { frames, tasks, observer } = globalThis.watched;
  observer.disconnect();
  globalThis.watched = null;
  return { frames, tasks };
}"""


ALL_SHOWN = f"{MANY:,} shown, {MANY:,} open"
# Milliseconds from the start of the navigation until there is a row.
FIRST_ROW = """(() => {
  const watching = new MutationObserver(() => {
    if (document.querySelector(".rows .row") === null) return;
    watching.disconnect();
    globalThis.firstRow = performance.now();
  });
  watching.observe(document, { childList: true, subtree: true });
})()"""


class Meter:
    """A TCP proxy that counts what the relay sends to the browser."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.bytes = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, both ways, until either end closes."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def pump(
            source: asyncio.StreamReader, sink: asyncio.StreamWriter, down: bool
        ) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(1 << 16):
                    self.bytes += len(data) if down else 0
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, far_writer, False), pump(far_reader, writer, True))


@asynccontextmanager
async def relayed(backend: Supabase, publishable: str, **variables: str) -> AsyncIterator[int]:
    """A relay that is ready: its port."""
    port = machine.free_port()
    environment = {
        "SUPABASE_URL": backend.url,
        "SUPABASE_SECRET_KEY": backend.key,
        "SUPABASE_PUBLISHABLE_KEY": publishable,
        "PORT": str(port),
        **variables,
    }
    command = [sys.executable, "-m", "relay"]
    async with started("relay", command, core=machine.cores()[0], environment=environment):
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(START_SECONDS):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    reply = await client.get(f"http://127.0.0.1:{port}/readyz")
                    if reply.status_code == 200:
                        break
                await asyncio.sleep(0.1)
        yield port


@asynccontextmanager
async def served(
    backend: Supabase, publishable: str, **variables: str
) -> AsyncIterator[tuple[str, Meter]]:
    """The relay behind a meter: the address of the page, and the meter."""
    async with relayed(backend, publishable, **variables) as port:
        meter = Meter(port)
        async with await asyncio.start_server(meter.serve, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", meter


async def sign_up(backend: Supabase) -> str:
    """A user of the project; the e-mail."""
    email = "bench@example.org"
    async with httpx.AsyncClient(base_url=backend.url, trust_env=False) as client:
        reply = await client.post(
            "/auth/v1/admin/users",
            headers={"apikey": backend.key, "Authorization": f"Bearer {backend.key}"},
            json={"email": email, "password": PASSWORD, "email_confirm": True},
        )
        reply.raise_for_status()
    return email


async def sign_in(page: Page, address: str, email: str) -> None:
    """Sign in by the form, which is no part of what is measured."""
    await page.goto(address)
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.locator("#overview").wait_for()


async def fluency(page: Page, seconds: float) -> dict[str, float]:
    """Frames and long tasks of so many seconds."""
    await page.evaluate(WATCH)
    await asyncio.sleep(seconds)
    seen = await page.evaluate(WATCHED)
    frames = sorted(seen["frames"])
    return {
        "frame_p50_ms": statistics.median(frames),
        "frame_p95_ms": frames[int(0.95 * len(frames))],
        "long_tasks_percent": 100 * seen["tasks"] / (1000 * seconds),
    }


async def heap_mib(page: Page) -> float:
    """Memory of the page's objects after a collection."""
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    usage = await session.send("Runtime.getHeapUsage")
    return float(usage["usedSize"]) / 2**20


async def change(connection: psycopg.AsyncConnection[Any], seconds: float) -> int:
    """Write at the rate for so long; how many rows."""
    began, written, newest = time.monotonic(), 0, MANY * 10
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * RATE) - written
        new = due // 10
        if due:
            await connection.execute(UPDATE, (OPEN - 1, due - new))
            await connection.execute(INSERT, (newest, newest + new - 1))
            newest += new
            written += due
        await asyncio.sleep(STEP_SECONDS)
    return written


async def measure(seconds: float) -> dict[str, Any]:
    """All figures, in the order of the module's docstring."""
    figures: dict[str, Any] = {}
    async with (
        supabase() as backend,
        await psycopg.AsyncConnection.connect(backend.dsn, autocommit=True) as connection,
        served(backend, backend.publishable) as (address, meter),
        async_playwright() as playwright,
    ):
        email = await sign_up(backend)
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"]
        )
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await connection.execute(INSERT, (1, OPEN))
        await sign_in(page, address, email)
        await page.locator(".rows .row").first.wait_for()
        await asyncio.sleep(3)
        before = await heap_mib(page)
        figures["idle"] = await fluency(page, min(10.0, seconds))
        writing = asyncio.create_task(change(connection, seconds))
        figures["changes"] = await fluency(page, seconds)
        figures["changes"]["rows"] = await writing
        figures["heap_mib"] = {"before": before, "after": await heap_mib(page)}

        active = "select count(*) from public.hotspots where status = 'active'"
        cursor = await connection.execute(active)
        row = await cursor.fetchone()
        assert row is not None
        await connection.execute(INSERT, (OPEN + 1, OPEN + MANY - row[0]))
        await asyncio.sleep(3)
        figures["many_read_anew"] = await many(page, meter)  # by the relay, from the database
        figures["many"] = await many(page, meter)
        async with served(backend, backend.publishable, RELAY_COMPRESSION="off") as plain:
            page = await browser.new_page(viewport={"width": 1440, "height": 900})
            await sign_in(page, plain[0], email)
            await expect(page.locator(".count")).to_have_text(ALL_SHOWN, timeout=60_000)
            figures["many_uncompressed"] = await many(page, plain[1])
        await browser.close()
    return figures


async def many(page: Page, meter: Meter) -> dict[str, float]:
    """What loading a page again costs where 10,000 hotspots are open. The browser's own clock tells
    when the first row was drawn."""
    await page.add_init_script(FIRST_ROW)
    start = meter.bytes
    began = time.monotonic()
    await page.reload()
    await expect(page.locator(".count")).to_have_text(ALL_SHOWN, timeout=60_000)
    return {
        "first_rows_s": await page.evaluate("globalThis.firstRow") / 1000,
        "all_rows_s": time.monotonic() - began,
        "nodes": await page.locator("*").count(),
        "mb_on_the_wire": (meter.bytes - start) / 1e6,
    }


def main() -> None:
    """Parse the arguments, measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of changes (60)")
    figures = asyncio.run(measure(parser.parse_args().seconds))
    text = json.dumps(figures, indent=2)
    FULL.with_name("page.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
