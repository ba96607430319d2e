"""One client: registered with its group first, then served by one coroutine that reads what it
says and one that writes. Nothing here knows ASGI."""

import asyncio
from typing import Final, NoReturn

from relay.changes import frames
from relay.changes.groups import Format, Group
from relay.clients.connection import Cut, Disconnected, Socket
from relay.clients.messages import BadMessage, Said, check_size, parse
from relay.clients.parameters import Parameters
from relay.clients.surroundings import Surroundings
from relay.clients.writing import Writer
from relay.close import CloseCode

STALLED_SECONDS: Final = 20.0


class Session:
    """Serves one client; registered from its creation to `close`."""

    def __init__(
        self, socket: Socket, format: Format, wanted: Parameters, shared: Surroundings
    ) -> None:
        self._socket = socket
        self._format = format
        self._shared = shared
        self._stream = shared.streams[wanted.filter.endpoint]
        self._group: Group = self._stream.join(format, wanted.filter, self)
        self._writer = Writer(socket, format, wanted, self._group, shared)
        self._cut: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()

    @property
    def messages(self) -> int:
        """How many were sent to it."""
        return self._writer.messages

    def wake(self) -> None:
        """There is something to send."""
        self._writer.wake()

    def close(self) -> None:
        """Takes the session out of its group."""
        self._cut.cancel()
        self._stream.leave(self._group, self)

    def cut(self, code: CloseCode, reason: str) -> None:
        """Ends the session with that code."""
        if not self._cut.done():
            self._cut.set_exception(Cut(code, reason))

    def check(self) -> None:
        """Cuts the client off when it does not read; called every second."""
        since = self._writer.sending_since
        if since is None:
            return
        stalled = self._shared.now() - since > STALLED_SECONDS
        if stalled or (self._format is Format.ROWS and self._writer.too_far_behind()):
            self.cut(CloseCode.TOO_SLOW, "the client reads too slowly")

    async def run(self) -> NoReturn:
        """Serves the client.

        Raises:
            Disconnected: the client is gone.
            Cut: it has to be closed with that code.
        """
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._writer.run())
        parts: set[asyncio.Future[NoReturn]] = {reader, writer, self._cut}
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in (self._cut, reader, writer):
                if part in done:
                    await part
            raise Disconnected("ended")
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _read(self) -> NoReturn:
        while True:
            message = await self._socket.receive()
            try:
                if self._format is Format.ROWS:
                    check_size(message)
                else:
                    self._answer(parse(message))
            except BadMessage as bad:
                raise Cut(CloseCode.BAD_MESSAGE, str(bad)) from None

    def _answer(self, said: Said) -> None:
        # With RELAY_AUTH=off every token is as good as none: nothing expires.
        self._writer.answer(frames.PONG if said is Said.PING else frames.authenticated(None))
