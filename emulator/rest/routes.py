"""ASGI endpoints. A statement is cancelled when its client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from emulator.identity import Identity, Keys
from emulator.rest import execution, gateway
from emulator.rest.cache import SchemaCache
from emulator.rest.errors import ApiError, GatewayError
from emulator.rest.execution import Pool
from emulator.rest.request import Plan, Request, plan
from emulator.rest.response import Response
from emulator.rest.schema import Schema

JSON = ("Content-Type", "application/json; charset=utf-8")
# What the schema lacks may have been made since it was read.
MAYBE_NEWER = frozenset({"PGRST200", "PGRST202", "PGRST204", "PGRST205"})

T = TypeVar("T")


def routes(pool: Pool, keys: Keys, schema: str = "public") -> list[BaseRoute]:
    """The REST API of `schema`, to be mounted under /rest/v1.

    The pool's connections are those of a user that may switch to the callers' roles.
    """
    return served_from(SchemaCache(pool, schema), pool, keys)


def served_from(cache: SchemaCache, pool: Pool, keys: Keys) -> list[BaseRoute]:
    """The same, with a cache that the caller invalidates."""
    return [Route("/{path:path}", _Endpoint(cache, pool, keys))]


class _Endpoint:
    """One ASGI application for all paths and methods."""

    def __init__(self, cache: SchemaCache, pool: Pool, keys: Keys) -> None:
        self._cache = cache
        self._pool = pool
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = HttpRequest(scope, receive)
        try:
            identity = self._identify(http)
            request = await _received(http)
            response = await _while_connected(self._respond(request, identity), receive)
        except ClientDisconnect:
            return
        except ApiError as exc:
            response = Response(exc.status, [JSON, *exc.all_headers()], exc.body())
        except GatewayError as exc:
            response = Response(exc.status, [JSON], exc.body())
        await _send(response, send, has_body=http.method != "HEAD")

    def _identify(self, http: HttpRequest) -> Identity:
        apikey = http.headers.get("apikey") or http.query_params.get("apikey")
        return gateway.authenticate(self._keys, apikey, http.headers.get("authorization"))

    async def _respond(self, request: Request, identity: Identity) -> Response:
        schema, planned = await self._plan(request)
        return await execution.run(self._pool, planned, request, identity, schema)

    async def _plan(self, request: Request) -> tuple[Schema, Plan]:
        schema = await self._cache.current()
        try:
            return schema, plan(request, schema)
        except ApiError as exc:
            if exc.code not in MAYBE_NEWER:
                raise
        schema = await self._cache.newer_than(schema)
        return schema, plan(request, schema)


async def _received(http: HttpRequest) -> Request:
    headers: dict[str, str] = {}
    for name, value in http.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(
        http.method,
        http.path_params["path"],
        http.scope["query_string"].decode("ascii", errors="replace"),
        headers,
        await http.body(),
    )


async def _while_connected(work: Coroutine[None, None, T], receive: Receive) -> T:
    """Return the result of `work`; cancel it, and its statement, when the client disconnects."""
    working = asyncio.create_task(work, name="rest statement")
    leaving = asyncio.create_task(_disconnected(receive), name="rest client")
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(response: Response, send: Send, *, has_body: bool) -> None:
    headers = response.headers
    if has_body and response.status != 204:
        headers = [*headers, ("Content-Length", str(len(response.body)))]
    encoded = [(name.lower().encode("latin-1"), _latin(text)) for name, text in headers]
    start = {"type": "http.response.start", "status": response.status, "headers": encoded}
    await send(start)
    await send({"type": "http.response.body", "body": response.body if has_body else b""})


def _latin(text: str) -> bytes:
    """A header's value: one line, and in the only encoding that headers have."""
    return " ".join(text.splitlines()).encode("latin-1", errors="replace")
