"""What a session needs of a WebSocket, and how a connection ends."""

from typing import Final, Protocol

from relay.close import CloseCode


class Disconnected(Exception):
    """The connection is gone; the text says how."""


class Cut(Exception):
    """The relay ends the connection."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code: Final = code
        self.reason: Final = reason


class Socket(Protocol):
    """An accepted WebSocket."""

    async def send(self, text: str) -> None:
        """Sends a text frame.

        Raises:
            Disconnected: the connection is gone.
        """

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            Disconnected: the connection is gone.
        """
