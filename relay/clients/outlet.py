"""The way to one client, whatever server it is connected to."""

from collections.abc import Callable
from typing import Protocol


class Outlet(Protocol):
    """An accepted WebSocket, for whole frames. None of it waits."""

    @property
    def paused(self) -> bool:
        """Whether the client does not take what was written; the session is told when it does."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Sends frames, after all that was written before."""

    @property
    def descriptor(self) -> int | None:
        """That of a socket which takes the same bytes as they are, while nothing waits in front of
        it; None when there is no such thing."""

    def unsent(self) -> int:
        """How many bytes the client has not taken."""

    def close(self, code: int, reason: str) -> None:
        """Sends what was written and the close code, waits a little for the answer, and ends."""

    def cut_off(self) -> None:
        """Ends the connection at once, whatever is still to be sent; does no harm later."""
