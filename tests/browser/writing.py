"""Changes to the three tables, without end, and what every frontend has to hold after them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg

from emulator.running import Emulator

CHANNELS = ("hotspots", "alerts", "recommendations")
MOST_ADDED = 900  # fewer than what a client that is reset is told
PAUSE_SECONDS = 0.04

ADD = {
    "hotspots": "insert into hotspots (entity, entity_type, event_type, predicted_co2,"
    " baseline_co2, percent_above, severity)"
    " values (gen_random_uuid()::text, 'supplier', 'logistics', 93.6, 60, 56, 'critical')"
    " returning id",
    "alerts": "insert into alerts (hotspot_id, level, message)"
    " select min(id), 'warn', 'text' from hotspots returning id",
    "recommendations": "insert into recommendations (hotspot_id, action, co2_reduction)"
    " select min(id), 'drive slower', 2.5 from hotspots returning id",
}
CHANGE = {
    "hotspots": "update hotspots set percent_above = percent_above + 1 where id = %s",
    "alerts": "update alerts set message = message || '.' where id = %s",
    "recommendations": "update recommendations set action = action || '.' where id = %s",
}
DELETE = {
    "alerts": "delete from alerts where id = %s",
    "recommendations": "delete from recommendations where id = %s",
}
PUT_BACK = (
    "insert into alerts (id, hotspot_id, level, message) overriding system value"
    " select %s, min(id), 'warn', 'put back' from hotspots"
)
VERSIONS = {
    "hotspots": "select id, version from hotspots order by id",
    "alerts": "select id, version from alerts order by id",
    "recommendations": "select id, version from recommendations order by id",
}


class Writer:
    """Adds, changes and deletes rows, and puts some back under their ids."""

    def __init__(self, connection: psycopg.Connection[tuple[int, ...]]) -> None:
        self.written = 0
        self._connection = connection
        self._random = random.Random(18)
        self._rows: dict[str, list[int]] = {table: [] for table in CHANNELS}
        self._deleted: list[int] = []
        self._add("hotspots")

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Goes on as long as the block lasts."""
        task = asyncio.create_task(self._write())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _write(self) -> None:
        while True:
            self.step()
            await asyncio.sleep(PAUSE_SECONDS)

    def step(self) -> None:
        """One change."""
        self.written += 1
        table = self._random.choice(CHANNELS)
        rows = self._rows[table]
        chance = self._random.random()
        if not rows or (chance < 0.3 and len(rows) < MOST_ADDED / 3):
            self._add(table)
        elif chance < 0.8 or table == "hotspots":
            self._run(CHANGE[table], self._random.choice(rows))
        elif chance < 0.9:
            id = rows.pop(self._random.randrange(len(rows)))
            self._run(DELETE[table], id)
            if table == "alerts":
                self._deleted.append(id)
        elif self._deleted:
            id = self._deleted.pop()
            self._run(PUT_BACK, id)
            self._rows["alerts"].append(id)

    def _add(self, table: str) -> None:
        self._rows[table].extend(self._run(ADD[table]))

    def _run(self, statement: str, *values: int) -> list[int]:
        cursor = self._connection.execute(statement.encode(), values)
        return [row[0] for row in cursor.fetchall()] if cursor.description else []

    def holding(self) -> list[list[list[int]]]:
        """Id and version of each row, by table."""
        return [
            [list(row) for row in self._connection.execute(VERSIONS[table].encode()).fetchall()]
            for table in CHANNELS
        ]


@contextmanager
def writer_to(emulator: Emulator) -> Iterator[Writer]:
    """Writes as the owner of the tables."""
    with psycopg.connect(emulator.dsn("postgres"), autocommit=True) as connection:
        yield Writer(connection)
