"""Accepts as many connections as there are, in one turn of the loop, and not too many of one
address.

uvloop accepts one for each turn: while flushes to ten thousand take the time of a turn,
ten thousand that come back would wait for minutes.
"""

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from typing import Final

from relay.access.limits import AtLimit, Doorstep

logger = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 128
MOST_OPENING: Final = 1000  # TLS handshakes under way; the others wait in the kernel
HANDSHAKE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.1
WARN_SECONDS: Final = 60.0
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class _Accepted(socket.socket):
    """A socket that tells once when a loop lets go of it, whatever served it."""

    def __init__(self, descriptor: int, gone: Callable[[], None]) -> None:
        super().__init__(fileno=descriptor)
        self._gone: Callable[[], None] | None = gone

    def close(self) -> None:
        """Lets go of it, as asyncio does."""
        super().close()
        self._tell()

    def detach(self) -> int:
        """Lets go of it, as uvloop does, which closes the descriptor itself."""
        descriptor = super().detach()
        self._tell()
        return descriptor

    def _tell(self) -> None:
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()


class Acceptor:
    """Hands connections of a listening socket to protocols until it is closed."""

    def __init__(
        self,
        listener: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        doorstep: Doorstep,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._factory = factory
        self._doorstep = doorstep
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._open = True
        self._listens = False
        self._warned_at = -WARN_SECONDS
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
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors are left
                logger.warning("cannot accept connections for now: %s", error)
                self._stop_listening()
                self._loop.call_later(PAUSE_SECONDS, self._listen)
                return
            try:
                place = self._doorstep.come(address[0])
            except AtLimit as limit:
                self._refuse(connection, limit)
                continue
            counted = _Accepted(connection.detach(), partial(self._doorstep.leave, place))
            task = self._loop.create_task(self._hand_over(counted), name="accepting")
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _refuse(self, connection: socket.socket, limit: AtLimit) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        connection.close()
        if self._loop.time() - self._warned_at >= WARN_SECONDS:
            self._warned_at = self._loop.time()
            logger.warning(
                "%s, others from there are not accepted: RELAY_MAX_PER_ADDRESS is the limit; if"
                " that is a proxy, name it in RELAY_TRUSTED_PROXIES",
                limit,
            )

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
