"""Readiness report: whether clients get every change in time, and if not, why. Pure."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from relay.stream.hub import Hub
from relay.upstream.state import UpstreamStatus
from relay.upstream.worker_status import WorkerStatus


def report(
    upstream: UpstreamStatus,
    hub: Hub,
    clients: int,
    resumes: Mapping[str, int],
    healed: int,
    key_trouble: str | None,
    access_trouble: str | None,
    worker: WorkerStatus | None,
    now: float,
) -> dict[str, Any]:
    """The state of the relay at `now`.

    `lag_seconds` of an endpoint: everything that was committed up to that long ago has been sent;
    null before the first catch-up. `resumes` counts the clients that went on from their cursor, by
    where the relay found what they missed; `healed` the changes that the live lane lost. `worker`
    is null before it was read, and decides nothing: the relay serves without one.
    """
    lags = {number: round(now - at, 3) for number, at in upstream.catch_up.covered.items()}
    return {
        "ready": upstream.ready(now) and access_trouble is None,
        "upstream": upstream.state(now),
        "authentication": "refused" if upstream.refused else "accepted",
        "reasons": [*filter(None, (key_trouble, access_trouble)), *upstream.troubles(now)],
        "live": {
            "lane": upstream.live.lane,
            "proven": upstream.live.proven(now),
            "attempts": upstream.live.attempts,
            "healed": healed,
        },
        "worker": None if worker is None else asdict(worker),
        "clients": clients,
        "resumes": dict(resumes),
        "endpoints": {
            stream.endpoint.name: {
                "lag_seconds": lags.get(stream.endpoint.number),
                "sent": stream.seq - stream.first_seq,
            }
            for stream in hub
        },
    }
