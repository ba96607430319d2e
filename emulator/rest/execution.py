"""Runs each statement in its own transaction, with the role and settings of the caller."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from http.cookies import CookieError, SimpleCookie
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from emulator.identity import Identity
from emulator.rest import errors, response, sqlstates
from emulator.rest.request import MAX_ROWS, Plan, Request
from emulator.rest.schema import Schema
from emulator.rest.sql import Sql, join, value
from emulator.rest.statement import Answer

Connection = AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]

PROBE_AFTER_SECONDS = 1.0
ACQUIRE_SECONDS = 9.0
CONNECT_SECONDS = 2


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool.

    Raises ApiError 503 within three seconds when the database cannot be reached, 504 when all
    connections stay busy for ten.
    """
    held = await _acquire(pool)
    try:
        yield held
    finally:
        await pool.putconn(held)


async def _acquire(pool: Pool) -> Connection:
    try:
        return await pool.getconn(PROBE_AFTER_SECONDS)
    except PoolTimeout:
        await _probe(pool)
    except (PoolClosed, TooManyRequests) as exc:
        raise errors.pool_exhausted() from exc
    try:
        return await pool.getconn(ACQUIRE_SECONDS)
    except (PoolTimeout, PoolClosed, TooManyRequests) as exc:
        raise errors.pool_exhausted() from exc


async def _probe(pool: Pool) -> None:
    """Connect once, to tell a busy pool from a database that is down."""
    try:
        conninfo = pool.conninfo
        if not isinstance(conninfo, str):
            return
        probe = await AsyncConnection.connect(conninfo, connect_timeout=CONNECT_SECONDS)
    except psycopg.OperationalError as exc:
        raise errors.unreachable(str(exc)) from exc
    await probe.close()


async def run(
    pool: Pool, plan: Plan, request: Request, identity: Identity, schema: Schema
) -> response.Response:
    """Run `plan` and return its response; commit unless it failed or asked for a rollback."""
    undo = plan.preferences.tx == "rollback"
    async with connection(pool) as held:
        try:
            async with held.transaction(force_rollback=undo):
                await _execute(held, _settings(plan, request, identity, schema))
                answer = await _answer(held, plan)
                response.check(plan, answer)
                if undo:
                    await held.execute("set constraints all immediate")
        except psycopg.Error as exc:
            raise sqlstates.answer_to(exc, identity.role) from exc
    return response.build(plan, answer)


async def _answer(held: Connection, plan: Plan) -> Answer:
    cursor = await _execute(held, plan.statement.main)
    row = cursor.pgresult
    if row is None or row.ntuples != 1:
        raise errors.client_lost("the statement gave no row")
    rows, total, body, headers, status, inserted, location = (
        row.get_value(0, column) for column in range(7)
    )
    answer = Answer(
        rows=int(rows or 0),
        total=None if total is None else int(total),
        body=body or b"",
        response_headers=headers,
        response_status=status,
        inserted=None if inserted is None else int(inserted),
        location=location,
    )
    return replace(answer, total=await _total(held, plan, answer))


async def _total(held: Connection, plan: Plan, answer: Answer) -> int | None:
    """The number of rows to report: counted, or what the planner expects."""
    exact = answer.total
    if plan.statement.explain is None or (exact is not None and exact <= MAX_ROWS):
        return exact
    cursor = await _execute(held, plan.statement.explain)
    row = await cursor.fetchone()
    expected = int(row[0][0]["Plan"]["Plan Rows"]) if row else 0
    return expected if exact is None else max(exact, expected)


async def _execute(held: Connection, statement: Sql) -> AsyncRawCursor[Any]:
    text, values = statement.render()
    cursor = AsyncRawCursor(held)
    # Prepared statements would outlive changes of the tables.
    return await cursor.execute(text.encode(), values, prepare=False)


def _settings(plan: Plan, request: Request, identity: Identity, schema: Schema) -> Sql:
    """Return the statement that sets the caller's role and settings for the transaction.

    The role's own settings come before the role itself, those of the function last.
    """
    headers = {name: text for name, text in request.headers.items() if name != "cookie"}
    settings = [
        ("search_path", f'"{schema.name}", "extensions"'),
        *schema.role_settings.get(identity.role, ()),
        ("role", identity.role),
        ("request.jwt.claims", _json({**identity.claims, "role": identity.role})),
        ("request.method", request.method),
        ("request.path", "/" + request.path.lstrip("/")),
        ("request.headers", _json(headers)),
        ("request.cookies", _json(_cookies(request.headers.get("cookie", "")))),
        *plan.statement.settings,
    ]
    if plan.statement.read_only:
        settings.append(("transaction_read_only", "on"))
    calls = (
        "set_config(" + value(name) + ", " + value(setting.replace("\0", "")) + ", true)"
        for name, setting in settings
    )
    return "select " + join(", ", calls)


def _json(document: Mapping[str, object]) -> str:
    return json.dumps(document, separators=(",", ":"))


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}
