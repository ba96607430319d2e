"""Who is at the other end of an outlet, as the outlet sees it."""

from typing import Protocol

from relay.close import CloseCode


class Client(Protocol):
    """A session, or a visitor who has yet to show a token."""

    def begin(self) -> None:
        """Serves the client from now on."""

    def said(self, message: str | bytes) -> None:
        """The client has sent a message."""

    def heard(self, frames: int) -> bool:
        """The client has sent so many frames that are no messages; false when it was too many."""

    def blocked(self) -> None:
        """The client's socket is full."""

    def unblocked(self) -> None:
        """The client has taken everything that was written."""

    def cut(self, code: CloseCode, reason: str) -> None:
        """Ends the connection with that code."""

    def gone(self, reason: str) -> None:
        """The connection is over; nothing is sent any more."""
