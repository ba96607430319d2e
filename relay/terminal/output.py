"""Standard output whose reader may go away, as `head` does when it has seen enough."""

import asyncio
import select
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

LOOK_SECONDS = 0.25

T = TypeVar("T")


async def while_read(work: Coroutine[Any, Any, T]) -> T:
    """The result of the work.

    Raises:
        BrokenPipeError: nobody reads standard output any more. Writing would tell as much, but
            there may be nothing to write for hours.
    """
    working = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({working}, timeout=LOOK_SECONDS))[0]:
            if _unread():
                raise BrokenPipeError
        return await working
    finally:
        working.cancel()
        await asyncio.wait({working})


def default_url(env: Mapping[str, str], scheme: str = "ws") -> str:
    """The address of a relay that was started on this machine with the same environment."""
    secure = "s" if env.get("RELAY_TLS_CERT") else ""
    host = env.get("HOST", "").strip()
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 all addresses of this machine
        host = "127.0.0.1"
    port = env.get("PORT", "").strip()
    return f"{scheme}{secure}://{f'[{host}]' if ':' in host else host}:{port or '8003'}"


def _unread() -> bool:
    try:
        output = select.poll()
        output.register(sys.stdout.fileno(), 0)  # errors alone
        return any(event & select.POLLERR for _, event in output.poll(0))
    except (OSError, ValueError, AttributeError):  # no descriptor, or no poll on this system
        return False
