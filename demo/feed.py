"""Writes the made-up events into Supabase, as a role that may insert events and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from datetime import UTC, datetime

import httpx
import tenacity
from postgrest.exceptions import APIError
from supabase import AsyncClient, AsyncClientOptions

from demo.generator import LINES, WARM_UP_EVENTS, Event, events

logger = logging.getLogger(__name__)

REPORT_SECONDS = 30
ALREADY_THERE = "23505"


async def feed(url: str, key: str, token: str, *, seed: int, per_second: float) -> None:
    """Insert events at `per_second`, the warm-up at once, until cancelled.

    An insert that finds Supabase away is tried again until it is back; a refused one raises
    APIError.
    """
    client = AsyncClient(
        url, key, options=AsyncClientOptions(headers={"Authorization": f"Bearer {token}"})
    )
    source = events(seed)
    run = uuid.uuid4().hex
    numbers = itertools.count()

    def take(count: int) -> list[Event]:
        now = datetime.now(UTC).isoformat()
        return [
            {"timestamp": now, "source_key": f"demo-{run}-{next(numbers)}", **event}
            for event in itertools.islice(source, count)
        ]

    warm_up = WARM_UP_EVENTS * len(LINES)
    logger.info(
        "seed %d: %d quiet events at once, then %g per second from %d sites",
        seed,
        warm_up,
        per_second,
        len(LINES),
    )
    await insert(client, take(warm_up))
    # One request per event could not keep a high pace.
    batch = max(1, round(per_second / 10))
    loop = asyncio.get_running_loop()
    reported = due = loop.time()
    sent = 0
    while True:
        # Time that Supabase was away is not made up for by a flood.
        due = max(due + batch / per_second, loop.time() - 1)
        await asyncio.sleep(max(0.0, due - loop.time()))
        await insert(client, take(batch))
        sent += batch
        if (elapsed := loop.time() - reported) >= REPORT_SECONDS:
            logger.info("%.1f events per second", sent / elapsed)
            reported, sent = loop.time(), 0


def away(error: BaseException) -> bool:
    """Whether Supabase could not be reached or could not serve, so that trying again may help."""
    if isinstance(error, APIError):
        return str(error.code).startswith(("5", "PGRST0", "57P", "53"))
    return isinstance(error, httpx.TransportError)


@tenacity.retry(
    retry=tenacity.retry_if_exception(away),
    wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
    before_sleep=tenacity.before_sleep_log(logger, logging.WARNING),
)
async def insert(client: AsyncClient, rows: list[Event]) -> None:
    """Insert `rows`; those that an unanswered try has written already are not written again."""
    try:
        # The columns differ from kind to kind of event: the missing ones get their defaults.
        table = client.table("events_normalized")
        await table.insert(rows, returning="minimal", default_to_null=False).execute()  # type: ignore[arg-type]
    except APIError as error:
        if error.code != ALREADY_THERE:
            raise
