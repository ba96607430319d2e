"""Writes the made-up events into Supabase, as a role that may insert events and nothing else.

The events begin in the past. The quiet days are written at once; then event time runs faster than
the clock on the wall until it has caught up with it, and as fast from then on. How far it came is
in a file, so that a feed that is started again goes on from there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import tenacity
from postgrest.exceptions import APIError
from postgrest.types import ReturnMethod
from supabase import AsyncClient, AsyncClientOptions

from demo.generator import QUIET_DAYS, Event, Line, MadeUp, Problem, day, lines, problem_of

logger = logging.getLogger(__name__)

BATCH = 500
TICK_SECONDS = 0.25
ALREADY_THERE = "23505"


@dataclass
class Course:
    """Which events are written, and how far: `sent` events of the day `day` after `start`."""

    seed: int
    suppliers: int
    start: str
    day: int = 0
    sent: int = 0

    @property
    def begin(self) -> datetime:
        return datetime.fromisoformat(self.start)

    def save(self, path: Path) -> None:
        """Keep it; a reader finds the old file or the new one."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)))
        new.replace(path)

    @classmethod
    def continued(cls, path: Path, seed: int, suppliers: int, history: int) -> Course:
        """Go on with the course of the file, or begin one `history` days ago."""
        try:
            found = cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            return cls(seed, suppliers, (today - timedelta(days=history)).isoformat())
        if (found.seed, found.suppliers) != (seed, suppliers):
            logger.warning(
                "this data has seed %d and %d suppliers, and goes on with them; delete its folder "
                "to start afresh",
                found.seed,
                found.suppliers,
            )
        return found


class EventClock:
    """Event time: `days_per_minute` from `begin` until it has caught up with the wall clock."""

    def __init__(
        self,
        begin: datetime,
        days_per_minute: float,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begin = begin
        self._pace = timedelta(days=days_per_minute) / 60
        self._wall = wall
        self._monotonic = monotonic
        self._started = monotonic()

    def now(self) -> datetime:
        """Give the event time, never later than the time."""
        elapsed = self._monotonic() - self._started
        return min(self._begin + elapsed * self._pace, self._wall())


async def feed(url: str, key: str, token: str, course: Course, path: Path, speed: float) -> None:
    """Write events until cancelled, `speed` days a minute, and keep the course in the file.

    An insert that finds Supabase away is tried again until it is back; a refused one raises
    APIError.
    """
    client = AsyncClient(
        url, key, options=AsyncClientOptions(headers={"Authorization": f"Bearer {token}"})
    )
    suppliers = lines(course.suppliers)

    async def write(made: Sequence[MadeUp]) -> None:
        for place in range(0, len(made), BATCH):
            batch = made[place : place + BATCH]
            numbers = range(course.sent, course.sent + len(batch))
            name = f"demo-{course.seed}-{course.start[:10]}-{course.day}"
            await insert(
                client,
                [row(event, f"{name}-{n}") for n, event in zip(numbers, batch, strict=True)],
            )
            course.sent += len(batch)
            await asyncio.to_thread(course.save, path)

    logger.info(
        "seed %d: %d suppliers from %s on, %d quiet days at once, then %g days a minute",
        course.seed,
        len(suppliers),
        course.start[:10],
        QUIET_DAYS,
        speed,
    )
    clock: EventClock | None = None
    problems: list[Problem] = []
    while True:
        made = day(course.seed, course.begin, course.day, suppliers)
        if course.day >= QUIET_DAYS:
            begin = course.begin + timedelta(days=course.day)
            clock = clock or EventClock(begin, speed)
            problems = _tell(course, suppliers, problems)
            while course.sent < len(made):
                now = clock.now()
                due = [each for each in made[course.sent :] if each.moment <= now]
                await write(due)
                await asyncio.sleep(TICK_SECONDS)
        else:
            await write(made[course.sent :])
        course.day, course.sent = course.day + 1, 0


def _tell(course: Course, suppliers: Sequence[Line], former: Sequence[Problem]) -> list[Problem]:
    """Give the problems of this day, and say in the terminal which are not those of the former."""
    found = [problem_of(line.supplier_id, course.day) for line in suppliers]
    present = [problem for problem in found if problem is not None]
    for problem in present:
        if problem not in former:
            logger.info(
                "%s %s: %s for %d days (%s)",
                (course.begin + timedelta(days=course.day)).date(),
                problem.supplier_id,
                problem.kind.replace("_", " "),
                problem.days,
                problem.series,
            )
    return present


def row(made: MadeUp, source_key: str) -> Event:
    return {"source_key": source_key, "timestamp": made.moment.isoformat(), **made.event}


def away(error: BaseException) -> bool:
    """Whether Supabase could not be reached or could not serve, so that trying again may help."""
    if isinstance(error, APIError):
        return str(error.code).startswith(("5", "PGRST0", "57P", "53"))
    return isinstance(error, httpx.TransportError)


async def insert(client: AsyncClient, rows: Sequence[Event]) -> None:
    """Insert rows, those that are there already excepted.

    After a crash the last rows may be there without their place in the course being kept. This
    role cannot read, so they are found by inserting one by one.
    """
    try:
        await _insert(client, rows)
    except APIError as exc:
        if exc.code != ALREADY_THERE:
            raise
        if len(rows) > 1:
            for each in rows:
                await insert(client, [each])


@tenacity.retry(
    retry=tenacity.retry_if_exception(away),
    wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
    before_sleep=tenacity.before_sleep_log(logger, logging.WARNING),
)
async def _insert(client: AsyncClient, rows: Sequence[Event]) -> None:
    if rows:
        # The columns differ from kind to kind of event: the missing ones get their defaults.
        table = client.table("events_normalized")
        given: Any = list(rows)
        await table.insert(given, returning=ReturnMethod.minimal, default_to_null=False).execute()
