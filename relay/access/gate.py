"""Decides what the holder of a token may receive, and keeps keys and policies up to date."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from relay.access.jwks import Jwks
from relay.access.policies import Access, NotServed, PolicyMonitor, Scoping, scope_of
from relay.access.tokens import BadToken, Claims, Key, NotCurrent, Rules, UnknownKey, shared, verify
from relay.stream.change import Endpoint


class NotReady(Exception):
    """Raised before the first answer about grants and policies; nothing can be decided yet."""


class Denied(Exception):
    """The token is not authorised; the text may be shown to its holder."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a connection may receive.

    Attributes:
        claims: Whose token it is and until when it is valid; None when access control is off.
        scope: A column and the values whose rows are granted; None for the whole table.
    """

    claims: Claims | None = None
    scope: tuple[str, tuple[str, ...]] | None = None


OPEN: Final = Grant()


class Gate(Protocol):
    """Authorises tokens."""

    @property
    def required(self) -> bool:
        """Whether a token is required."""

    def admit(self, token: str, endpoint: Endpoint) -> Grant:
        """Verify the token and return its grant for that endpoint.

        Raises:
            UnknownKey: It is signed by a key that is not known.
            NotCurrent: It has expired or is not valid yet.
            Denied: The token is bad, or its role is not served.
            NotReady: Grants and policies are not known yet.
        """


class OpenGate:
    """Grants everything to everybody: RELAY_AUTH=off."""

    required: Final = False

    def admit(self, token: str, endpoint: Endpoint) -> Grant:
        """Return the grant for the whole table."""
        return OPEN


@dataclass(frozen=True, kw_only=True, repr=False)
class TokenGate:
    """Grants a valid token the whole table or its scope, as the policies of its role allow."""

    required: ClassVar = True

    secret: Key | None
    jwks: Jwks
    watch: PolicyMonitor
    rules: Rules
    scoping: Scoping | None
    clock: Callable[[], float]

    def admit(self, token: str, endpoint: Endpoint) -> Grant:
        """Verify the token and return its grant; raises as `Gate.admit` says.

        After an UnknownKey, `look_for` may fetch the key.
        """
        keys = self.jwks.keys if self.secret is None else (self.secret, *self.jwks.keys)
        try:
            claims = verify(token, keys, self.rules, self.clock())
        except (UnknownKey, NotCurrent):
            raise
        except BadToken as exc:
            raise Denied(str(exc)) from None
        return self.judge(claims, endpoint)

    def judge(self, claims: Claims, endpoint: Endpoint) -> Grant:
        """Re-evaluate the grant for claims that were accepted before.

        Raises:
            Denied: The role is not served any more.
            NotReady: Grants and policies are not known.
        """
        if self.watch.access is None:
            raise NotReady
        try:
            scope = scope_of(
                self.watch.access, claims.role, endpoint, self.scoping, claims.metadata
            )
        except NotServed:
            raise Denied("the relay does not serve this role; its log says why") from None
        if scope is None or self.scoping is None:
            return Grant(claims)
        return Grant(claims, (self.scoping.column, tuple(sorted(scope))))

    async def look_for(self, unknown: UnknownKey, place: str) -> bool:
        """Fetch the signing keys because of an unknown one, rate-limited by address block.

        Returns:
            False when they cannot be fetched now, so that the key may exist.
        """
        return await self.jwks.look_for(unknown.key, place)


class AccessControl:
    """A token gate, with the tasks that refresh signing keys and policies."""

    def __init__(
        self,
        supabase_url: str,
        *,
        secret: str | None,
        rules: Rules,
        scoping: Scoping | None,
        read: Callable[[], Awaitable[Access]],
        changed: Callable[[], None],
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._jwks = Jwks(supabase_url, now)
        self._watch = PolicyMonitor(read, scoping, changed)
        self.gate = TokenGate(
            secret=None if secret is None else shared(secret),
            jwks=self._jwks,
            watch=self._watch,
            rules=rules,
            scoping=scoping,
            clock=clock,
        )

    @property
    def trouble(self) -> str | None:
        """Why no token can be accepted; None when tokens can."""
        if self._watch.access is None:
            return "grants and policies have not been read yet: nobody can be let in"
        return None

    async def run(self) -> None:
        """Refresh keys and policies until cancelled."""
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._jwks.run(), name="signing keys")
                parts.create_task(self._watch.run(), name="grants and policies")
        finally:
            await self._jwks.close()
