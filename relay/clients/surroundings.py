"""What all sessions share."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.changes.groups import Streams
from relay.clients.resumes import Resumes
from relay.clients.states import States
from relay.counts import Counts
from relay.upstream.sources import State as UpstreamState


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts of the relay that serve a client, and the clocks."""

    streams: Streams
    states: States
    resumes: Resumes
    upstream_state: Callable[[], UpstreamState]  # the one that was announced last
    counts: Counts
    now: Callable[[], float]
    clock: Callable[[], float]  # seconds since 1970
    max_behind_bytes: int
