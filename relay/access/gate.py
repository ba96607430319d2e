"""Decides what the holder of a token gets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from relay.access.jwks import Jwks
from relay.access.policies import NotServed, Scoping, scope_of
from relay.access.tokens import BadToken, Claims, Key, NotCurrent, Rules, UnknownKey, verify
from relay.access.watch import AccessWatch
from relay.changes.endpoints import Endpoint


class NotReady(Exception):
    """Nothing can be decided yet: the database has not said who may see what."""


class Denied(Exception):
    """The token gets nothing; the text may be told to who brought it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a connection gets, and until when; `scope` is a column and the values whose rows it
    gets, None for the whole table.

    A grant without `claims` is that of an open gate: nobody in particular, for ever.
    """

    claims: Claims | None = None
    scope: tuple[str, tuple[str, ...]] | None = None


OPEN: Final = Grant()


class Gate(Protocol):
    """Who may connect."""

    @property
    def required(self) -> bool:
        """Whether a token is needed."""

    def admit(self, token: str, endpoint: Endpoint) -> Grant:
        """What the token gets at that endpoint.

        Raises:
            UnknownKey: it is signed by a key that is not known.
            NotCurrent: it has expired or is not valid yet.
            Denied: the token is bad, or its role is not served.
            NotReady: it cannot be said yet.
        """


class OpenGate:
    """Lets everybody in."""

    required: Final = False

    def admit(self, token: str, endpoint: Endpoint) -> Grant:
        """The whole table, whatever the token says."""
        return OPEN


class TokenGate:
    """Lets in who has a good token of a role that may see the whole table, or its scope of it."""

    required: Final = True

    def __init__(
        self,
        *,
        secret: Key | None,
        jwks: Jwks,
        watch: AccessWatch,
        rules: Rules,
        scoping: Scoping | None,
        clock: Callable[[], float],
    ) -> None:
        self._secret: Final = () if secret is None else (secret,)
        self._jwks: Final = jwks
        self._watch: Final = watch
        self._rules: Final = rules
        self._scoping: Final = scoping
        self._clock: Final = clock

    def admit(self, token: str, endpoint: Endpoint) -> Grant:
        """What the token gets at that endpoint; raises as `Gate.admit` says.

        After an UnknownKey `look_for` may have brought the key.
        """
        try:
            claims = verify(token, (*self._secret, *self._jwks.keys), self._rules, self._clock())
        except (UnknownKey, NotCurrent):
            raise
        except BadToken as error:
            raise Denied(str(error)) from None
        return self.judge(claims, endpoint)

    def judge(self, claims: Claims, endpoint: Endpoint) -> Grant:
        """What who was let in with these claims gets now.

        Raises:
            Denied: the role is not served any more.
            NotReady: it cannot be said yet.
        """
        if self._watch.access is None:
            raise NotReady
        try:
            scope = scope_of(
                self._watch.access, claims.role, endpoint, self._scoping, claims.metadata
            )
        except NotServed:
            raise Denied("the relay does not serve this role; its log says why") from None
        if scope is None or self._scoping is None:
            return Grant(claims)
        return Grant(claims, (self._scoping.column, tuple(sorted(scope))))

    async def look_for(self, unknown: UnknownKey, place: str) -> bool:
        """Asks the project for its signing keys on behalf of that place; false when that cannot be
        done now, so that nobody knows whether there is such a key."""
        return await self._jwks.look_for(unknown.key, place)
