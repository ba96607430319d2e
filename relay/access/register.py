"""Who is signed in, so that a user or a session can be cut off. Pure."""

from collections.abc import Iterable
from typing import Protocol

from relay.access.gate import Grant
from relay.access.tokens import Claims


class SignedIn(Protocol):
    """A connection that was granted something by a token."""

    @property
    def grant(self) -> Grant:
        """What it was granted last."""

    def revoke(self, reason: str) -> None:
        """Ends the connection; it is not to come back unchanged."""

    def judge_again(self) -> None:
        """Grants or policies have changed: ends the connection if it would get something else."""


class Register:
    """The connections of each user."""

    def __init__(self) -> None:
        self._by_user: dict[str | None, set[SignedIn]] = {}

    def add(self, connection: SignedIn, claims: Claims) -> None:
        """The connection was let in as that user."""
        self._by_user.setdefault(claims.user, set()).add(connection)

    def remove(self, connection: SignedIn, claims: Claims) -> None:
        """The connection is gone; does no harm when it was not there."""
        connections = self._by_user.get(claims.user, set())
        connections.discard(connection)
        if not connections:
            self._by_user.pop(claims.user, None)

    def everybody(self) -> list[SignedIn]:
        """All connections."""
        return [one for connections in self._by_user.values() for one in connections]

    def of(self, *, user: str | None = None, session: str | None = None) -> list[SignedIn]:
        """The connections of that user, or of that session of whichever user."""
        found: Iterable[SignedIn] = self._by_user.get(user, ()) if user else self.everybody()
        return [one for one in found if session is None or _session(one) == session]


def _session(connection: SignedIn) -> str | None:
    claims = connection.grant.claims
    return None if claims is None else claims.session
