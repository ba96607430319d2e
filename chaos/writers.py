"""Writers that go on whatever happens to the database, and know what they committed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NoReturn

import psycopg

from chaos.ledger import Ledger
from chaos.transactions import Connection, Transaction, was_committed

WRITERS = 5
SIZES = (1, 1, 1, 2, 3, 5, 8)
LARGE_SIZES = (100, 250, 300)  # of a few hundred rows; one in LARGE_EVERY
LARGE_EVERY = 250
LONGEST_OPEN_SECONDS = 0.4
PUT_BACK = 8  # rows that are deleted and come back
MOST_AHEAD_SECONDS = 10.0  # of writing that may be made up for after an outage
MOST_PACED = 20  # after a large transaction nobody waits for long
RETRY_SECONDS = 0.1
CONNECT_SECONDS = 3
# The server is gone, or is a standby that was not promoted yet.
AWAY = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction)


class Pace:
    """A number of changes a second, on average."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._owed = 0.0
        self._at = time.monotonic()

    async def wait(self) -> None:
        """Return when there is something to be written."""
        while (ahead := self._balance()) < 0:  # noqa: ASYNC110 others write meanwhile
            await asyncio.sleep(min(0.2, -ahead / self._rate))

    def wrote(self, changes: int) -> None:
        """So much was written."""
        self._owed -= changes

    def _balance(self) -> float:
        now = time.monotonic()
        self._owed = min(
            self._owed + (now - self._at) * self._rate, MOST_AHEAD_SECONDS * self._rate
        )
        self._at = now
        return self._owed


class Writers:
    """`dsn` is asked for at each connection, since the server may be another one by then."""

    def __init__(self, ledger: Ledger, dsn: Callable[[], str], rate: float, seed: int) -> None:
        self.ledger = ledger
        self.in_doubt = 0
        self.rolled_back = 0
        self._dsn = dsn
        self._pace = Pace(rate)
        self._numbers = itertools.count(1)
        self._seed = seed
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> NoReturn:
        """Write until cancelled, in the middle of a transaction or not."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(WRITERS):
                tasks.create_task(self._write(random.Random(f"{self._seed}/{number}")))
        raise RuntimeError("the writers ended")

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """No transaction is open, or begins, within the block."""
        self._may_write.clear()
        try:
            await self._idle.wait()
            yield
        finally:
            self._may_write.set()

    async def leave_open(self, seconds: float) -> bool:
        """Write, wait that long, and commit; whether it came to that."""
        chance = random.Random(f"{self._seed}/{seconds}")
        with self._at_work():
            try:
                async with await self._connect() as connection:
                    transaction = await self._begun(connection, chance)
                    await transaction.write_family(connection, 10)
                    await asyncio.sleep(seconds)
                    return await self._commit(connection, transaction)
            except psycopg.Error:
                return False

    async def put_back_at_once(self, table: str) -> bool:
        """Delete rows and put them back in one transaction; whether it came to that."""
        chance = random.Random(f"{self._seed}/{table}")
        with contextlib.suppress(psycopg.Error), self._at_work():
            async with await self._connect() as connection:
                transaction = await self._begun(connection, chance)
                copies = await transaction.take_away(connection, table, PUT_BACK)
                await transaction.put_back(connection, table, copies)
                return await self._commit(connection, transaction) and bool(copies)
        return False

    async def put_back_later(self, table: str, seconds: float) -> bool:
        """Delete rows, and put them back after that time; whether it came to that."""
        chance = random.Random(f"{self._seed}/{table}/{seconds}")
        with contextlib.suppress(psycopg.Error), self._at_work():
            async with await self._connect() as connection:
                removing = await self._begun(connection, chance)
                copies = await removing.take_away(connection, table, PUT_BACK)
                if not await self._commit(connection, removing):
                    return False
                await asyncio.sleep(seconds)
                adding = await self._begun(connection, chance)
                await adding.put_back(connection, table, copies)
                return await self._commit(connection, adding) and bool(copies)
        return False

    async def put_back_while_open(self, table: str, seconds: float) -> bool:
        """Delete rows, and put them back by another transaction before that commits, which takes so
        much time; whether it came to that."""
        chance = random.Random(f"{self._seed}/{table}/{seconds}")
        with contextlib.suppress(psycopg.Error), self._at_work():
            async with await self._connect() as first, await self._connect() as second:
                adding = await self._begun(second, chance)
                removing = await self._begun(first, chance)
                copies = await removing.take_away(first, table, PUT_BACK)
                inserting = asyncio.create_task(adding.put_back(second, table, copies))
                try:
                    await asyncio.sleep(seconds)
                    waited = not inserting.done()
                    if not await self._commit(first, removing):
                        return False
                    await inserting
                finally:
                    inserting.cancel()
                    await asyncio.gather(inserting, return_exceptions=True)
                return await self._commit(second, adding) and bool(copies) and waited
        return False

    async def write_oversized(self, seconds: float) -> bool:
        """Write a very large row and delete it after that time; whether it came to that."""
        chance = random.Random(f"{self._seed}/{seconds}")
        try:
            async with await self._connect() as connection:
                with self._at_work():
                    adding = await self._begun(connection, chance)
                    row_id = await adding.write_oversized(connection)
                    if not await self._commit(connection, adding):
                        return False
                await asyncio.sleep(seconds)
                await self._may_write.wait()
                with self._at_work():
                    removing = await self._begun(connection, chance)
                    await removing.remove(connection, row_id)
                    return await self._commit(connection, removing)
        except psycopg.Error:
            return False

    async def _write(self, chance: random.Random) -> NoReturn:
        while True:
            try:
                async with await self._connect() as connection:
                    while True:
                        await self._pace.wait()
                        await self._may_write.wait()
                        with self._at_work():
                            await self._once(connection, chance)
            except AWAY:
                await asyncio.sleep(RETRY_SECONDS)

    async def _once(self, connection: Connection, chance: random.Random) -> None:
        try:
            transaction = await self._begun(connection, chance)
            if chance.randrange(LARGE_EVERY) == 0:
                await transaction.write(connection, chance.choice(LARGE_SIZES))
            for _ in range(chance.randint(1, 3)):
                await transaction.write(connection, chance.choice(SIZES))
            if chance.random() < 0.3:  # others commit that began later
                await asyncio.sleep(chance.uniform(0, LONGEST_OPEN_SECONDS))
        except (psycopg.IntegrityError, psycopg.errors.DeadlockDetected):
            self.rolled_back += 1
            await connection.rollback()
        else:
            await self._commit(connection, transaction)

    async def _begun(self, connection: Connection, chance: random.Random) -> Transaction:
        transaction = Transaction(next(self._numbers), self.ledger, chance)
        await transaction.mark(connection)
        return transaction

    async def _commit(self, connection: Connection, transaction: Transaction) -> bool:
        sent = time.monotonic()
        try:
            await connection.commit()
        except AWAY:
            self.in_doubt += 1
            if not await self._find_out(transaction):
                self.ledger.passing |= transaction.passing(committed=False)
                return False
        versions = transaction.versions(sent, time.monotonic())
        self.ledger.passing |= transaction.passing(committed=True)
        self.ledger.commit(versions)
        self._pace.wrote(min(len(versions), MOST_PACED))
        return True

    async def _find_out(self, transaction: Transaction) -> bool:
        """Ask until there is an answer: what was in doubt is known before anything else is
        written here."""
        while True:
            try:
                async with await self._connect() as connection:
                    return await was_committed(connection, transaction.number)
            except AWAY:
                await asyncio.sleep(RETRY_SECONDS)

    async def _connect(self) -> Connection:
        return await psycopg.AsyncConnection.connect(self._dsn(), connect_timeout=CONNECT_SECONDS)

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        self._busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if self._busy == 0:
                self._idle.set()
