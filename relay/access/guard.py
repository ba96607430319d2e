"""Keeps what decides about tokens up to date: the project's keys, and who may see what."""

import asyncio
from collections.abc import Awaitable, Callable

from relay.access.gate import TokenGate
from relay.access.jwks import Jwks
from relay.access.policies import Access
from relay.access.tokens import Rules, shared
from relay.access.watch import AccessWatch
from relay.settings import AccessSettings


class Guard:
    """A gate with everything that it needs."""

    def __init__(
        self,
        settings: AccessSettings,
        supabase_url: str,
        *,
        read: Callable[[], Awaitable[Access]],
        changed: Callable[[], None],
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._jwks = Jwks(supabase_url, now)
        self._watch = AccessWatch(read, settings.scoping, changed)
        self.gate = TokenGate(
            secret=None if settings.jwt_secret is None else shared(settings.jwt_secret),
            jwks=self._jwks,
            watch=self._watch,
            rules=Rules(settings.issuer, settings.audience),
            scoping=settings.scoping,
            clock=clock,
        )

    @property
    def trouble(self) -> str | None:
        """Why nobody can be let in; None when somebody can."""
        if self._watch.access is None:
            return "grants and policies have not been read yet: nobody can be let in"
        return None

    async def run(self) -> None:
        """Keeps it up to date until cancelled."""
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._jwks.run(), name="signing keys")
                parts.create_task(self._watch.run(), name="grants and policies")
        finally:
            await self._jwks.close()
