"""Standard output whose reader may go away, as `head` does when it has seen enough."""

import asyncio
import select
import sys
from collections.abc import Coroutine
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


def _unread() -> bool:
    try:
        output = select.poll()
        output.register(sys.stdout.fileno(), 0)  # errors alone
        return any(event & select.POLLERR for _, event in output.poll(0))
    except (OSError, ValueError, AttributeError):  # no descriptor, or no poll on this system
        return False
