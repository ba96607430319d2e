"""Access log: one line per connection when it opens and when it closes, sampled under load."""

import logging
from typing import Final

logger = logging.getLogger(__name__)

LINES_PER_SECOND: Final = 20


class AccessLog:
    """Writes up to `LINES_PER_SECOND` lines between two calls of `tick`, and counts the others."""

    def __init__(self) -> None:
        self._lines = 0
        self._connected = 0
        self._disconnected = 0
        self._refused = 0

    def connected(self, client: str, endpoint: str, format: str, filter: str) -> None:
        """Log that a client connected."""
        if self._room():
            logger.info(
                "connected client=%s endpoint=%s format=%s filter=%r",
                client,
                endpoint,
                format,
                filter,
            )
        else:
            self._connected += 1

    def disconnected(
        self, client: str, endpoint: str, reason: str, messages: int, seconds: float
    ) -> None:
        """Log that a client disconnected, after `messages` sent to it."""
        if self._room():
            logger.info(
                "disconnected client=%s endpoint=%s reason=%r messages=%d seconds=%.1f",
                client,
                endpoint,
                reason,
                messages,
                seconds,
            )
        else:
            self._disconnected += 1

    def refused(self, client: str, endpoint: str, reason: str) -> None:
        """Log a refused handshake: one line a second, beside those of clients."""
        self._refused += 1
        if self._refused == 1:
            logger.info("refused client=%s endpoint=%s reason=%r", client, endpoint, reason)

    def tick(self) -> None:
        """Log how many lines were dropped; called every second."""
        if self._refused > 1:
            logger.info("more in the same second refused=%d", self._refused - 1)
        self._refused = 0
        if self._connected or self._disconnected:
            logger.info(
                "more in the same second connected=%d disconnected=%d",
                self._connected,
                self._disconnected,
            )
        self._lines = self._connected = self._disconnected = 0

    def _room(self) -> bool:
        self._lines += 1
        return self._lines <= LINES_PER_SECOND
