"""What `/readyz` says: whether clients get every change in time, and if not, why. Pure."""

from typing import Any

from relay.changes.groups import Streams
from relay.upstream.sources import Upstream


def report(upstream: Upstream, streams: Streams, clients: int, now: float) -> dict[str, Any]:
    """The state of the relay at `now`.

    `lag_seconds` of an endpoint: everything that was committed up to that long ago has been sent;
    null before the first catch-up.
    """
    covered_at = upstream.catch_up.covered_at
    lag = None if covered_at is None else round(now - covered_at, 3)
    return {
        "ready": upstream.ready(now),
        "upstream": upstream.state(now),
        "reasons": upstream.troubles(now),
        "live": {
            "lane": "postgres_changes",
            "proven": upstream.live.proven(now),
            "attempts": upstream.live.attempts,
        },
        "clients": clients,
        "endpoints": {
            stream.endpoint.name: {"lag_seconds": lag, "sent": stream.seq} for stream in streams
        },
    }
