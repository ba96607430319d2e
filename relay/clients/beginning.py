"""How a session begins: the greeting, and what the client missed or the newest rows.

All that has to be read for it is read here, without holding anybody up. Nothing is sent meanwhile
but answers and the state of the relay itself.
"""

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Protocol

from relay.changes import frames
from relay.changes.groups import Format, Group, Member
from relay.changes.wire import Piece, framed
from relay.clients.parameters import Parameters
from relay.clients.places import Unresumable
from relay.clients.resumes import Replay
from relay.clients.state import Cut, State
from relay.clients.surroundings import Surroundings
from relay.errors import Unavailable
from relay.upstream.sources import State as UpstreamState

RETRY_SECONDS: Final = 1.0
# A client takes a relay that does not greet it for dead. Who waits longer is told that it is
# resumed; should that turn out to be impossible, a reset follows.
GREETING_SECONDS: Final = 3.0


class Begun(Member, Protocol):
    """The session that begins."""

    @property
    def group(self) -> Group:
        """What it is a member of."""

    @property
    def user(self) -> str:
        """On whose account something is read for it."""

    @property
    def beginning(self) -> "Beginning | None":
        """The one that is under way."""

    def send(self, frame: bytes) -> None:
        """Sends a frame now."""

    def play(self, script: Iterator[Piece], position: int) -> None:
        """Sends the script piece by piece, and then the log from `position` on."""

    def changes(self, until: int) -> Iterator[Piece]:
        """A part of a script: the log up to `until` but for announcements, which are of the past.

        Raises:
            Overflow: some of it has left the log.
        """

    def restart(self, reason: str) -> None:
        """Tells the client to discard everything, and begins anew."""

    def fail(self, error: BaseException) -> None:
        """Ends the session because of a fault of the relay."""


class Beginning:
    """One attempt; over when the session has something to play."""

    def __init__(
        self, session: Begun, shared: Surroundings, told: UpstreamState | None = UpstreamState.LIVE
    ) -> None:
        self._session = session
        self._group = session.group
        self._events = session.group.format is Format.EVENTS
        self._shared = shared
        self._told = told
        self._greeted = True
        self._held_back: list[bytes] = []
        self._last: int | None = None
        self._finding: asyncio.Task[None] | None = None

    def start(self, wanted: Parameters) -> None:
        """Begins with what the client asked for."""
        if not self._events:
            self.send_state(wanted.last or 0)
        elif wanted.cursor is not None:
            self._resume(wanted.cursor)
        else:
            self._greeted = False
            self._greet("no_cursor")
            self.send_state(wanted.last)

    def stop(self) -> None:
        """The session is over."""
        if self._finding is not None:
            self._finding.cancel()
        self._shared.states.leave(self._group, self)

    @property
    def user(self) -> str:
        """On whose account something is read for it."""
        return self._session.user

    def answer(self, frame: bytes) -> None:
        """Sends it after the greeting."""
        if self._greeted:
            self._session.send(frame)
        else:
            self._held_back.append(frame)

    @property
    def unanswered(self) -> int:
        """How many answers wait for the greeting."""
        return len(self._held_back)

    def tell_upstream(self) -> None:
        """Tells the state of the relay itself if the client knows another one."""
        if self._greeted:
            for frame in self._upstream_news():
                self._session.send(frame)

    def send_state(self, last: int | None) -> None:
        """Sends rows as soon as they are known: exactly the newest `last`, or the newest and all
        open ones."""
        self._last = last
        self.tell_upstream()
        found = self._shared.states.at_once(self._group, last)
        if found is not None:
            self._play_state(*found)
        else:
            self._group.waiting.add(self._session)
            self._shared.states.read(self._group, self, last)

    def got_state(self, state: State | BaseException) -> None:
        """What was waited for."""
        if self._session.beginning is not self:
            return  # it begins anew
        if isinstance(state, BaseException):
            self._session.fail(state)
            return
        cut = self._shared.states.cut(state, self._group, self._last)
        if cut is not None:
            self._play_state(state, cut)
        else:
            self.send_state(self._last)

    def _play_state(self, state: State, cut: Cut) -> None:
        self._session.play(self._state_script(state, cut), cut.position)

    def _state_script(self, state: State, cut: Cut) -> Iterator[Piece]:
        yield from cut.rows
        if self._events:
            yield from self._session.changes(self._group.flushed)
            yield self._synced(state.cursor, complete=cut.complete)

    def _resume(self, presented: str) -> None:
        self._greeted = False
        try:
            replay = self._shared.resumes.at_once(presented, self._group)
        except Unresumable as refused:
            self._refuse(refused.reason)
            return
        except Unavailable:
            replay = None
        if replay is not None:
            self._play_replay(replay)
            return
        self._group.waiting.add(self._session)
        self._finding = asyncio.create_task(self._find(presented), name="resuming")
        self._finding.add_done_callback(self._found)

    async def _find(self, presented: str) -> None:
        late = asyncio.get_running_loop().call_later(GREETING_SECONDS, self._greet_late)
        try:
            while True:
                try:
                    replay = await self._shared.resumes.find(presented, self._group)
                    break
                except Unavailable:
                    await asyncio.sleep(RETRY_SECONDS)
        except Unresumable as refused:
            self._refuse(refused.reason)
        else:
            self._play_replay(replay)
        finally:
            late.cancel()

    def _found(self, finding: "asyncio.Task[None]") -> None:
        if not finding.cancelled() and (error := finding.exception()) is not None:
            self._session.fail(error)

    def _greet_late(self) -> None:
        self._greet(None)
        self.tell_upstream()

    def _greet(self, reason: str | None) -> None:
        if self._greeted:
            return
        self._greeted = True
        self._session.send(_hello(self._group.wanted.endpoint.name, reason))
        for frame in self._held_back:
            self._session.send(frame)
        self._held_back.clear()

    def _refuse(self, reason: str) -> None:
        self._greet(reason)
        self._session.restart(reason)

    def _play_replay(self, replay: Replay) -> None:
        self._greet(None)
        self._session.play(self._replay_script(replay), replay.position)

    def _replay_script(self, replay: Replay) -> Iterator[Piece]:
        yield from replay.before
        yield from self._session.changes(max(replay.until, self._group.flushed))
        yield self._synced(replay.cursor, complete=True)

    def _synced(self, cursor: str | None, *, complete: bool) -> Piece:
        last = [*self._upstream_news(), framed(frames.synced(cursor, complete=complete))]
        return Piece(b"".join(last), len(last))

    def _upstream_news(self) -> Iterator[bytes]:
        upstream = self._shared.upstream_state()
        if self._events and upstream is not self._told:
            self._told = upstream
            yield framed(frames.status(upstream))


@lru_cache(maxsize=64)
def _hello(endpoint: str, reason: str | None) -> bytes:
    return framed(frames.hello(endpoint, resumed=reason is None, reason=reason))
