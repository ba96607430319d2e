"""What is measured is what happened, and a server that counts or delivers wrongly is found out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from bench.contestant import Contestant, Server
from bench.contestants.floor import Floor
from bench.contestants.python import NAIVE
from bench.contestants.relay import Relay
from bench.processes import ROOT, Failed
from bench.scenarios import fanout, idle
from bench.scenarios.fanout import Size

pytestmark = pytest.mark.usefixtures("programs")

SMALL = Size(clients=10, burst_rows=50, paced_rows=5, per_second=50)


@dataclass(frozen=True)
class Changed:
    """The floor, with something wrong about it."""

    publishes: int | None = None
    counts: int | None = None
    name: str = "changed"
    joins: bool = False

    def lacking(self) -> str | None:
        return None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        async with Floor("join").running() as server:

            async def publish(rows: int, per_second: float) -> None:
                await server.publish(self.publishes or rows, per_second)

            async def deliveries() -> int:
                return self.counts or 0

            counting = None if self.counts is None else deliveries
            yield replace(server, publish=publish, deliveries=counting)


@pytest.mark.parametrize(
    "contestant", [Floor("send"), NAIVE, Relay(tokens="ES256"), Relay(tokens="HS256")]
)
async def test_each_figure_is_there_and_above_nothing(contestant: Contestant) -> None:
    figures = await fanout.measure(contestant, SMALL)
    for name in ("paced_us", "paced_p99_ms", "burst_us", "connects_per_s", "connect_us"):
        assert figures[name] > 0
    assert "kib_per_idle_connection" in figures


async def test_idle_connections_hold_something_and_fail_where_that_is_too_much() -> None:
    contestant = Relay(tokens="ES256", users=300)
    figures = await idle.measure(contestant, 300, 0.1, most_kib=1000)
    assert figures["idle_kib"] > 0
    with pytest.raises(Failed, match=r"a connection takes .* KiB, not 0.01 at most"):
        await idle.measure(contestant, 300, 0.1, most_kib=0.01)


def test_what_an_idle_connection_may_hold_is_documented() -> None:
    assert f"at most {idle.DOCUMENTED_KIB:g} KiB" in (ROOT / "docs/security.md").read_text()


async def test_a_count_that_differs_from_the_clients_own_fails() -> None:
    with pytest.raises(Failed, match="it counts 0 deliveries, its clients 550"):
        await fanout.measure(Changed(counts=7), SMALL)


async def test_rows_that_come_too_often_fail() -> None:
    with pytest.raises(Failed, match="not delivered as published"):
        await fanout.measure(Changed(publishes=60), SMALL)


async def test_nothing_of_a_contestant_is_left_when_it_is_stopped() -> None:
    async with Floor("send").running() as server:
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
