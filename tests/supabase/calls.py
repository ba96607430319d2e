"""Calls of the schema's functions, with the errors that PostgREST turns into HTTP statuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.supabase.servers import Connection, one


@dataclass
class Refused(Exception):
    """The function raised."""

    code: str | None
    message: str | None
    hint: str | None = None


def call(connection: Connection, query: LiteralString, *values: Any) -> dict[str, Any]:
    """The first row that `query` returns. Raises Refused."""
    try:
        row = connection.execute(query, values).fetchone()
    except psycopg.Error as exc:
        diagnosis = exc.diag
        raise Refused(exc.sqlstate, diagnosis.message_primary, diagnosis.message_hint) from exc
    assert row is not None
    return row


def wait_until_blocked(connection: Connection, other: Connection) -> None:
    """Return as soon as `other` waits for a lock."""
    for _ in range(2000):
        pid = other.info.backend_pid
        if one(connection, "select cardinality(pg_blocking_pids(%s)) > 0", pid):
            return
        connection.execute("select pg_sleep(0.005)")
    raise AssertionError("it never waited")


@dataclass
class Worker:
    """One holder of the scan lease, calling what a worker process calls."""

    connection: Connection
    holder: str
    token: int = 0

    def start(self, reason: str = "cron", lease_seconds: int = 60) -> dict[str, Any]:
        """Take the lease; remembers the token."""
        query: LiteralString = "select public.start_scan(%s, %s, %s) as it"
        answer: dict[str, Any] = call(self.connection, query, self.holder, lease_seconds, reason)[
            "it"
        ]
        self.token = answer.get("token", self.token)
        return answer

    def claim(self, size: int = 500, max_bytes: int = 1_000_000, lease_seconds: int = 60) -> Any:
        """Claim a batch."""
        query: LiteralString = "select public.claim_events(%s, %s, %s, %s, %s) as it"
        arguments = (self.holder, self.token, lease_seconds, size, max_bytes)
        return call(self.connection, query, *arguments)["it"]

    def commit(self, batch: str, result: dict[str, Any]) -> Any:
        """Commit a batch."""
        body = {"holder": self.holder, "token": self.token, "batch": batch, "result": result}
        return call(self.connection, "select public.commit_batch(%s) as it", Jsonb(body))["it"]

    def finish(self, counts: dict[str, Any] | None = None, error: str | None = None) -> Any:
        """End the scan and give the lease back."""
        query: LiteralString = "select public.finish_scan(%s, %s, %s, %s) as it"
        return call(self.connection, query, self.holder, self.token, Jsonb(counts), error)["it"]


OUTCOME: tuple[LiteralString, ...] = (
    "select * from public.hotspots order by id",
    "select * from public.alerts order by id",
    "select * from public.recommendations order by id",
    "select * from public.predictions order by event_id",
    "select * from public.baselines order by entity",
    "select * from public.event_queue order by event_id",
    "select * from public.batches order by claimed_at",
)


def add(connection: Connection, count: int = 1, supplier: str = "Foundry") -> list[int]:
    """Insert events; their ids in order of arrival."""
    found = connection.execute(
        "insert into public.events_normalized (event_type, supplier_id, timestamp, route_id)"
        " select 'factory', %s, now(), repeat('r', 100) from generate_series(1, %s) returning id",
        (supplier, count),
    )
    return sorted(row["id"] for row in found)


def queue(connection: Connection) -> list[tuple[Any, ...]]:
    """Every event that is still to be worked off: id, state, attempts, last error."""
    found = connection.execute(
        "select event_id, state, attempts, last_error from public.event_queue order by event_id"
    )
    return [tuple(row.values()) for row in found]


def outcome(connection: Connection) -> list[Any]:
    """Every row that a commit may write."""
    return [connection.execute(query).fetchall() for query in OUTCOME]


def hint_of(refusal: pytest.ExceptionInfo[Refused]) -> tuple[str | None, str | None]:
    """The SQLSTATE and the hint of a refusal."""
    return refusal.value.code, refusal.value.hint
