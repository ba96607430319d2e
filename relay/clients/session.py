"""One client: registered with its group first, then begun, then kept up with or moved on behind.

A session is in one place at a time. Its *beginning* may have to read something. It is *sent to*: it
takes turns, each a piece of bounded size, from a script (the state, or what it missed) and then
from the log. It *waits* for the next flush when it has had more than the others. Or it *keeps up*:
the group writes to it, and nothing here is touched. When its socket is full it falls back to being
sent to, and its turns go on when the client has taken everything.
"""

import logging
from collections.abc import Iterator
from typing import Final

from relay.access.limits import Bucket
from relay.changes import frames
from relay.changes.groups import Format, Group, Left
from relay.changes.log import Overflow
from relay.changes.streams import Stream
from relay.changes.wire import Piece, framed
from relay.clients.beginning import Beginning
from relay.clients.entrance import Admitted
from relay.clients.messages import BadMessage, Said, check_size, parse
from relay.clients.outlet import Outlet
from relay.clients.parameters import Parameters
from relay.clients.state import PIECE_BYTES
from relay.clients.surroundings import Surroundings
from relay.close import CloseCode

logger = logging.getLogger(__name__)

STALLED_SECONDS: Final = 20.0
MOST_ANSWERS: Final = 64
INTERNAL_ERROR: Final = 1011


class Session:
    """Serves one client from its creation until `gone` or `cut`."""

    __slots__ = (
        "_begun_at",
        "_client",
        "_ended",
        "_heard",
        "_moved_at",
        "_outlet",
        "_position",
        "_script",
        "_sent",
        "_shared",
        "_unread",
        "_unsent",
        "_wanted",
        "beginning",
        "group",
        "queued",
        "user",
    )

    def __init__(
        self,
        outlet: Outlet,
        admitted: Admitted,
        wanted: Parameters,
        shared: Surroundings,
        user: str | None = None,
    ) -> None:
        filter = wanted.filter
        self.user: Final = user or admitted.place
        self._outlet = outlet
        self._client = admitted.client
        self._shared = shared
        self._wanted: Parameters | None = wanted
        self.group: Group = shared.streams[filter.endpoint].join(
            admitted.format, filter, self, compressed=admitted.compressed
        )
        self.beginning: Beginning | None = None
        self._script: Iterator[Piece] | None = None
        self._position = self.group.flushed
        self._begun_at = shared.now()
        self._ended = False
        self._heard: Bucket | None = None
        self._sent = 0  # but for those that its group sent since it keeps up
        self._unread = 0
        self._unsent = 0
        self._moved_at = 0.0
        self.queued = False
        shared.journal.came(self._client, filter.endpoint.name, admitted.format.value, str(filter))

    def begin(self) -> None:
        """Sends what the client asked for, and then what changes."""
        wanted, self._wanted = self._wanted, None  # which may be long
        if self._outlet.paused:  # since before there was a session to tell
            self.blocked()
        if wanted is not None and (self.group.format is Format.EVENTS or wanted.last):
            self.beginning = Beginning(self, self._shared)
            self.beginning.start(wanted)
        else:
            self._keep_up()

    def said(self, message: str | bytes) -> None:
        """The client has sent a message."""
        if not self.heard(1):
            return
        try:
            if self.group.format is Format.ROWS:
                check_size(message)
            else:
                # Where no token is asked for every one is as good as none: nothing expires.
                pong = parse(message) is Said.PING
                self.answer(framed(frames.PONG if pong else frames.authenticated(None)))
        except BadMessage as bad:
            self.cut(CloseCode.BAD_MESSAGE, str(bad))

    def heard(self, frames: int) -> bool:
        """The client has sent so many frames; false when they were too many, and it is cut."""
        if self._ended:
            return False
        now, limits = self._shared.now(), self._shared.limits
        if self._heard is None:
            self._heard = Bucket(limits.message_burst, now)
        if self._heard.take(now, limits.messages_per_second, limits.message_burst, frames):
            return True
        self.cut(CloseCode.TOO_MANY_MESSAGES, CloseCode.TOO_MANY_MESSAGES.meaning)
        return False

    def answer(self, frame: bytes) -> None:
        """Sends a frame that answers the client, after its greeting."""
        self._unread += self._outlet.paused
        held_back = 0 if self.beginning is None else self.beginning.unanswered
        if self._unread + held_back >= MOST_ANSWERS:
            self.cut(CloseCode.TOO_MANY_MESSAGES, "answers are not read")
        elif self.beginning is not None:
            self.beginning.answer(frame)
        else:
            self.send(frame)

    def blocked(self) -> None:
        """The client's socket is full."""
        self._shared.blocked.add(self)
        self._unsent, self._moved_at = self._outlet.unsent(), self._shared.now()
        self.group.fall_behind(self)

    def unblocked(self) -> None:
        """The client has taken everything that was written."""
        self._shared.blocked.discard(self)
        self._unread = 0
        self._shared.pacer.add(self)

    def check(self) -> None:
        """Ends the session of a client that does not read; called every second while it is
        blocked."""
        unsent, now = self._outlet.unsent(), self._shared.now()
        if unsent < self._unsent:  # what answers its pings only adds to it
            self._moved_at = now
        self._unsent = unsent
        stalled = now - self._moved_at > STALLED_SECONDS
        if stalled or (self.group.format is Format.ROWS and self._too_far_behind()):
            self.cut(CloseCode.TOO_SLOW, "the client reads too slowly")

    def cut(self, code: CloseCode, reason: str) -> None:
        """Ends the connection with that code."""
        if not self._ended:
            restarting = code is CloseCode.RESTARTING
            self.gone("relay restarts" if restarting else f"{code}: {reason}")
            self._outlet.close(code, reason)

    def fail(self, error: BaseException) -> None:
        """Ends the connection because of a fault of the relay."""
        logger.error("a client could not be served", exc_info=error)
        if not self._ended:
            self.gone("a fault of the relay")
            self._outlet.close(INTERNAL_ERROR, "a fault of the relay")

    def gone(self, reason: str) -> None:
        """The connection is over; nothing is sent any more."""
        if self._ended:
            return
        self._ended = True
        if self.beginning is not None:
            self.beginning.stop()
            self.beginning = None
        self._script = None
        self._stop_keeping_up()
        self._stream.leave(self.group, self)
        self._shared.blocked.discard(self)
        seconds = self._shared.now() - self._begun_at
        endpoint = self.group.wanted.endpoint.name
        self._shared.journal.left(self._client, endpoint, reason, self._sent, seconds)

    def fell_behind(self, left: Left) -> None:
        """The group does not write to it any more."""
        self._sent += left.sent
        self._position = left.position
        self._shared.pacer.add(self)

    def flushed(self) -> None:
        """The group has sent what it had."""
        if self.beginning is not None:
            self.beginning.tell_upstream()
        else:
            self._shared.pacer.add(self)

    def start_anew(self) -> None:
        """What the client holds is of another history."""
        if self.group.format is Format.EVENTS and self.beginning is None:
            self.restart("epoch")

    def restart(self, reason: str) -> None:
        """Tells the client to discard everything, and sends it the newest rows."""
        self._stop_keeping_up()
        self._script = None
        self._shared.counts.resets[reason] += 1
        self.send(framed(frames.reset(reason)))
        self.beginning = Beginning(self, self._shared, told=None)
        self.beginning.send_state(None)

    def play(self, script: Iterator[Piece], position: int) -> None:
        """Sends the script piece by piece, and then the log from `position` on."""
        self.beginning = None
        self.group.waiting.discard(self)
        self._script = script
        self._position = position
        self._shared.pacer.add(self)

    def changes(self, until: int) -> Iterator[Piece]:
        """What the client gets of the log up to `until`, but for announcements; pieces may be
        empty.

        Raises:
            Overflow: some of it has left the log.
        """
        while self._position < until:
            piece, self._position = self.group.read(
                self._position, until, PIECE_BYTES, changes_only=True
            )
            yield piece

    def step(self) -> bool:
        """Sends the next piece; whether another one may follow."""
        if self._ended or self._outlet.paused or self.beginning is not None:
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
        """Sends a frame now."""
        self._write(Piece(frame, 1))

    @property
    def _stream(self) -> Stream:
        return self._shared.streams[self.group.wanted.endpoint]

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
            group.waiting.add(self)
        return None

    def _keep_up(self) -> None:
        group = self.group
        group.waiting.discard(self)
        if self._outlet.paused:
            return  # what waits in there comes first; its turn follows
        if self not in group.keeping:
            group.keep(self, self._outlet.write, self._outlet.descriptor)
            self._sent -= group.sent

    def _stop_keeping_up(self) -> None:
        left = self.group.drop(self)
        if left is not None:
            self._sent += left.sent
        self.group.waiting.discard(self)

    def _overflow(self) -> None:
        if self.group.format is Format.ROWS:
            self.cut(CloseCode.TOO_SLOW, "the client reads too slowly")
        else:
            self.restart("overflow")

    def _too_far_behind(self) -> bool:
        return self.group.log.bytes_behind(self._position) > self._shared.max_behind_bytes

    def _write(self, piece: Piece) -> None:
        self._sent += piece.frames
        self._shared.counts.deliveries[self.group.format.value] += piece.frames
        self._outlet.write(piece.data)
