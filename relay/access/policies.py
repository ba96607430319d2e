"""What a role may be served, from what relay_access() tells about grants and policies.

One row goes to many clients, so a role is served only where Postgres would show every one of its
holders the same: the whole table. Where rows differ by user, a scope column tells who gets what.
The answer is read at start and every minute. Nobody is served before the first answer; later, a
failed read leaves the former answer in force.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from relay.errors import Unavailable
from relay.logs import FailureLog
from relay.stream.change import ENDPOINTS, Endpoint

logger = logging.getLogger(__name__)

Access = Mapping[str, Any]
"""The answer of relay_access()."""


class NotServed(Exception):
    """The role is not served; the text says why and is for the operator's log only."""


@dataclass(frozen=True, slots=True)
class Scoping:
    """Rows are told apart by `column`, whose values a token lists under `claim` in app_metadata."""

    column: str
    claim: str


WHOLE: Final[frozenset[str] | None] = None


def scope_of(
    access: Access,
    role: str,
    endpoint: Endpoint,
    scoping: Scoping | None,
    metadata: Mapping[str, Any],
) -> frozenset[str] | None:
    """Return the scopes whose rows a token may receive; None for the whole table.

    Raises:
        NotServed: Neither is provably what Postgres would show.
    """
    table = _table(access, role, endpoint)
    if table["bypasses"]:
        return WHOLE
    if scoping is None:
        _check_policies(table["policies"], role, endpoint)
        return WHOLE
    if scoping.column not in table["columns"]:
        raise NotServed(f"{endpoint.name} has no column {scoping.column} to tell scopes apart")
    if not table["policies"]:
        raise NotServed(f"no policy lets {role} select {endpoint.name}")
    scopes = _scopes(metadata.get(scoping.claim))
    if not scopes:
        raise NotServed(f"the token names no scope in app_metadata.{scoping.claim}")
    return scopes


def served(access: Access, scoping: Scoping | None) -> dict[str, str]:
    """Return the roles that are not served on some endpoint, each with the reason."""
    found: dict[str, str] = {}
    for role in sorted(access):
        for endpoint in ENDPOINTS:
            try:
                table = _table(access, role, endpoint)
                if not table["bypasses"] and scoping is None:
                    _check_policies(table["policies"], role, endpoint)
            except NotServed as exc:
                found.setdefault(role, str(exc))
    return found


def _table(access: Access, role: str, endpoint: Endpoint) -> Mapping[str, Any]:
    tables = access.get(role)
    if tables is None:
        raise NotServed(f"no token may name the role {role[:40]!r}")
    table: Mapping[str, Any] = tables[endpoint.name]
    if not table["select"]:
        raise NotServed(f"{role} may not select the whole table {endpoint.name}")
    return table


def _check_policies(policies: list[Mapping[str, Any]], role: str, endpoint: Endpoint) -> None:
    if not policies:
        raise NotServed(f"no policy lets {role} select {endpoint.name}")
    for policy in policies:
        if not policy["permissive"]:
            raise NotServed(f"policy {policy['name']!r} restricts {endpoint.name} for {role}")
        if policy["using"] != "true":
            raise NotServed(
                f"policy {policy['name']!r} shows holders of {role} different rows of"
                f" {endpoint.name}"
            )


def _scopes(claimed: object) -> frozenset[str]:
    values = claimed if isinstance(claimed, list) else [claimed]
    return frozenset(
        str(value)
        for value in values
        if isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    )


PERIOD_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0


class PolicyMonitor:
    """The newest answer of relay_access(); calls `changed` when it differs from the last one."""

    def __init__(
        self,
        read: Callable[[], Awaitable[Access]],
        scoping: Scoping | None,
        changed: Callable[[], None],
    ) -> None:
        self._read = read
        self._scoping = scoping
        self._changed = changed
        self._failing = False
        self._failures = FailureLog()
        self.access: Access | None = None

    async def run(self) -> NoReturn:
        """Refresh the answer until cancelled."""
        while True:
            await self.refresh()
            never = self.access is None or self._failing
            await asyncio.sleep(RETRY_SECONDS if never else PERIOD_SECONDS)

    async def refresh(self) -> None:
        """Read once; a failure is logged and leaves the answer as it is."""
        try:
            access = await self._read()
        except Unavailable as exc:
            if self._failures.failed(str(exc)):
                logger.warning("grants and policies cannot be read, retrying error=%r", str(exc))
            self._failing = True
            return
        self._failing = False
        self._failures.worked()
        if access == self.access:
            return
        self.access = access
        for role, reason in served(access, self._scoping).items():
            logger.info("tokens of a role are not served role=%s reason=%r", role, reason)
        self._changed()
