"""A decision over HTTP on its way to those who follow the recommendations."""

import asyncio
import time

import httpx
import pytest

from emulator.running import Emulator
from tests.relay.clients import Frame, Tables, change, frame, greeted, live_relay

NEWS_SECONDS = 2.0


@pytest.mark.parametrize("body", [b"", b"{}", b'{"notes": "as agreed"}'])
async def test_an_approval_reaches_both_formats_as_a_whole_row_in_time(
    emulator: Emulator, tables: Tables, body: bytes
) -> None:
    recommendation = tables.recommendation(tables.hotspot())
    token = emulator.keys.mint("authenticated", subject="somebody")
    async with (
        live_relay(emulator, RELAY_LOCAL_TOKEN=token) as relay,
        relay.follow("recommendations") as events,
        relay.follow("recommendations", events=False) as rows,
        httpx.AsyncClient(base_url=f"http://{relay.host}", trust_env=False) as client,
    ):
        *_, before, _ = await greeted(events)
        assert before["record"]["id"] == recommendation
        asked = time.monotonic()
        reply = await client.post(f"/recommendations/{recommendation}/approve", content=body)
        assert reply.status_code == 200
        expected: Frame = before["record"] | {"status": "approved"}
        row, event = await asyncio.gather(frame(rows), change(events))
        assert time.monotonic() - asked < NEWS_SECONDS
        assert row == expected
        assert (event["type"], event["record"], event["version"]) == ("UPDATE", expected, 2)
