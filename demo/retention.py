"""Deletes what the demo no longer needs, so that it can run for ever."""

from __future__ import annotations

import asyncio
import logging

import httpx
from postgrest.exceptions import APIError
from supabase import AsyncClient, AsyncClientOptions

logger = logging.getLogger(__name__)

KEEP = "30 days"  # of arrival; a year of made-up events arrives within half an hour
EVERY_SECONDS = 300


async def prune_for_ever(url: str, key: str) -> None:
    """Prune every five minutes until cancelled; a time when Supabase is away is skipped."""
    http = httpx.AsyncClient(trust_env=False)
    client = AsyncClient(url, key, AsyncClientOptions(httpx_client=http))
    while True:
        try:
            await client.rpc("prune", {"keep": KEEP}).execute()
        except (httpx.TransportError, APIError) as exc:
            logger.warning("pruning failed, next try in %d s: %s", EVERY_SECONDS, exc)
        await asyncio.sleep(EVERY_SECONDS)
