"""One transaction of a writer, and how its outcome becomes known."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from chaos import statements
from chaos.frames import FILTERABLE
from chaos.ledger import TABLES, Identity, Ledger, Row, Version
from chaos.subscriptions import ENTITIES

Connection = psycopg.AsyncConnection[Any]
Copies = Sequence[Mapping[str, Any]]

FEW, MANY = 220, 420  # rows of a table: below only more are added, above they are deleted
DELETED_AT_ONCE = 12
# More than the mebibyte from which on postgres_changes leaves the large columns out.
OVERSIZED_CHARACTERS = 1_100_000

MARK: LiteralString = "insert into chaos.markers (id) values (%s) on conflict do nothing"


class Transaction:
    """What one transaction wrote; `number` is that of its marker row."""

    def __init__(self, number: int, ledger: Ledger, chance: random.Random) -> None:
        self.number = number
        self._ledger = ledger
        self._chance = chance
        self._written: dict[Identity, Row | None] = {}

    def versions(self, sent: float, now: float) -> list[Version]:
        """What was `sent` to be committed and is known to be at `now`: the last version of each
        row."""
        return [Version(*key, self._written[key], sent, now) for key in sorted(self._last())]

    def passing(self, *, committed: bool) -> set[Identity]:
        """Table, id and version of what nobody needs to get: what it replaced itself, and all of
        it when it was not committed."""
        return self._written.keys() - (self._last() if committed else set())

    def _last(self) -> set[Identity]:
        newest: dict[tuple[str, int], int] = {}
        for table, row_id, version in self._written:
            newest[table, row_id] = max(version, newest.get((table, row_id), 0))
        return {(*row, version) for row, version in newest.items()}

    async def mark(self, connection: Connection) -> None:
        """Write the row that is there if, and only if, the transaction is committed."""
        await connection.execute(MARK, (self.number,))

    async def write(self, connection: Connection, rows: int) -> None:
        """Change about so many rows of one table."""
        table = self._chance.choices(TABLES, weights=[2, 1, 1])[0]
        live = self._ledger.live(table)
        if not self._ledger.live("hotspots"):
            await self.insert(connection, "hotspots", rows)
        elif len(live) < FEW or (len(live) < MANY and self._chance.random() < 0.3):
            await self.insert(connection, table, rows)
        elif self._chance.random() < (0.5 if len(live) > MANY else 0.15):
            await self.delete(connection, table, min(rows, DELETED_AT_ONCE))
        else:
            await self.update(connection, table, rows)

    async def write_family(self, connection: Connection, rows: int) -> None:
        """Add rows to all tables without touching any that others may want to change."""
        await self.insert(connection, "hotspots", rows)
        parents = [row_id for table, row_id, _ in self._written if table == "hotspots"]
        for table in statements.DELETE_CHILDREN:
            await self._changed(
                connection, table, statements.INSERT[table], self._values(parents[:rows])
            )

    async def write_oversized(self, connection: Connection) -> int:
        """Add a recommendation that is too large for one of the lanes; its id."""
        await self.write_family(connection, 3)
        parents = [row_id for name, row_id, _ in self._written if name == "hotspots"]
        values = {"parents": parents[:1], "action": "x" * OVERSIZED_CHARACTERS}
        table = "recommendations"
        await self._changed(connection, table, statements.INSERT[table], values)
        return max(row_id for name, row_id, _ in self._written if name == table)

    async def remove(self, connection: Connection, row_id: int) -> None:
        """Delete a recommendation, if it is there."""
        table = "recommendations"
        await self._deleted(connection, table, statements.DELETE[table], {"ids": [row_id]})

    async def insert(self, connection: Connection, table: str, rows: int) -> None:
        """Add rows."""
        parents = list(self._ledger.live("hotspots"))
        values: Mapping[str, Any] = {"entities": ENTITIES - 1, "count": rows}
        if table != "hotspots":
            values = self._values([self._chance.choice(parents) for _ in range(rows)])
        await self._changed(connection, table, statements.INSERT[table], values)

    async def update(self, connection: Connection, table: str, rows: int) -> None:
        """Change rows, also columns that clients filter on."""
        statement = self._chance.choice(statements.UPDATE[table])
        await self._changed(connection, table, statement, {"ids": self._some(table, rows)})

    async def delete(self, connection: Connection, table: str, rows: int) -> None:
        """Delete rows, and with a hotspot what belongs to it."""
        await self._delete(connection, table, self._some(table, rows))

    async def _delete(self, connection: Connection, table: str, ids: Sequence[int]) -> None:
        values = {"ids": ids}
        if table == "hotspots":
            await connection.execute(statements.LOCK, values)
            for children, statement in statements.DELETE_CHILDREN.items():
                await self._deleted(connection, children, statement, values)
        await self._deleted(connection, table, statements.DELETE[table], values)

    async def take_away(self, connection: Connection, table: str, rows: int) -> Copies:
        """Delete rows; what is needed to put them back."""
        ids = self._some(table, rows)
        if table == "hotspots":
            await connection.execute(statements.LOCK, {"ids": ids})
        cursor = await connection.execute(
            sql.SQL(statements.COPY).format(sql.Identifier(table)), {"ids": ids}
        )
        copied = {row["id"]: row for (row,) in await cursor.fetchall()}
        before = set(self._written)
        await self._delete(connection, table, list(copied))
        gone = [key for key in self._written.keys() - before if key[0] == table]
        return [
            statements.numbered(table, copied[row_id], version + 1) for _, row_id, version in gone
        ]

    async def put_back(self, connection: Connection, table: str, copies: Copies) -> None:
        """Add rows under the ids that they had."""
        statement = sql.SQL(statements.PUT_BACK).format(
            table=sql.Identifier(table),
            columns=sql.SQL(", ").join(map(sql.Identifier, FILTERABLE[table])),
        )
        await self._changed(connection, table, statement, {"rows": Jsonb(list(copies))})

    @staticmethod
    def _values(parents: Sequence[int]) -> Mapping[str, Any]:
        return {"parents": list(parents), "action": "Fill the trucks"}

    def _some(self, table: str, rows: int) -> list[int]:
        """Ids in their order, so that writers seldom wait for each other in a circle."""
        live = list(self._ledger.live(table))
        return sorted(self._chance.sample(live, min(rows, len(live))))

    async def _changed(
        self,
        connection: Connection,
        table: str,
        statement: LiteralString | sql.Composed,
        values: Mapping[str, Any],
    ) -> None:
        cursor = await connection.execute(statement, values)
        for row_id, version, *columns in await cursor.fetchall():
            self._written[table, row_id, version] = statements.row_of(table, columns)

    async def _deleted(
        self,
        connection: Connection,
        table: str,
        statement: LiteralString,
        values: Mapping[str, Any],
    ) -> None:
        cursor = await connection.execute(statement, values)
        for row_id, version in await cursor.fetchall():
            self._written[table, row_id, version] = None


async def was_committed(connection: Connection, number: int) -> bool:
    """Whether the transaction with that marker was committed; if not, it never will be.

    Inserting the marker again waits for a transaction that is still under way.
    """
    async with connection.transaction():
        cursor = await connection.execute(MARK, (number,))
        return cursor.rowcount == 0
