"""The project's public keys: fetched at the start, every ten minutes, and when a token names one
that is not known, at most once a minute. A failed fetch leaves the former keys in force."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Final, NoReturn

import httpx

from relay.access.tokens import Key, published

logger = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 600.0
LEAST_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 5.0  # as long as there has never been an answer
MAX_BYTES: Final = 256 * 1024
TIMEOUT: Final = httpx.Timeout(5.0)


class Jwks:
    """The keys as they were published last."""

    def __init__(self, supabase_url: str, now: Callable[[], float]) -> None:
        self._url = f"{supabase_url}/auth/v1/.well-known/jwks.json"
        self._now = now
        self._client = httpx.AsyncClient(timeout=TIMEOUT, trust_env=False)
        self._fetch: asyncio.Task[None] | None = None
        self._begun_at: float | None = None
        self._answered = False
        self.keys: tuple[Key, ...] = ()

    async def run(self) -> NoReturn:
        """Keeps the keys fresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(PERIOD_SECONDS if self._answered else RETRY_SECONDS)

    async def refresh(self) -> bool:
        """Fetches the keys, or waits for the fetch under way; false when it is too early for
        another one."""
        if self._fetch is None:
            least = LEAST_SECONDS if self._answered else RETRY_SECONDS
            if self._begun_at is not None and self._now() - self._begun_at < least:
                return False
            self._begun_at = self._now()
            self._fetch = asyncio.create_task(self._get(), name="fetch of the signing keys")
            self._fetch.add_done_callback(self._fetched)
        await asyncio.shield(self._fetch)
        return True

    async def close(self) -> None:
        """Ends the fetch under way and closes the connections."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.gather(self._fetch, return_exceptions=True)
        await self._client.aclose()

    async def _get(self) -> None:
        try:
            async with self._client.stream("GET", self._url) as reply:
                reply.raise_for_status()
                body = bytearray()
                async for chunk in reply.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise ValueError(f"longer than {MAX_BYTES} bytes")
            document = json.loads(body)
            if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
                raise ValueError("no list of keys")
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            kept = f"; the {len(self.keys)} known ones stay in force" if self.keys else ""
            logger.warning(
                "signing keys cannot be fetched (%s %s)%s", type(error).__name__, error, kept
            )
            return
        self.keys = published(document)
        self._answered = True

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetch = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("fetching the signing keys failed", exc_info=error)
