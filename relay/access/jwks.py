"""The project's public keys: fetched at the start, every ten minutes, and when a token names one
that is not known. A failed fetch leaves the former keys in force.

Anybody can present tokens that name made-up keys. So a key that was not found is remembered for a
minute, fetches are rate-limited per address block, and there is one every few seconds at most.
"""

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NoReturn

import httpx

from relay.access.limits import RateLimiter
from relay.access.tokens import Key, published

logger = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 600.0
RETRY_SECONDS: Final = 5.0  # as long as there has never been an answer
LEAST_SECONDS: Final = 5.0  # between fetches
ABSENT_SECONDS: Final = 60.0
MOST_ABSENT: Final = 10_000
RATE_PER_ADDRESS: Final = 1 / 60
BURST_PER_ADDRESS: Final = 5
MAX_BYTES: Final = 256 * 1024
TIMEOUT: Final = httpx.Timeout(5.0)
WHOLE_SECONDS: Final = 15.0  # for a whole answer


class Jwks:
    """The project's signing keys as published last; fetches are single-flight and rate-limited."""

    def __init__(self, supabase_url: str, now: Callable[[], float]) -> None:
        self._url = f"{supabase_url}/auth/v1/.well-known/jwks.json"
        self._now = now
        self._client = httpx.AsyncClient(timeout=TIMEOUT, trust_env=False)
        self._fetch: asyncio.Task[bool] | None = None
        self._begun_at: float | None = None
        self._answered = False
        self._absent = OrderedDict[bytes, float]()  # keys that were not there, and when
        self._rates = RateLimiter(RATE_PER_ADDRESS, BURST_PER_ADDRESS)
        self.keys: tuple[Key, ...] = ()

    async def run(self) -> NoReturn:
        """Refresh the keys until cancelled."""
        while True:
            await self._refresh()
            await asyncio.sleep(PERIOD_SECONDS if self._answered else RETRY_SECONDS)

    async def look_for(self, key: bytes, place: str) -> bool:
        """Fetch the keys because of an unknown one, unless that was done a moment ago.

        Args:
            key: What `UnknownKey` carries.
            place: Address block of the client, for the rate limit.

        Returns:
            False when the project could not be asked, or not now: the key may exist.
        """
        if self._now() - self._absent.get(key, -ABSENT_SECONDS) < ABSENT_SECONDS:
            return True
        if self._fetch is None and not (self._may_fetch() and self._rates.take(place, self._now())):
            return False
        if not await self._refresh():
            return False
        if len(self._absent) >= MOST_ABSENT:
            self._absent.popitem(last=False)
        self._absent[key] = self._now()
        self._absent.move_to_end(key)
        return True

    def _may_fetch(self) -> bool:
        return self._begun_at is None or self._now() - self._begun_at >= LEAST_SECONDS

    async def _refresh(self) -> bool:
        """Fetch the keys, or wait for the fetch under way; whether there was an answer."""
        if self._fetch is None:
            self._begun_at = self._now()
            self._fetch = asyncio.create_task(self._get(), name="fetch of the signing keys")
            self._fetch.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetch)

    async def close(self) -> None:
        """End the fetch under way and close the connections."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.gather(self._fetch, return_exceptions=True)
        await self._client.aclose()

    async def _get(self) -> bool:
        try:
            async with (
                asyncio.timeout(WHOLE_SECONDS),
                self._client.stream("GET", self._url) as reply,
            ):
                reply.raise_for_status()
                body = bytearray()
                async for chunk in reply.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise ValueError(f"longer than {MAX_BYTES} bytes")
            document = json.loads(body)
            if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
                raise ValueError("no list of keys")
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as exc:
            logger.warning(
                "signing keys cannot be fetched, known ones stay in force error=%r known=%d",
                f"{type(exc).__name__} {exc}",
                len(self.keys),
            )
            return False
        self.keys = published(document)
        self._answered = True
        return True

    def _fetched(self, task: asyncio.Task[bool]) -> None:
        self._fetch = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("fetching the signing keys failed", exc_info=error)
