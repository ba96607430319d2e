"""The bounded queue of frames that wait to leave one socket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

TEXT, BINARY = 0x81, 0x82  # of a whole message
SHORT, MEDIUM = 126, 65536
MAX_WRITE_BYTES = 256 * 1024


class Overflow(Exception):
    """The client reads too slowly: more waits for it than the limits allow."""


def packed(frame: str | bytes) -> bytes:
    """`frame` as a server sends it over a WebSocket: text, or binary when it is bytes."""
    kind, payload = (TEXT, frame.encode()) if isinstance(frame, str) else (BINARY, frame)
    size = len(payload)
    if size < SHORT:
        return bytes((kind, size)) + payload
    if size < MEDIUM:
        return bytes((kind, SHORT)) + size.to_bytes(2, "big") + payload
    return bytes((kind, SHORT + 1)) + size.to_bytes(8, "big") + payload


class Outbox:
    """Frames leave in order, many in one write; `put`, `put_packed` and `pause` never block.

    What goes over a limit is dropped and makes `watch` raise Overflow.
    """

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._queue: deque[bytes | float] = deque()
        self._room, self._bytes_left = max_frames, max_bytes
        self._filled = asyncio.Event()
        self._overflown = asyncio.Event()

    def put(self, frame: str | bytes) -> None:
        """Send a text or a binary frame after what is queued already."""
        self.put_packed(packed(frame))

    def put_packed(self, frame: bytes) -> None:
        """The same for a frame that `packed` made, which many outboxes can share."""
        if len(self._queue) >= self._room or len(frame) > self._bytes_left:
            self._overflown.set()
        else:
            self._bytes_left -= len(frame)
            self._queue.append(frame)
        self._filled.set()

    def pause(self, seconds: float) -> None:
        """Let nothing that is put from now on leave before `seconds` have passed."""
        self._queue.append(seconds)
        self._filled.set()

    async def drain(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write for ever; ends with what `write` raises."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                if isinstance(self._queue[0], bytes):
                    await write(self._joined())
                else:
                    await asyncio.sleep(float(self._queue.popleft()))

    def _joined(self) -> bytes:
        """The next frames, as many as fit into one write."""
        frames: list[bytes] = []
        size = 0
        while self._queue and isinstance(frame := self._queue[0], bytes):
            if frames and size + len(frame) > MAX_WRITE_BYTES:
                break
            self._queue.popleft()
            frames.append(frame)
            size += len(frame)
        self._bytes_left += size
        return b"".join(frames)

    async def watch(self) -> None:
        """Wait for ever; ends with Overflow. A task of its own, since sending may never end."""
        await self._overflown.wait()
        raise Overflow
