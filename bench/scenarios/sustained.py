"""More deliveries a second than one write for each can carry: 500 rows/s to 1,000 clients."""

from __future__ import annotations

from bench.contestant import Contestant
from bench.load import load
from bench.processes import Failed
from bench.scenarios.fanout import Figures, deliver

CLIENTS = 1000
ROWS_PER_SECOND = 500


async def measure(contestant: Contestant, seconds: float) -> Figures:
    """Latency and cost.

    Raises:
        Failed: It did not deliver everything in order, or counted otherwise than its clients.
    """
    rows = round(ROWS_PER_SECOND * seconds)
    async with contestant.running() as server:
        counted = await server.deliveries() if server.deliveries else 0
        async with load(server.port, CLIENTS, (*server.options, "-e", str(rows))) as running:
            used, got = await deliver(server, running, rows, ROWS_PER_SECOND)
        if server.deliveries and (counted := await server.deliveries() - counted) != got["msgs"]:
            raise Failed(f"it counts {counted} deliveries, its clients {got['msgs']}")
    return {
        "clients": CLIENTS,
        "seconds": seconds,
        "us_per_delivery": used / got["msgs"],
        "p50_ms": got["lat_us"]["p50"] / 1000,
        "p99_ms": got["lat_us"]["p99"] / 1000,
        "max_ms": got["lat_us"]["max"] / 1000,
        "loader_busy": got["client"]["busy"],
    }
