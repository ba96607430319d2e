"""What the relay counts, and how Prometheus reads it."""

import asyncio
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed

from emulator.running import Emulator
from relay.close_codes import CloseCode
from relay.stream.broker import Source
from relay.stream.counters import BOUNDS, Counters, Histogram
from tests.relay.clients import Running, Tables, change, frame, greeted, live_relay, relay_of
from tests.relay.rows import change as made

Samples = dict[tuple[str, ...], float]


async def samples(relay: Running) -> Samples:
    """Values by name and labels."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        text = (await client.get(f"http://{relay.host}/metrics")).text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_observations_fall_into_all_buckets_above_them() -> None:
    histogram = Histogram()
    histogram.observe(0.001)
    histogram.observe(0.3)
    histogram.observe(-5)
    histogram.observe(99)
    buckets = dict(histogram.buckets())
    assert (buckets["0.001"], buckets["0.25"], buckets["0.5"], buckets["+Inf"]) == (2, 2, 3, 4)
    assert len(buckets) == len(BOUNDS) + 1
    assert histogram.sum == pytest.approx(99.301)


def test_latency_begins_at_the_write() -> None:
    counts = Counters()
    written = 1767604442  # 2026-01-05T09:14:02Z
    counts.arrived(Source.LIVE, [made(7), made(8)], written + 2)
    assert counts.to_relay[Source.LIVE].sum == 4
    assert counts.to_relay[Source.CATCH_UP].sum == 0


async def test_metrics_tell_what_happened(emulator: Emulator, tables: Tables) -> None:
    async with live_relay(emulator, RELAY_LIVE="postgres_changes") as relay:
        async with relay.follow("hotspots") as events, relay.follow("alerts", events=False):
            cursor = (await greeted(events))[-1]["cursor"]
            hotspot = tables.hotspot()
            await change(events)
            tables.execute("delete from hotspots where id = %s", hotspot)
            await change(events)
            found = await samples(relay)
            assert (
                found["relay_changes_total", "live"] + found["relay_changes_total", "catch_up"] == 2
            )
            assert found["relay_clients", "hotspots", "relay.v1"] == 1
            assert found["relay_clients", "alerts", "rows"] == 1
            assert found["relay_upstream_state", "live"] == 1
            assert found["relay_live_proven",] == 1
            assert found["relay_live_attempts_total",] == 1
            assert found["relay_reread_total",] == 1  # a live deletion has no version
            assert found["relay_healed_total",] == 0
            assert found["relay_deliveries_total", "relay.v1"] >= 2
            assert found["relay_commit_to_socket_seconds_count",] >= 1
            arrived = [found["relay_commit_to_relay_seconds_count", source] for source in Source]
            assert sum(arrived) == 1  # a deletion tells no time
        for presented in (cursor, "garbage"):
            async with relay.follow(f"hotspots?cursor={presented}") as events:
                await greeted(events)
        found = await samples(relay)
        assert found["relay_resumes_total", "seq"] == 1
        assert found["relay_resumes_total", "none"] == 1
        assert found["relay_resets_total", "invalid"] == 1
        assert found["relay_resets_total", "overflow"] == 0


async def test_clients_are_let_go_one_after_the_other(emulator: Emulator) -> None:
    async with relay_of(emulator) as relay:
        clients = await asyncio.gather(*(relay.follow("alerts", events=False) for _ in range(80)))
        closed: list[float] = []

        async def wait(number: int) -> None:
            with pytest.raises(ConnectionClosed):
                await frame(clients[number])
            closed.append(time.monotonic())

        waiting = asyncio.gather(*(wait(number) for number in range(len(clients))))
        relay.stop()
        await waiting
        assert {client.close_code for client in clients} == {CloseCode.RESTARTING}
        assert closed[-1] - closed[0] > 0.2
        with pytest.raises(OSError, match=r".*"):
            await relay.follow("alerts")
