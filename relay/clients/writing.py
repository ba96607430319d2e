"""What one client is sent, in which order: greeting, what it missed or the state, then the log.

The group's log is read from the place where the greeting ends. Nothing else is waited for: the
publisher only appends to the log and wakes.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Final, NoReturn

from relay.changes import frames
from relay.changes.groups import Format, Group
from relay.changes.log import Overflow
from relay.clients.connection import Cut, Socket
from relay.clients.parameters import MOST_ROWS, Parameters
from relay.clients.places import Unresumable
from relay.clients.resumes import Replay
from relay.clients.state import State
from relay.clients.surroundings import Surroundings
from relay.close import CloseCode
from relay.counts import written_at
from relay.errors import Unavailable
from relay.upstream.sources import State as UpstreamState

BATCH_FRAMES: Final = 256
MOST_ANSWERS: Final = 64
RETRY_SECONDS: Final = 1.0
# A client takes a relay that does not greet it for dead. Who waits longer is told that it is
# resumed; should that turn out to be impossible, a reset follows.
GREETING_SECONDS: Final = 3.0


class Writer:
    """Everything that is sent to one client."""

    def __init__(
        self,
        socket: Socket,
        format: Format,
        wanted: Parameters,
        group: Group,
        shared: Surroundings,
    ) -> None:
        self._socket = socket
        self._events = format is Format.EVENTS
        self._wanted = wanted
        self._group = group
        self._shared = shared
        self._generation = group.generation
        self._position = group.log.head
        self._awake = asyncio.Event()
        self._answers: deque[str] = deque()
        self._told: UpstreamState | None = UpstreamState.LIVE
        self.sending_since: float | None = None
        self.messages = 0

    def wake(self) -> None:
        """There is something to send."""
        self._awake.set()

    def answer(self, frame: str) -> None:
        """Sends the frame in between.

        Raises:
            Cut: the client does not read its answers.
        """
        if len(self._answers) >= MOST_ANSWERS:
            raise Cut(CloseCode.TOO_MANY_MESSAGES, "answers are not read")
        self._answers.append(frame)
        self._awake.set()

    def too_far_behind(self) -> bool:
        """Whether the client has to be cut off or to start anew."""
        return self._group.log.bytes_behind(self._position) > self._shared.max_behind_bytes

    async def run(self) -> NoReturn:
        """Sends until cancelled.

        Raises:
            Disconnected: the client is gone.
            Cut: it has to be closed with that code.
        """
        await self._begin()
        while True:
            self._awake.clear()
            await self._send_answers()
            if self._generation != self._group.generation and self._events:
                await self._restart("epoch")
            elif not await self._send_log():
                await self._awake.wait()

    async def _begin(self) -> None:
        last = self._wanted.last
        if not self._events:
            if last:
                await self._send_state(last)
        elif self._wanted.cursor is not None:
            await self._resume(self._wanted.cursor)
        else:
            await self._greet("no_cursor")
            await self._send_state(MOST_ROWS if last is None else last)

    async def _resume(self, presented: str) -> None:
        finding = asyncio.ensure_future(self._missed(presented))
        try:
            done, _ = await asyncio.wait([finding], timeout=GREETING_SECONDS)
            if not done:
                await self._greet(None)
                await self._answering(finding)
            reason, replay = None, None
            try:
                replay = await finding
            except Unresumable as refused:
                reason = refused.reason
            if done:
                await self._greet(reason)
            if replay is None:
                await self._restart(reason or "invalid")
            else:
                await self._play(replay)
        finally:
            finding.cancel()

    async def _missed(self, presented: str) -> Replay:
        while True:
            try:
                return await self._shared.resumes.find(presented, self._wanted.seq, self._group)
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)

    async def _greet(self, reason: str | None) -> None:
        endpoint = self._wanted.filter.endpoint.name
        await self._send(frames.hello(endpoint, resumed=reason is None, reason=reason))

    async def _play(self, replay: Replay) -> None:
        self._generation = replay.generation
        self._position = replay.position
        await self._send_all(replay.before)
        whole = await self._send_changes(replay.until)
        if whole and self._generation == self._group.generation:
            await self._tell_upstream()
            await self._send(frames.synced(replay.cursor, complete=True))

    async def _send_changes(self, until: int) -> bool:
        """Sends what the log holds up to `until` but for announcements, which are of the past.

        False when some of it has left the log; reading on then starts anew.
        """
        while self._position < until:
            stop = min(self._position + BATCH_FRAMES, until)
            try:
                changes = self._group.log.changes(self._position, stop)
            except Overflow:
                return False
            await self._send_all(changes)
            self._position = stop
        return True

    async def _restart(self, reason: str) -> None:
        self._generation = self._group.generation
        self._told = None
        self._shared.counts.resets[reason] += 1
        await self._send(frames.reset(reason))
        await self._send_state(MOST_ROWS)

    async def _send_state(self, count: int) -> None:
        state = await self._state()
        self._generation = state.generation
        self._position = state.position
        rows, complete = state.newest(count, with_open=self._events)
        await self._send_all(rows)
        if not self._events:
            return
        whole = await self._send_changes(self._group.log.head)
        if whole and self._generation == self._group.generation:
            await self._tell_upstream()
            await self._send(frames.synced(state.cursor, complete=complete))

    async def _state(self) -> State:
        while True:
            await self._tell_upstream()
            reading = asyncio.ensure_future(self._shared.states.get(self._group))
            try:
                await self._answering(reading)
                return await reading
            except Unavailable:
                await self._answering(asyncio.sleep(RETRY_SECONDS))
            finally:
                reading.cancel()

    async def _answering(self, awaited: Awaitable[object]) -> None:
        """Waits until `awaited` is done, whatever comes of it, and answers the client meanwhile."""
        waiting = asyncio.ensure_future(awaited)
        try:
            while not waiting.done():
                self._awake.clear()
                await self._send_answers()
                await self._tell_upstream()
                awake = asyncio.ensure_future(self._awake.wait())
                await asyncio.wait([waiting, awake], return_when=asyncio.FIRST_COMPLETED)
                awake.cancel()
        finally:
            if not waiting.done():
                waiting.cancel()

    async def _tell_upstream(self) -> None:
        upstream = self._shared.upstream_state()
        if upstream is not self._told and self._events:
            self._told = upstream
            await self._send(frames.status(upstream))

    async def _send_log(self) -> bool:
        if self.too_far_behind():
            return await self._overflow()
        try:
            batch = self._group.log.since(self._position, BATCH_FRAMES)
        except Overflow:
            return await self._overflow()
        for frame in batch:
            await self._send(frame)
            self._position += 1
        if batch:
            self._count(len(batch))
        return bool(batch)

    def _count(self, frames_sent: int) -> None:
        group, counts = self._group, self._shared.counts
        counts.deliveries[group.format.value] += frames_sent
        if group.newest is not None and group.newest_end == self._position:
            written = written_at(group.newest)
            if written is not None:
                counts.to_socket.observe(self._shared.clock() - written)

    async def _overflow(self) -> bool:
        if not self._events:
            raise Cut(CloseCode.TOO_SLOW, "the client reads too slowly")
        await self._restart("overflow")
        return True

    async def _send_answers(self) -> None:
        while self._answers:
            await self._send(self._answers.popleft())

    async def _send_all(self, texts: Sequence[str]) -> None:
        for number, text in enumerate(texts):
            await self._send(text)
            if number % BATCH_FRAMES == 0:
                await self._send_answers()
        self._shared.counts.deliveries[self._group.format.value] += len(texts)

    async def _send(self, frame: str) -> None:
        self.sending_since = self._shared.now()
        await self._socket.send(frame)
        self.sending_since = None
        self.messages += 1
