"""Requests to Supabase on behalf of a caller: under the caller's token and no other right."""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from typing import Any, Final, Self

import httpx

from relay.errors import Refused

logger = logging.getLogger(__name__)

TIMEOUT = httpx.Timeout(10, connect=3, pool=3)
WHOLE_SECONDS = 30.0  # for a whole answer
LIMITS = httpx.Limits(max_connections=50, max_keepalive_connections=10, keepalive_expiry=30)
TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")

_NO_JSON: Final = "Supabase answered something that is not JSON"
_UNREACHABLE: Final = "Supabase cannot be reached; try again later"


class UserClient:
    """A pool of connections to the REST interface of Supabase.

    It knows the publishable key only, which by itself may do nothing.
    """

    def __init__(self, supabase_url: str, publishable_key: str) -> None:
        self._key = publishable_key
        self._client = httpx.AsyncClient(
            base_url=f"{supabase_url}/rest/v1/", timeout=TIMEOUT, limits=LIMITS, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; requests under way end with an error."""
        await self._client.aclose()

    async def call(self, token: str, function: str, arguments: Mapping[str, Any]) -> Any:
        """Call a SQL function as the caller.

        Raises:
            Refused: The function or Supabase refused; the status is the one to answer with.
        """
        return _content(await self._send("POST", f"rpc/{function}", token, json=arguments))

    async def answer(self, token: str, function: str, arguments: Mapping[str, Any]) -> bytes:
        """Call a SQL function as the caller; return its answer as JSON text, unparsed.

        Reading and writing a few hundred kB again would hold the event loop for some 25 ms.

        Raises:
            Refused: as `call`.
        """
        reply = await self._send("POST", f"rpc/{function}", token, json=arguments)
        if not reply.headers.get("content-type", "").startswith("application/json"):
            raise Refused(502, _NO_JSON)
        return reply.content

    async def rows(self, token: str, table: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """The rows that the caller may see.

        Raises:
            Refused: As `call`.
        """
        rows: list[dict[str, Any]] = _content(await self._send("GET", table, token, params=query))
        return rows

    async def _send(
        self,
        method: str,
        path: str,
        token: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        if not self._key:
            raise Refused(503, "the relay has no SUPABASE_PUBLISHABLE_KEY: set it and start again")
        headers = {"apikey": self._key, "Authorization": f"Bearer {token}"}
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                reply = await self._client.request(
                    method, path, headers=headers, params=params, json=json
                )
        except (httpx.TransportError, TimeoutError) as exc:
            logger.warning(
                "request to Supabase failed method=%s path=%s error=%s",
                method,
                path,
                type(exc).__name__,
            )
            raise Refused(503, _UNREACHABLE) from exc
        if reply.is_success:
            return reply
        raise refusal(reply.status_code, reply.content)


def refusal(status: int, body: bytes) -> Refused:
    """Translate an error of Supabase into the answer for the caller."""
    try:
        error = json.loads(body)
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "", ""
    if code.startswith("PT") and message:
        return Refused(status, message)
    if status == 401:
        return Refused(401, f"Supabase does not accept the token: {message or 'no reason given'}")
    if status == 403:
        return Refused(403, f"the token does not allow it: {message or 'no reason given'}")
    if status == 404:
        return Refused(503, f"the database lacks what this needs, apply the migrations: {message}")
    if status == 429:
        return Refused(429, "Supabase asks to slow down; try again later")
    if code.startswith(("22", "23")):
        return Refused(422, message)
    if status >= 500:
        return Refused(503, _UNREACHABLE)
    logger.warning("error from Supabase status=%d code=%s message=%r", status, code, message)
    return Refused(502, f"Supabase answered {status}: {message or 'no reason given'}")


def _content(reply: httpx.Response) -> Any:
    try:
        return reply.json()
    except ValueError as exc:
        raise Refused(502, _NO_JSON) from exc
