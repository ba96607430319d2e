"""State of the two sources and of Realtime's two lanes. Pure: the caller brings the time.

Times are seconds of a monotonic clock. Broadcast is 250 times as fast as postgres_changes, but
needs our triggers, a function of Realtime's and a policy; and either lane may fall silent while the
other one works. Whenever lanes change catch-up reads what came in between, so nothing is missed.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from relay.stream.change import BY_NUMBER, Endpoint

FIRST_PAUSE_SECONDS: Final = 60.0
LONGEST_PAUSE_SECONDS: Final = 900.0


class Lane(enum.StrEnum):
    """How changes arrive live."""

    BROADCAST = "broadcast"
    POSTGRES_CHANGES = "postgres_changes"


AUTO: Final = "auto"


class LaneSelector:
    """Chooses the lane to subscribe to; `mode` is auto or the name of a lane."""

    def __init__(self, mode: str) -> None:
        self._only = None if mode == AUTO else Lane(mode)
        self._pause = FIRST_PAUSE_SECONDS
        self._broadcast_from = 0.0  # until then it is not tried

    def wanted(self, now: float) -> Lane:
        """Return the lane to subscribe to."""
        if self._only is not None:
            return self._only
        return Lane.BROADCAST if now >= self._broadcast_from else Lane.POSTGRES_CHANGES

    def unproven(self, lane: Lane, now: float) -> None:
        """Avoid the lane for a while, longer each time: it was not proven, or lost changes."""
        if lane is Lane.BROADCAST:
            self._broadcast_from = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        else:
            self._broadcast_from = now

    def proven(self, lane: Lane) -> None:
        """Note that the lane works."""
        if lane is Lane.BROADCAST:
            self._pause = FIRST_PAUSE_SECONDS


PROVEN_SECONDS: Final = 45.0
# How long a relay that has just started may wait for its live lane before it serves without it.
START_SECONDS: Final = 10.0
# Catch-up that has not completed for so long counts as failing.
STALE_SECONDS: Final = 10.0
BUSY_SECONDS: Final = 2.0  # a lock that is held for less is nobody's concern
# How long the live lane has to bring everything after it lost a change before it is believed again.
DISTRUST_SECONDS: Final = 10.0
# A state that got worse again so soon after it got better: the next improvement has to last longer.
FLAP_SECONDS: Final = 60.0
FIRST_HOLD_SECONDS, LONGEST_HOLD_SECONDS = 2.0, 60.0


class UpstreamState(enum.StrEnum):
    """State that clients are told in `status`, from the best to the worst."""

    LIVE = "live"
    CATCHING_UP = "catching_up"
    DEGRADED = "degraded"
    DOWN = "down"


_WORST_LAST: Final = tuple(UpstreamState)


class AnnouncedState:
    """Hysteresis of the announced state: worse at once, better when it has lasted for a while.

    The while grows the more often an improvement did not last.
    """

    def __init__(self, state: UpstreamState) -> None:
        self.state = state
        self._hold = 0.0
        self._better_since: float | None = None
        self._improved_at: float | None = None

    def look(self, state: UpstreamState, now: float) -> bool:
        """Update with the current state; return whether another one has to be announced."""
        better = _WORST_LAST.index(self.state) - _WORST_LAST.index(state)
        if better <= 0:
            self._better_since = None
            if better < 0:
                self._worsened(now)
                self.state = state
            return better < 0
        if self._better_since is None:
            self._better_since = now
        if now - self._better_since < self._hold:
            return False
        self.state, self._improved_at, self._better_since = state, now, None
        return True

    def _worsened(self, now: float) -> None:
        if self._improved_at is None or now - self._improved_at >= FLAP_SECONDS:
            self._hold = 0.0
        else:
            self._hold = min(LONGEST_HOLD_SECONDS, max(FIRST_HOLD_SECONDS, 2 * self._hold))


@dataclass(slots=True)
class LiveStatus:
    """Status of the live lane: subscription, proof, trouble."""

    subscribed_at: float | None = None
    proven_until: float = 0.0
    distrusted_until: float = 0.0
    ever_proven: bool = False
    attempts: int = 0
    lane: Lane = Lane.POSTGRES_CHANGES
    refused: bool = False
    trouble: str | None = "not connected yet"

    def subscribed(self, now: float) -> None:
        """Note the server's word that the subscription is ready, which proves nothing yet."""
        self.subscribed_at = now
        self.refused = False
        self.trouble = "subscribed, waiting for the heartbeat row to come back"

    def proved(self, now: float) -> None:
        """Note that a live row or the own heartbeat row arrived."""
        if self.subscribed_at is not None:
            self.proven_until = now + PROVEN_SECONDS
            self.ever_proven = True
            if now >= self.distrusted_until:
                self.trouble = None

    def unproven(self, trouble: str) -> None:
        """Withdraw the proof: it may have lost changes."""
        self.proven_until = 0.0
        self.trouble = trouble

    def lossy(self, trouble: str, now: float) -> None:
        """Distrust the lane for a while: it lost a change.

        Others may still arrive, and the next one is usually lost within seconds.
        """
        self.unproven(trouble)
        self.distrusted_until = now + DISTRUST_SECONDS

    def lost(self, trouble: str, *, refused: bool = False) -> None:
        """Note the end of the subscription; `refused` if the key was not accepted."""
        self.subscribed_at = None
        self.refused = refused
        self.proven_until = 0.0
        self.trouble = trouble

    def proven(self, now: float) -> bool:
        """Whether a change has come through it lately."""
        return self.subscribed_at is not None and self.distrusted_until <= now < self.proven_until


@dataclass(slots=True)
class CatchUpStatus:
    """Status of catch-up.

    Attributes:
        ran_at: End of the last complete run, locked tables aside.
        covered: By endpoint number, when the request of its last complete read was sent.
        busy: By table name, since when it is locked.
        read_at: When the last page of a run under way arrived.
        rows_read: Rows that this run has read so far, such as after a mass deletion.
    """

    stale_seconds: float = STALE_SECONDS
    ran_at: float | None = None
    covered: dict[int, float] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    read_at: float | None = None
    rows_read: int = 0
    refused: bool = False
    trouble: str | None = None

    def completed(
        self, sent_at: float, busy: Iterable[Endpoint] = (), now: float | None = None
    ) -> None:
        """Note that all committed before `sent_at` was published, except of `busy` endpoints."""
        late = {endpoint.number for endpoint in busy}
        self.covered |= {number: sent_at for number in BY_NUMBER if number not in late}
        self.busy = {
            endpoint.name: self.busy.get(endpoint.name, sent_at)
            for endpoint in BY_NUMBER.values()
            if endpoint.number in late
        }
        self.ran_at = sent_at if now is None else now
        self.refused = False
        self.trouble = None
        self._stopped()

    @property
    def covered_at(self) -> float | None:
        """Everything committed before that has been published, of all endpoints."""
        return min(self.covered.values()) if len(self.covered) == len(BY_NUMBER) else None

    def held_back(self, now: float) -> list[str]:
        """Tables that are locked for so long that it matters."""
        return [name for name, since in self.busy.items() if now - since >= BUSY_SECONDS]

    def failed(self, trouble: str, *, refused: bool = False) -> None:
        """A request failed; what is missing stays missing until one succeeds."""
        self.refused = refused
        self.trouble = trouble
        self._stopped()

    def read(self, rows: int, now: float) -> None:
        """Note a page with so many rows, of a run that goes on."""
        self.read_at = now
        self.rows_read += rows

    def reading(self, now: float) -> bool:
        """Whether one is under way whose pages arrive."""
        return self.read_at is not None and now - self.read_at < self.stale_seconds

    def _stopped(self) -> None:
        self.read_at, self.rows_read = None, 0

    def works(self, now: float) -> bool:
        """Whether the last one succeeded, not long ago."""
        return (
            self.ran_at is not None
            and self.trouble is None
            and now - self.ran_at < self.stale_seconds
        )


@dataclass(slots=True)
class UpstreamStatus:
    """Status of both sources of a relay that started at `started_at`."""

    started_at: float
    live: LiveStatus = field(default_factory=LiveStatus)
    catch_up: CatchUpStatus = field(default_factory=CatchUpStatus)

    def state(self, now: float) -> UpstreamState:
        """Return the state that clients are told."""
        proven, works = self.live.proven(now), self.catch_up.works(now)
        if proven and works and not self.catch_up.held_back(now):
            covered = self.debtor() is not None
            return UpstreamState.LIVE if covered else UpstreamState.CATCHING_UP
        if self.catch_up.reading(now) and not works:
            return UpstreamState.CATCHING_UP
        if self._starting(now) and (proven or works or self.catch_up.trouble is None):
            return UpstreamState.CATCHING_UP
        return UpstreamState.DEGRADED if proven or works else UpstreamState.DOWN

    def ready(self, now: float) -> bool:
        """Whether clients get every change in time, by the live lane or by catch-up alone, or as
        fast as they can be read: another relay would have as much to read."""
        if self.catch_up.ran_at is None or self._starting(now):
            return False
        return self.live.proven(now) or self.catch_up.works(now) or self.catch_up.reading(now)

    @property
    def refused(self) -> bool:
        """Whether Supabase does not accept the relay's key."""
        return self.live.refused or self.catch_up.refused

    def troubles(self, now: float, beat_trouble: str | None = None) -> list[str]:
        """Return the reasons for `/readyz`, for people.

        `beat_trouble` is why the heartbeat row cannot be written, None if it can.
        """
        found = []
        if self.refused:
            found.append(
                "Supabase does not accept the relay's key: see RELAY_SUPABASE_KEY, or"
                " SUPABASE_SECRET_KEY where that is not set"
            )
        if not self.live.proven(now):
            trouble = self.live.trouble or "nothing has come through it for a while"
            found.append(f"live lane not proven: {trouble}")
        if beat_trouble is not None and self.catch_up.trouble is None:
            found.append(f"heartbeat is not written: {beat_trouble}")
        found += [
            f"table {name} is locked for {now - self.catch_up.busy[name]:.0f} s: its changes wait"
            for name in self.catch_up.held_back(now)
        ]
        if self.catch_up.trouble is not None:
            found.append(f"catch-up fails: {self.catch_up.trouble}")
        elif self.catch_up.reading(now) and not self.catch_up.works(now):
            found.append(f"catch-up is reading a backlog, {self.catch_up.rows_read} rows so far")
        elif not self.catch_up.works(now):
            found.append("catch-up has not completed yet")
        return found

    def debtor(self, numbers: Iterable[int] = BY_NUMBER) -> float | None:
        """When the subscription began that owes all which catch-up reads of those endpoints from
        now on; None when none does: what was committed before the live lane was subscribed, it will
        not bring."""
        subscribed, covered = self.live.subscribed_at, self.catch_up.covered
        if subscribed is None:
            return None
        owed = all(number in covered and covered[number] >= subscribed for number in numbers)
        return subscribed if owed else None

    def _starting(self, now: float) -> bool:
        return not self.live.ever_proven and now - self.started_at < START_SECONDS
