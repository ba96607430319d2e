"""A connection that needs a token: authenticates, is served while it is valid, and renews it.

Before a valid token nothing else is kept for it, and nothing is sent to it but, in relay.v1,
`token_required`.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay.access.gate import OPEN, Denied, Grant, NotReady, TokenGate
from relay.access.limits import ConnectionLimiter, LimitReached
from relay.access.tokens import LEEWAY_SECONDS, Claims, NotCurrent, UnknownKey
from relay.close_codes import CloseCode
from relay.connections.admission import Admitted
from relay.connections.messages import BadMessage, token_in
from relay.connections.scheduling import Deadline, Deadlines
from relay.connections.session import Session, Transport
from relay.stream import encoding
from relay.stream.change import Endpoint
from relay.stream.encoding import Format, framed

logger = logging.getLogger(__name__)


class UserConnections:
    """Index of authenticated connections by user."""

    def __init__(self) -> None:
        self._by_user: dict[str | None, set[AuthenticatedConnection]] = {}

    def add(self, connection: "AuthenticatedConnection", claims: Claims) -> None:
        """Add an authenticated connection."""
        self._by_user.setdefault(claims.user, set()).add(connection)

    def remove(self, connection: "AuthenticatedConnection", claims: Claims) -> None:
        """Remove a connection, if it is there."""
        connections = self._by_user.get(claims.user, set())
        connections.discard(connection)
        if not connections:
            self._by_user.pop(claims.user, None)

    def everybody(self) -> "list[AuthenticatedConnection]":
        """All connections."""
        return [one for connections in self._by_user.values() for one in connections]

    def of(
        self, *, user: str | None = None, session: str | None = None
    ) -> "list[AuthenticatedConnection]":
        """The connections of that user, or of that session of whichever user."""
        found = self._by_user.get(user, ()) if user else self.everybody()
        claimed = ((one, one.grant.claims) for one in found)
        return [one for one, claims in claimed if session in (None, claims and claims.session)]


@dataclass(frozen=True, slots=True)
class AuthenticationContext:
    """Shared parts of authenticated connections; `open` makes a session."""

    gate: TokenGate
    limiter: ConnectionLimiter
    register: UserConnections
    deadlines: Deadlines
    open: Callable[[Transport, Admitted, Grant], Session]
    auth_seconds: float
    now: Callable[[], float]
    clock: Callable[[], float]  # seconds since 1970


WARNING_SECONDS: Final = 30.0
MOST_FRAMES_BEFORE: Final = 64
KEYS_UNKNOWN: Final = "the signing keys cannot be looked up now"


class AuthenticatedConnection:
    """One connection from acceptance to close: token, session, renewal, expiry.

    What it does as a `ConnectionHandler` says that protocol.
    """

    __slots__ = (
        "_admitted",
        "_deadline",
        "_ended",
        "_endpoint",
        "_events",
        "_frames",
        "_judging",
        "_place",
        "_session",
        "_shared",
        "_transport",
        "_warned_of",
        "grant",
    )

    def __init__(
        self, transport: Transport, admitted: Admitted, shared: AuthenticationContext
    ) -> None:
        self._transport = transport
        self._admitted: Admitted | None = admitted  # forgotten with its cursor once it is let in
        self._place = admitted.place
        self._endpoint: Endpoint = admitted.wanted.filter.endpoint
        self._events = admitted.format is Format.EVENTS
        self._shared = shared
        self._session: Session | None = None
        self._deadline: Deadline | None = None
        self._judging: asyncio.Task[None] | None = None
        self._ended = False
        self._frames = 0  # but for messages, before it was let in
        self._warned_of: float | None = None  # the end of a token, of which the client knows
        self.grant = OPEN

    def begin(self) -> None:
        """Start the session if the token came with the handshake, else wait for one."""
        admitted = self._admitted
        if admitted is not None and admitted.grant is not None:
            self._let_in(admitted, admitted.grant)
            return
        self._remind(self._shared.auth_seconds, self._too_late)
        if admitted is not None and admitted.token is not None:
            self._show(admitted.token)
        elif self._events:
            self._transport.write(framed(encoding.TOKEN_REQUIRED))

    def receive(self, message: str | bytes) -> None:
        if self._ended:  # a server may bring what came before it could close
            return
        try:
            token = token_in(message)
        except BadMessage as exc:
            self.close(CloseCode.BAD_MESSAGE, str(exc))
            return
        if token is None and self._session is None:
            self.close(CloseCode.UNAUTHORIZED, 'the first message has to be {"type":"auth", ...}')
        elif self._session is None:
            self._show(token or "")
        elif token is None:
            self._session.receive(message)
        elif self._session.count_frames(1):
            self._show(token)

    def count_frames(self, frames: int) -> bool:
        if self._session is not None:
            return self._session.count_frames(frames)
        self._frames += frames
        if self._frames <= MOST_FRAMES_BEFORE:
            return True
        self.close(CloseCode.TOO_MANY_MESSAGES, CloseCode.TOO_MANY_MESSAGES.meaning)
        return False

    def blocked(self) -> None:
        if self._session is not None:
            self._session.blocked()

    def unblocked(self) -> None:
        if self._session is not None:
            self._session.unblocked()

    def revoke(self, reason: str) -> None:
        """End the connection; it is not to come back unchanged."""
        self.close(CloseCode.UNAUTHORIZED, reason)

    def require_reconnect(self, reason: str) -> None:
        """Close so that the client comes back for its current grant."""
        self.close(CloseCode.TOKEN_EXPIRED, reason)

    def judge_again(self) -> None:
        """Re-evaluate the grant: grants or policies changed."""
        claims = self.grant.claims
        if claims is None:
            return
        try:
            grant = self._shared.gate.judge(claims, self._endpoint)
        except Denied as exc:
            self.revoke(str(exc))
        except NotReady:
            self.require_reconnect("what the token gets is not known")
        else:
            if grant.scope != self.grant.scope:
                self.require_reconnect("what the token gets has changed")

    def close(self, code: CloseCode, reason: str) -> None:
        if self._session is not None:
            self._session.close(code, reason)
        elif not self._ended:
            self._transport.close(code, reason)
        self._end()

    def connection_lost(self, reason: str) -> None:
        if self._session is not None:
            self._session.connection_lost(reason)
        self._end()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._admitted = None
        if self._judging is not None:
            self._judging.cancel()
        if self._deadline is not None:
            self._deadline.cancel()
        claims = self.grant.claims
        if claims is not None:
            self._shared.register.remove(self, claims)
            if claims.user is not None:
                self._shared.limiter.sign_out(claims.user)

    def _show(self, token: str) -> None:
        if self._judging is not None:
            self.close(CloseCode.TOO_MANY_MESSAGES, "a token is being judged already")
            return
        try:
            self._judge(token)
        except UnknownKey as exc:
            self._judging = asyncio.create_task(self._look_for_key(exc, token), name="signing keys")
            self._judging.add_done_callback(self._judged)

    async def _look_for_key(self, unknown: UnknownKey, token: str) -> None:
        looked = await self._shared.gate.look_for(unknown, self._place)
        self._judging = None  # the end of the connection must not cancel what ends it
        try:
            self._judge(token)
        except UnknownKey:
            if looked:
                self.revoke(str(unknown))
            else:
                self.close(CloseCode.OVERLOADED, KEYS_UNKNOWN)

    def _judge(self, token: str) -> None:
        try:
            grant = self._shared.gate.admit(token, self._endpoint)
        except NotCurrent as exc:
            self.require_reconnect(str(exc))
        except Denied as exc:
            self.revoke(str(exc))
        except NotReady:
            self.close(CloseCode.OVERLOADED, "the relay is not ready")
        else:
            if self._admitted is not None:
                self._let_in(self._admitted, grant)
            else:
                self._renew(grant)

    def _judged(self, task: asyncio.Task[None]) -> None:
        if self._judging is task:
            self._judging = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a token could not be judged", exc_info=error)
            self.close(CloseCode.OVERLOADED, "a fault of the relay")

    def _let_in(self, admitted: Admitted, grant: Grant) -> None:
        claims = grant.claims
        if claims is not None and claims.user is not None:
            try:
                self._shared.limiter.sign_in(claims.user)
            except LimitReached as exc:
                self.close(CloseCode.OVERLOADED, str(exc))
                return
        self.grant = grant
        self._admitted = None
        self._session = self._shared.open(self._transport, admitted, grant)
        self._session.begin()
        if claims is not None:
            self._shared.register.add(self, claims)
            self._arm(claims)

    def _renew(self, grant: Grant) -> None:
        former, claims = self.grant.claims, grant.claims
        if former is None or claims is None:
            return
        if (claims.user, claims.role) != (former.user, former.role):
            self.revoke("the token is another user's")
        elif grant.scope != self.grant.scope:
            self.require_reconnect("what the token gets has changed")
        else:
            self.grant = grant
            self._arm(claims)
            if self._events and self._session is not None:
                left = max(0, round(claims.expires - self._shared.clock()))
                self._session.answer(framed(encoding.authenticated(left)))

    def _arm(self, claims: Claims) -> None:
        left = claims.expires - self._shared.clock()
        if left <= 0:  # good only because clocks differ
            self._remind(left + LEEWAY_SECONDS, self._expired)
        elif not self._events or left <= WARNING_SECONDS:
            self._remind(left, self._expired)
            if self._events and self._warned_of != claims.expires:
                self._warn(left)
        else:
            self._remind(left - WARNING_SECONDS, self._expiring)

    def _expiring(self) -> None:
        self._remind(WARNING_SECONDS, self._expired)
        self._warn(WARNING_SECONDS)

    def _warn(self, seconds: float) -> None:
        self._warned_of = None if self.grant.claims is None else self.grant.claims.expires
        if self._session is not None:
            self._session.answer(framed(encoding.token_expiring(round(seconds))))

    def _expired(self) -> None:
        self.close(CloseCode.TOKEN_EXPIRED, CloseCode.TOKEN_EXPIRED.meaning)

    def _too_late(self) -> None:
        if self._judging is None:
            self.close(CloseCode.UNAUTHORIZED, "no token came in time")
        else:
            self.close(CloseCode.OVERLOADED, KEYS_UNKNOWN)

    def _remind(self, seconds: float, act: Callable[[], None]) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._shared.deadlines.at(self._shared.now() + seconds, act)
