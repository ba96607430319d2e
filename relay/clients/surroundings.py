"""What all sessions share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay.access.limits import Limits
from relay.changes.streams import Streams
from relay.clients.journal import Journal
from relay.clients.pacing import Pacer
from relay.clients.resumes import Resumes
from relay.clients.states import States
from relay.counts import Counts
from relay.upstream.sources import State as UpstreamState

if TYPE_CHECKING:
    from relay.clients.session import Session


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts of the relay that serve a client, and the clocks.

    `blocked` are the sessions whose clients do not take what was written.
    """

    streams: Streams
    states: States
    resumes: Resumes
    pacer: Pacer
    upstream_state: Callable[[], UpstreamState]  # the one that was announced last
    counts: Counts
    now: Callable[[], float]
    clock: Callable[[], float]  # seconds since 1970
    max_behind_bytes: int
    limits: Limits = field(default_factory=Limits)
    journal: Journal = field(default_factory=Journal)
    blocked: "set[Session]" = field(default_factory=set)
