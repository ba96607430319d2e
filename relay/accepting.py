"""Accepts as many connections as there are, in one turn of the loop.

uvloop accepts one for each turn: while flushes to ten thousand take the time of a turn,
ten thousand that come back would wait for minutes.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 128
MOST_OPENING: Final = 1000  # TLS handshakes under way; the others wait in the kernel
HANDSHAKE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.1


class Acceptor:
    """Hands connections of a listening socket to protocols until it is closed."""

    def __init__(
        self,
        listener: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._factory = factory
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._open = True
        self._listens = False
        listener.setblocking(False)
        listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # what is accepted has it too
        self._listen()

    def close(self) -> None:
        """Accepts no more."""
        if self._open:
            self._open = False
            self._stop_listening()

    async def wait_closed(self) -> None:
        """Returns when what was accepted has its protocol."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _listen(self) -> None:
        if self._open and not self._listens:
            self._listens = True
            self._loop.add_reader(self._listener, self._accept)

    def _stop_listening(self) -> None:
        if self._listens:
            self._listens = False
            self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        for _ in range(MOST_AT_ONCE):
            if len(self._opening) >= MOST_OPENING:
                self._stop_listening()
                return
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors are left
                logger.warning("cannot accept connections for now: %s", error)
                self._stop_listening()
                self._loop.call_later(PAUSE_SECONDS, self._listen)
                return
            task = self._loop.create_task(self._hand_over(connection), name="accepting")
            self._opening.add(task)
            task.add_done_callback(self._opened)

    async def _hand_over(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._factory,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else HANDSHAKE_SECONDS,
            )
        except OSError as error:  # it left, or is no good at TLS
            logger.debug("a connection could not be opened: %s", error)
            connection.close()

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a connection could not be opened", exc_info=error)
        self._listen()
