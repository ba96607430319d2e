"""Writers that do to the three tables what a database allows, in transactions of every shape."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg import IsolationLevel

from tests.supabase.rows import TABLES, Queries, Table, per_table
from tests.supabase.servers import Connection, one

# What writers that meet each other have to expect; the transaction is rolled back.
CONFLICTS = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,  # the lock came in the moment in which the time for it ended
    psycopg.errors.ForeignKeyViolation,
)
RECENT = 200  # rows that writers fight for

INSERT: Queries = {
    "hotspots": """
        insert into public.hotspots (entity, entity_type, event_type, predicted_co2, baseline_co2,
          percent_above, severity)
        select %(name)s || n, 'supplier', 'factory', 130, 100, 30, 'warn'
        from generate_series(1, %(count)s) n""",
    "alerts": """
        insert into public.alerts (hotspot_id, level, message)
        select h.id, 'warn', %(name)s || n
        from (select id from public.hotspots order by id desc limit 5) h,
          generate_series(1, %(count)s) n""",
    "recommendations": """
        insert into public.recommendations (hotspot_id, action, co2_reduction)
        select h.id, %(name)s || n, n
        from (select id from public.hotspots order by id desc limit 5) h,
          generate_series(1, %(count)s) n""",
}
LAST = per_table("select coalesce(max(id), 0) from public.{t}")
UPDATE: Queries = {
    "hotspots": "update public.hotspots set predicted_co2 = predicted_co2 + 1"
    " where id between %(low)s and %(high)s",
    "alerts": "update public.alerts set acknowledged = not acknowledged"
    " where id between %(low)s and %(high)s",
    "recommendations": "update public.recommendations set co2_reduction = co2_reduction + 1"
    " where id between %(low)s and %(high)s",
}
TOUCH = per_table("update public.{t} set {n} = {n} where id between %(low)s and %(high)s")
DELETE = per_table("delete from public.{t} where id between %(low)s and %(high)s")


@dataclass
class Writer:
    """One writer with a connection of its own; `run` returns when `stop` is set."""

    number: int
    connection: Connection
    stop: threading.Event
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.number)
        self._names = itertools.count()

    def run(self) -> None:
        """Work off one transaction after the other."""
        self.connection.execute("set lock_timeout = '100ms'")
        while not self.stop.is_set():
            repeatable = self._random.random() < 0.3
            self.connection.isolation_level = (
                IsolationLevel.REPEATABLE_READ if repeatable else IsolationLevel.READ_COMMITTED
            )
            work = self._choose()
            try:
                work()
            except CONFLICTS:
                self.done["conflict"] += 1
            else:
                self.done[work.__name__] += 1
                self.done["repeatable"] += repeatable

    def _choose(self) -> Callable[[], None]:
        shapes = [self.short, self.long, self.savepoints, self.rolled_back, self.prepared]
        return self._random.choices(shapes, weights=[20, 1, 6, 3, 4])[0]

    def short(self) -> None:
        """One to three statements."""
        with self.connection.transaction():
            self._statements(3)

    def long(self) -> None:
        """Stays open while others begin and end."""
        with self.connection.transaction():
            for _ in range(3):
                self._statements(2)
                self.stop.wait(self._random.uniform(0.01, 0.4))

    def savepoints(self) -> None:
        """Parts of it, also nested ones, are rolled back."""
        with self.connection.transaction():
            self._statements(1)
            for _ in range(3):
                with self.connection.transaction():
                    self._statements(2)
                    with self.connection.transaction():
                        self._statements(1)
                        if self._random.random() < 0.5:
                            raise psycopg.Rollback
                    if self._random.random() < 0.4:
                        raise psycopg.Rollback

    def rolled_back(self) -> None:
        """Everything in vain."""
        with self.connection.transaction():
            self._statements(4)
            raise psycopg.Rollback

    def prepared(self) -> None:
        """Ends by its name, some time after its session has let go of it."""
        transaction = self.connection.xid(1, f"writer-{self.number}", str(next(self._names)))
        self.connection.autocommit = False
        try:
            self._prepare(transaction)
        finally:
            self.connection.autocommit = True

    def _prepare(self, transaction: psycopg.Xid) -> None:
        self.connection.tpc_begin(transaction)
        try:
            self._statements(3)
            self.connection.tpc_prepare()
        except psycopg.Error:
            self.connection.tpc_rollback()
            raise
        self.stop.wait(self._random.uniform(0, 0.05))
        if self._random.random() < 0.75:
            self.connection.tpc_commit()
        else:
            self.connection.tpc_rollback()

    def _statements(self, most: int) -> None:
        for _ in range(self._random.randint(1, most)):
            self._statement()

    def _statement(self) -> None:
        table = self._random.choices(TABLES, weights=[2, 1, 1])[0]
        kind = self._random.choices(
            ["insert", "update", "twice", "touch", "delete"], [4, 6, 2, 1, 2]
        )
        if kind[0] == "insert":
            count = 40 if self._random.random() < 0.02 else self._random.randint(1, 2)
            name = f"writer-{self.number}-{next(self._names)}-"
            self.connection.execute(INSERT[table], {"name": name, "count": count})
        elif kind[0] == "delete":
            self._hit(table, DELETE[table], 0)
        elif kind[0] == "touch":
            self._hit(table, TOUCH[table], 3)
        else:
            for _ in range(2 if kind[0] == "twice" else 1):
                self._hit(table, UPDATE[table], self._random.randint(0, 3))

    def _hit(self, table: Table, statement: LiteralString, more: int) -> None:
        last: int = one(self.connection, LAST[table])
        low = self._random.randint(max(1, last - RECENT), max(1, last))
        self.connection.execute(statement, {"low": low, "high": low + more})
