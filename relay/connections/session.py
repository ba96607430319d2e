"""One client: joins its group, sends the initial state or the missed changes, then streams.

A session is in one of four phases. In its *initial sync* it may have to read something, without
holding anybody up. It *replays*: it takes turns, each a piece of bounded size, from a script (the
initial state or the missed changes) and then from the log. It *waits* for the next flush when it
has had more than its group. Or it is *caught up*: the group writes to it, and nothing here runs.
When its socket is full it goes back to replaying once the client has taken everything.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from relay.access.limits import Limits, TokenBucket
from relay.close_codes import CloseCode
from relay.connections.access_log import AccessLog
from relay.connections.admission import Admitted, Parameters
from relay.connections.messages import BadMessage, MessageKind, check_size, parse
from relay.connections.scheduling import Pacer
from relay.errors import Unavailable
from relay.resume.cursor import Unresumable
from relay.resume.initial_state import InitialState, StateSlice
from relay.resume.resume import Replay, Resumer
from relay.resume.state_reader import InitialStates
from relay.stream import encoding
from relay.stream.counters import Counters
from relay.stream.encoding import PIECE_BYTES, Format, Piece, framed
from relay.stream.fan_out import Departure
from relay.stream.hub import Group, Hub
from relay.stream.log import Overflow
from relay.upstream.state import UpstreamState

logger = logging.getLogger(__name__)


class ConnectionHandler(Protocol):
    """Receiver of transport events: a session, or a connection that has yet to authenticate."""

    def begin(self) -> None:
        """Start serving the client."""

    def receive(self, message: str | bytes) -> None:
        """Handle a message of the client."""

    def count_frames(self, frames: int) -> bool:
        """Count frames; return false, and close, if they exceed the rate limit."""

    def blocked(self) -> None:
        """Backpressure begins: the socket is full."""

    def unblocked(self) -> None:
        """Backpressure ends: everything written was taken."""

    def close(self, code: CloseCode, reason: str) -> None:
        """End the connection with that code."""

    def connection_lost(self, reason: str) -> None:
        """Release everything: the connection ended; nothing is sent any more."""


class Transport(Protocol):
    """An accepted WebSocket connection, for whole frames. No method blocks."""

    @property
    def paused(self) -> bool:
        """Whether the socket is full; `unblocked` follows when it no longer is."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Sends frames, after all that was written before."""

    @property
    def descriptor(self) -> int | None:
        """The socket, if it takes frames as they are while nothing waits before it; else None."""

    def unsent(self) -> int:
        """Return the number of bytes not taken yet."""

    def close(self, code: int, reason: str) -> None:
        """Send what was written and the close code, wait a little for the answer, and end."""

    def abort(self) -> None:
        """End the connection at once, whatever is still to be sent; does no harm later."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """Shared parts of sessions; `blocked` are the sessions whose sockets are full."""

    hub: Hub
    states: InitialStates
    resumes: Resumer
    pacer: Pacer
    upstream_state: Callable[[], UpstreamState]  # the one that was announced last
    counts: Counters
    now: Callable[[], float]
    clock: Callable[[], float]  # seconds since 1970
    max_behind_bytes: int
    compresses_changes: bool = False  # not only initial states
    limits: Limits = field(default_factory=Limits)
    access_log: AccessLog = field(default_factory=AccessLog)
    blocked: "set[Session]" = field(default_factory=set)


RETRY_SECONDS: Final = 1.0
# A client takes a relay that does not greet it for dead. Who waits longer is told that it is
# resumed; should that turn out to be impossible, a reset follows.
GREETING_SECONDS: Final = 3.0


class InitialSync:
    """Sends the greeting, then the initial state or the missed changes.

    Reads do not hold anybody up; meanwhile only answers and upstream status are sent.
    """

    def __init__(
        self,
        session: "Session",
        shared: SessionContext,
        told: UpstreamState | None = UpstreamState.LIVE,
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
        """Begin with what the client asked for."""
        if not self._events:
            self.send_state(wanted.last or 0)
        elif wanted.cursor is not None:
            self._resume(wanted.cursor)
        else:
            self._greeted = False
            self._greet("no_cursor")
            self.send_state(wanted.last)

    def stop(self) -> None:
        """Cancel reads: the session ended."""
        if self._finding is not None:
            self._finding.cancel()
        self._shared.states.leave(self._group, self)

    @property
    def user(self) -> str:
        """The user whose share of reads it counts for."""
        return self._session.user

    def answer(self, frame: bytes) -> None:
        """Send it after the greeting."""
        if self._greeted:
            self._session.send(frame)
        else:
            self._held_back.append(frame)

    @property
    def unanswered(self) -> int:
        """How many answers wait for the greeting."""
        return len(self._held_back)

    def send_upstream_state(self) -> None:
        """Send the upstream state if the client knows another one."""
        if self._greeted:
            for frame in self._upstream_news():
                self._session.send(frame)

    def send_state(self, last: int | None) -> None:
        """Send the initial state once it is known.

        Args:
            last: Exactly that many of the newest rows; None for the newest and all open ones.
        """
        self._last = last
        self.send_upstream_state()
        found = self._shared.states.at_once(self._group, last)
        if found is not None:
            self._play_state(*found)
        else:
            self._group.stream.waiting.add(self._session)
            self._shared.states.read(self._group, self, last)

    def receive_state(self, state: InitialState | BaseException) -> None:
        """Receive the initial state that was waited for."""
        if self._session.initial_sync is not self:
            return  # it begins anew
        if isinstance(state, BaseException):
            self._session.fail(state)
            return
        part = self._shared.states.slice(state, self._group, self._last, fresh=True)
        if part is not None:
            self._play_state(state, part)
        else:
            self.send_state(self._last)

    def _play_state(self, state: InitialState, part: StateSlice) -> None:
        self._session.play(self._state_script(state, part), part.position)

    def _state_script(self, state: InitialState, part: StateSlice) -> Iterator[Piece]:
        how = self._session.compression
        yield from part.rows if how is None else part.rows.compressed(how)
        if self._events:
            yield from self._session.changes(self._group.flushed)
            yield self._synced(state.cursor, complete=part.complete)

    def _resume(self, presented: str) -> None:
        self._greeted = False
        try:
            replay = self._shared.resumes.at_once(presented, self._group)
        except Unresumable as exc:
            self._refuse(exc.reason)
            return
        except Unavailable:
            replay = None
        if replay is not None:
            self._play_replay(replay)
            return
        self._group.stream.waiting.add(self._session)
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
        except Unresumable as exc:
            self._refuse(exc.reason)
        else:
            self._play_replay(replay)
        finally:
            late.cancel()

    def _found(self, finding: "asyncio.Task[None]") -> None:
        if not finding.cancelled() and (error := finding.exception()) is not None:
            self._session.fail(error)

    def _greet_late(self) -> None:
        self._greet(None)
        self.send_upstream_state()

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
        last = [*self._upstream_news(), framed(encoding.synced(cursor, complete=complete))]
        return Piece(b"".join(last), len(last))

    def _upstream_news(self) -> Iterator[bytes]:
        upstream = self._shared.upstream_state()
        if self._events and upstream is not self._told:
            self._told = upstream
            yield framed(encoding.status(upstream))


@lru_cache(maxsize=64)
def _hello(endpoint: str, reason: str | None) -> bytes:
    return framed(encoding.hello(endpoint, resumed=reason is None, reason=reason))


STALLED_SECONDS: Final = 20.0
MOST_ANSWERS: Final = 64
INTERNAL_ERROR: Final = 1011


class Session:
    """One client, from creation until `connection_lost` or `close`.

    What it does as a `ConnectionHandler` and as a `Subscriber` say those protocols.
    """

    __slots__ = (
        "_begun_at",
        "_client",
        "_ended",
        "_message_bucket",
        "_moved_at",
        "_position",
        "_script",
        "_sent",
        "_shared",
        "_transport",
        "_unread",
        "_unsent",
        "_wanted",
        "compression",
        "group",
        "initial_sync",
        "queued",
        "user",
    )

    def __init__(
        self,
        transport: Transport,
        admitted: Admitted,
        wanted: Parameters,
        shared: SessionContext,
        user: str | None = None,
    ) -> None:
        filter = wanted.filter
        self.user: Final = user or admitted.place
        self._transport = transport
        self._client = admitted.client
        self._shared = shared
        self._wanted: Parameters | None = wanted
        self.group: Group = shared.hub[filter.endpoint].join(
            admitted.format,
            filter,
            self,
            compressed=admitted.compression is not None and shared.compresses_changes,
        )
        self.compression: Final = admitted.compression
        self.initial_sync: InitialSync | None = None
        self._script: Iterator[Piece] | None = None
        self._position = self.group.flushed
        self._begun_at = shared.now()
        self._ended = False
        self._message_bucket: TokenBucket | None = None
        self._sent = 0  # but for those that its group sent since it keeps up
        self._unread = 0
        self._unsent = 0
        self._moved_at = 0.0
        self.queued = False
        shared.access_log.connected(
            self._client, filter.endpoint.name, admitted.format.value, str(filter)
        )

    def begin(self) -> None:
        """Start: initial sync if the client asked for it, then streaming."""
        wanted, self._wanted = self._wanted, None  # which may be long
        if self._transport.paused:  # since before there was a session to tell
            self.blocked()
        if wanted is not None and (self.group.format is Format.EVENTS or wanted.last):
            self.initial_sync = InitialSync(self, self._shared)
            self.initial_sync.start(wanted)
        else:
            self._keep_up()

    def receive(self, message: str | bytes) -> None:
        if not self.count_frames(1):
            return
        try:
            if self.group.format is Format.ROWS:
                check_size(message)
            else:
                # Where no token is asked for every one is as good as none: nothing expires.
                pong = parse(message) is MessageKind.PING
                self.answer(framed(encoding.PONG if pong else encoding.authenticated(None)))
        except BadMessage as exc:
            self.close(CloseCode.BAD_MESSAGE, str(exc))

    def count_frames(self, frames: int) -> bool:
        if self._ended:
            return False
        now, limits = self._shared.now(), self._shared.limits
        if self._message_bucket is None:
            self._message_bucket = TokenBucket(limits.message_burst, now)
        if self._message_bucket.take(now, limits.messages_per_second, limits.message_burst, frames):
            return True
        self.close(CloseCode.TOO_MANY_MESSAGES, CloseCode.TOO_MANY_MESSAGES.meaning)
        return False

    def answer(self, frame: bytes) -> None:
        """Send an answer, after the greeting."""
        self._unread += self._transport.paused
        held_back = 0 if self.initial_sync is None else self.initial_sync.unanswered
        if self._unread + held_back >= MOST_ANSWERS:
            self.close(CloseCode.TOO_MANY_MESSAGES, "answers are not read")
        elif self.initial_sync is not None:
            self.initial_sync.answer(frame)
        else:
            self.send(frame)

    def blocked(self) -> None:
        """Backpressure: the socket is full."""
        self._shared.blocked.add(self)
        self._unsent, self._moved_at = self._transport.unsent(), self._shared.now()
        self.group.fall_behind(self)

    def unblocked(self) -> None:
        """The client has taken everything that was written."""
        self._shared.blocked.discard(self)
        self._unread = 0
        self._shared.pacer.add(self)

    def check(self) -> None:
        """Close the session of a client that does not read; called every second while blocked."""
        unsent, now = self._transport.unsent(), self._shared.now()
        if unsent < self._unsent:  # what answers its pings only adds to it
            self._moved_at = now
        self._unsent = unsent
        stalled = now - self._moved_at > STALLED_SECONDS
        if stalled or (self.group.format is Format.ROWS and self._too_far_behind()):
            self.close(CloseCode.TOO_SLOW, "the client reads too slowly")

    def close(self, code: CloseCode, reason: str) -> None:
        if not self._ended:
            restarting = code is CloseCode.RESTARTING
            self.connection_lost("relay restarts" if restarting else f"{code}: {reason}")
            self._transport.close(code, reason)

    def fail(self, error: BaseException) -> None:
        """Close with 1011 because of a fault of the relay."""
        logger.error("a client could not be served", exc_info=error)
        if not self._ended:
            self.connection_lost("a fault of the relay")
            self._transport.close(INTERNAL_ERROR, "a fault of the relay")

    def connection_lost(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        if self.initial_sync is not None:
            self.initial_sync.stop()
            self.initial_sync = None
        self._script = None
        self._stop_keeping_up()
        self.group.stream.leave(self.group, self)
        self._shared.blocked.discard(self)
        seconds = self._shared.now() - self._begun_at
        endpoint = self.group.wanted.endpoint.name
        self._shared.access_log.disconnected(self._client, endpoint, reason, self._sent, seconds)

    def fell_behind(self, left: Departure) -> None:
        self._sent += left.sent
        self._position = left.position
        self._shared.pacer.add(self)

    def flushed(self) -> None:
        if self.initial_sync is not None:
            self.initial_sync.send_upstream_state()
        else:
            self._shared.pacer.add(self)

    def start_anew(self) -> None:
        """Reset, unless the initial sync is under way: the history is another one."""
        if self.group.format is Format.EVENTS and self.initial_sync is None:
            self.restart("epoch")

    def restart(self, reason: str) -> None:
        """Reset: the client has to discard everything and gets the initial state."""
        self._stop_keeping_up()
        self._script = None
        self._shared.counts.resets[reason] += 1
        self.send(framed(encoding.reset(reason)))
        self.initial_sync = InitialSync(self, self._shared, told=None)
        self.initial_sync.send_state(None)

    def play(self, script: Iterator[Piece], position: int) -> None:
        """Replay the script piece by piece, then the log from `position` on."""
        self.initial_sync = None
        self.group.stream.waiting.discard(self)
        self._script = script
        self._position = position
        self._shared.pacer.add(self)

    def changes(self, until: int) -> Iterator[Piece]:
        """Yield the changes of the log up to `until`, without announcements; pieces may be
        empty.

        Raises:
            Overflow: Some of it has left the log.
        """
        while self._position < until:
            piece, self._position = self.group.read(
                self._position, until, PIECE_BYTES, changes_only=True
            )
            yield piece

    def step(self) -> bool:
        """Send the next piece; true when another one may follow."""
        if self._ended or self._transport.paused or self.initial_sync is not None:
            return False
        try:
            piece = self._next()
        except Overflow:
            self._overflow()
            return False
        if piece is not None and piece.frames:
            self._write(piece)
        return piece is not None

    def send(self, frame: bytes) -> None:
        """Send a frame now."""
        self._write(Piece(frame, 1))

    def _next(self) -> Piece | None:
        if self._script is not None:
            for piece in self._script:
                return piece
            self._script = None
        group = self.group
        if self._position < group.flushed:
            if self._too_far_behind():
                raise Overflow
            piece, self._position = group.read(self._position, group.flushed, PIECE_BYTES)
            return piece
        if self._position == group.flushed:
            self._keep_up()
        else:
            group.stream.waiting.add(self)
        return None

    def _keep_up(self) -> None:
        group = self.group
        group.stream.waiting.discard(self)
        if self._transport.paused:
            return  # what waits in there comes first; its turn follows
        if self not in group.caught_up:
            group.keep(self, self._transport.write, self._transport.descriptor)
            self._sent -= group.sent

    def _stop_keeping_up(self) -> None:
        left = self.group.drop(self)
        if left is not None:
            self._sent += left.sent
        self.group.stream.waiting.discard(self)

    def _overflow(self) -> None:
        if self.group.format is Format.ROWS:
            self.close(CloseCode.TOO_SLOW, "the client reads too slowly")
        else:
            self.restart("overflow")

    def _too_far_behind(self) -> bool:
        return self.group.log.bytes_behind(self._position) > self._shared.max_behind_bytes

    def _write(self, piece: Piece) -> None:
        self._sent += piece.frames
        self._shared.counts.deliveries[self.group.format.value] += piece.frames
        self._transport.write(piece.data)
