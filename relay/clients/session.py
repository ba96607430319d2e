"""One client: what it is sent, and when it is cut off.

A session registers with its group first, then sends the state, then the group's log from the
state's position on. One coroutine reads, one writes; the publisher only appends to the log and
wakes. Nothing here knows ASGI.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from relay.changes import frames
from relay.changes.groups import Format, Group, Streams
from relay.changes.log import Overflow
from relay.clients.connection import Cut, Disconnected, Socket
from relay.clients.messages import BadMessage, Said, check_size, parse
from relay.clients.parameters import MOST_ROWS, Parameters
from relay.clients.places import Places
from relay.clients.state import State
from relay.clients.states import States
from relay.close import CloseCode
from relay.errors import Unavailable
from relay.upstream.sources import State as UpstreamState

BATCH_FRAMES: Final = 256
MOST_ANSWERS: Final = 64
STALLED_SECONDS: Final = 20.0
RETRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sessions share."""

    streams: Streams
    states: States
    places: Places
    upstream_state: Callable[[], UpstreamState]  # the one that was announced last
    now: Callable[[], float]
    max_behind_bytes: int


class Session:
    """Serves one client; registered from its creation to `close`."""

    def __init__(
        self, socket: Socket, format: Format, wanted: Parameters, shared: Surroundings
    ) -> None:
        self._socket = socket
        self._wanted = wanted
        self._shared = shared
        self._stream = shared.streams[wanted.filter.endpoint]
        self._format = format
        self._group: Group = self._stream.join(format, wanted.filter, self)
        self._generation = self._group.generation
        self._position = self._group.log.head
        self._awake = asyncio.Event()
        self._answers: deque[str] = deque()
        self._told: UpstreamState | None = UpstreamState.LIVE
        self._sending_since: float | None = None
        self._cut: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        self.messages = 0

    def wake(self) -> None:
        """There is something to send."""
        self._awake.set()

    def close(self) -> None:
        """Takes the session out of its group."""
        self._cut.cancel()
        self._stream.leave(self._group, self)

    def check(self) -> None:
        """Cuts the client off when it does not read; called every second."""
        since = self._sending_since
        if since is None or self._cut.done():
            return
        stalled = self._shared.now() - since > STALLED_SECONDS
        if stalled or (self._format is Format.ROWS and self._too_far_behind()):
            self._cut.set_exception(Cut(CloseCode.TOO_SLOW, "the client reads too slowly"))

    async def run(self) -> NoReturn:
        """Serves the client.

        Raises:
            Disconnected: the client is gone.
            Cut: it has to be closed with that code.
        """
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
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
        if len(self._answers) >= MOST_ANSWERS:
            raise Cut(CloseCode.TOO_MANY_MESSAGES, "answers are not read")
        # With RELAY_AUTH=off every token is as good as none: nothing expires.
        self._answers.append(frames.PONG if said is Said.PING else frames.authenticated(None))
        self._awake.set()

    async def _write(self) -> NoReturn:
        await self._begin()
        while True:
            self._awake.clear()
            await self._send_answers()
            if self._generation != self._group.generation and self._format is Format.EVENTS:
                await self._restart("epoch")
            elif not await self._send_log():
                await self._awake.wait()

    async def _begin(self) -> None:
        if self._format is Format.ROWS:
            if self._wanted.last:
                await self._send_state(self._wanted.last)
            return
        presented = self._wanted.cursor
        reason = (
            "no_cursor"
            if presented is None
            else self._shared.places.refusal(presented, self._wanted.filter)
        )
        await self._send(
            frames.hello(self._wanted.filter.endpoint.name, resumed=False, reason=reason)
        )
        if presented is not None:
            await self._restart(reason)
        else:
            last = self._wanted.last
            await self._send_state(MOST_ROWS if last is None else last)

    async def _restart(self, reason: str) -> None:
        self._generation = self._group.generation
        self._told = None
        await self._send(frames.reset(reason))
        await self._send_state(MOST_ROWS)

    async def _send_state(self, count: int) -> None:
        state = await self._state()
        self._generation = state.generation
        self._position = state.position
        events = self._format is Format.EVENTS
        rows, complete = state.newest(count, with_open=events)
        for number, row in enumerate(rows):
            await self._send(row)
            if number % BATCH_FRAMES == 0:
                await self._send_answers()
        if events:
            await self._tell_upstream()  # it may have changed before the state's position
            await self._send(frames.synced(state.cursor, complete=complete))

    async def _state(self) -> State:
        while True:
            await self._tell_upstream()
            try:
                return await self._shared.states.get(self._group)
            except Unavailable:
                await self._wait_answering(RETRY_SECONDS)

    async def _tell_upstream(self) -> None:
        upstream = self._shared.upstream_state()
        if upstream is not self._told and self._format is Format.EVENTS:
            self._told = upstream
            await self._send(frames.status(upstream))

    async def _wait_answering(self, seconds: float) -> None:
        end = self._shared.now() + seconds
        while (left := end - self._shared.now()) > 0:
            await self._send_answers()
            self._awake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._awake.wait()
            except TimeoutError:
                return

    async def _send_log(self) -> bool:
        if self._too_far_behind():
            return await self._overflow()
        try:
            batch = self._group.log.since(self._position, BATCH_FRAMES)
        except Overflow:
            return await self._overflow()
        for frame in batch:
            await self._send(frame)
            self._position += 1
        return bool(batch)

    async def _overflow(self) -> bool:
        if self._format is Format.ROWS:
            raise Cut(CloseCode.TOO_SLOW, "the client reads too slowly")
        await self._restart("overflow")
        return True

    async def _send_answers(self) -> None:
        while self._answers:
            await self._send(self._answers.popleft())

    async def _send(self, frame: str) -> None:
        self._sending_since = self._shared.now()
        await self._socket.send(frame)
        self._sending_since = None
        self.messages += 1

    def _too_far_behind(self) -> bool:
        return self._group.log.bytes_behind(self._position) > self._shared.max_behind_bytes
