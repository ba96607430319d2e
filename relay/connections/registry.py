"""All client connections of the process: opens them, times them, drains them at shutdown."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from relay.access.gate import OPEN, Grant, TokenGate
from relay.close_codes import CloseCode
from relay.connections.admission import Admission, Admitted, Decision, Request
from relay.connections.authenticated import (
    AuthenticatedConnection,
    AuthenticationContext,
    UserConnections,
)
from relay.connections.scheduling import Deadlines, Pacer, TimingWheel
from relay.connections.session import ConnectionHandler, Session, SessionContext, Transport
from relay.stream.encoding import HEARTBEAT_SECONDS

DRAIN_SECONDS: Final = 3.0
DRAIN_PAUSE: Final = 0.005  # for each client, as long as there are few
DRAIN_STEP: Final = 0.05


class Timed(Protocol):
    """A connection with a timeout in the timing wheel."""

    def timed_out(self) -> None:
        """Handle the timeout."""


class ConnectionRegistry:
    """Opens sessions and keeps their timers.

    Attributes:
        admission: Decides about handshakes.
        wheel: Timeouts of connections.
        newcomers: Scheduler of connections whose handshake is pending.
        register: Authenticated connections by user.
        compression: Whether permessage-deflate is agreed to.
    """

    def __init__(
        self,
        shared: SessionContext,
        admission: Admission,
        gate: TokenGate | None,
        auth_seconds: float,
        newcomers: Pacer,
        *,
        compression: bool = False,
    ) -> None:
        self._shared = shared
        self._deadlines = Deadlines()
        self.admission: Final = admission
        self.newcomers: Final = newcomers
        self.compression: Final = compression
        self.register: Final = UserConnections()
        self._authentication: AuthenticationContext | None = None
        if gate is not None:
            self._authentication = AuthenticationContext(
                gate=gate,
                limiter=admission.limiter,
                register=self.register,
                deadlines=self._deadlines,
                open=self._session,
                auth_seconds=auth_seconds,
                now=shared.now,
                clock=shared.clock,
            )
        self.wheel: Final = TimingWheel[Timed](HEARTBEAT_SECONDS, shared.now())

    def __len__(self) -> int:
        return sum(sum(stream.members().values()) for stream in self._shared.hub)

    def open(self, transport: Transport, admitted: Admitted) -> ConnectionHandler:
        """Create the handler of an accepted connection; `begin` starts it."""
        if self._authentication is None:
            return self._session(transport, admitted, OPEN)
        return AuthenticatedConnection(transport, admitted, self._authentication)

    def decide(self, request: Request) -> Decision:
        """Decide about a handshake and log a refusal, sampled."""
        decision = self.admission.decide(request)
        if not isinstance(decision, Admitted):
            client = self.admission.client(request)
            self._shared.access_log.refused(client, request.endpoint.name, decision.reason)
        return decision

    def access_changed(self) -> None:
        """Re-evaluate all grants: grants or policies changed."""
        for client in self.register.everybody():
            client.judge_again()

    def turn(self) -> None:
        """Run due timeouts and deadlines; called several times a second."""
        now = self._shared.now()
        for connection in self.wheel.due(now):
            connection.timed_out()
        for act in self._deadlines.due(now):
            act()

    def tick(self) -> None:
        """Run what is due each second, such as looking for clients that do not read."""
        self._shared.access_log.tick()
        self._shared.resumes.tick()
        for stream in self._shared.hub:
            stream.pieces.clear()
        for session in list(self._shared.blocked):
            session.check()

    async def drain(self, gives_up: Callable[[], bool]) -> None:
        """Close all clients at shutdown, spread over a few seconds.

        Otherwise all of them would reconnect at once.
        """
        groups = (group for stream in self._shared.hub for group in stream.groups())
        members = (member for group in groups for member in group.members)
        leaving = [member for member in members if isinstance(member, Session)]
        random.shuffle(leaving)
        steps = max(1, round(min(DRAIN_SECONDS, len(leaving) * DRAIN_PAUSE) / DRAIN_STEP))
        size = -(-len(leaving) // steps)
        for start in range(0, len(leaving), size or 1):
            if gives_up():
                return
            for session in leaving[start : start + size]:
                session.close(CloseCode.RESTARTING, CloseCode.RESTARTING.meaning)
            await asyncio.sleep(DRAIN_STEP)

    def _session(self, transport: Transport, admitted: Admitted, grant: Grant) -> Session:
        wanted = admitted.wanted
        if grant.scope is not None:
            wanted = replace(wanted, filter=replace(wanted.filter, scope=grant.scope))
        user = None if grant.claims is None else grant.claims.user
        return Session(transport, admitted, wanted, self._shared, user)
