"""An append-only ring of frames that many readers share; a reader is a position in it."""

from bisect import bisect_right
from typing import Final

from relay.changes.wire import Piece

MOST_JOINED: Final = 4


class Overflow(Exception):
    """Frames after the reader's position have left the ring."""


class Log:
    """Keeps the newest frames within `max_frames` and `max_bytes`; positions only grow.

    A frame is a change, which has the next higher `seq` of its stream, or an announcement, which
    has none. The log holds each change that it ought to hold after `seq`.
    """

    def __init__(self, *, max_frames: int, max_bytes: int, seq: int = 0) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._frames: list[bytes] = []
        self._ends: list[int] = []  # bytes ever appended up to and with each frame
        self._seqs: list[int] = []  # of the newest change up to and with each frame
        self._seq = seq
        self._gone_seq = seq  # of the newest change that left the ring
        self._first = 0  # position of self._frames[0]
        self._before_first = 0  # bytes ever appended before it
        self._tail = 0
        self._bytes = 0
        self._joined: dict[tuple[int, int, bool], Piece] = {}

    @property
    def head(self) -> int:
        """The position after the newest frame."""
        return self._first + len(self._frames)

    @property
    def tail(self) -> int:
        """The oldest position that can still be read from."""
        return self._tail

    def append(self, frame: bytes, seq: int | None = None) -> None:
        """Adds a change, or an announcement without `seq`, and lets the oldest go where a limit is
        passed; the newest always stays."""
        self._bytes += len(frame)
        self._seq = self._seq if seq is None else seq
        self._frames.append(frame)
        self._ends.append(self._bytes)
        self._seqs.append(self._seq)
        while self._too_long():
            gone = self._tail - self._first
            self._frames[gone] = b""
            self._gone_seq = self._seqs[gone]
            self._tail += 1
        self._compact()

    def bytes_behind(self, position: int) -> int:
        """Bytes that a reader at `position` has not had, as far as they are still known."""
        return self._bytes - self._bytes_before(position)

    def since(self, position: int, limit: int | None = None) -> list[bytes]:
        """The frames from `position` on, `limit` at most.

        Raises:
            Overflow: some of them have left the ring.
        """
        self._check(position)
        start = position - self._first
        return self._frames[start : None if limit is None else start + limit]

    def changes(self, position: int, stop: int) -> list[bytes]:
        """The frames from `position` up to, without, `stop` that are changes.

        Raises:
            Overflow: some of them have left the ring.
        """
        self._check(position)
        start, end = position - self._first, stop - self._first
        before = self._seqs[start - 1] if position > self._tail else self._gone_seq
        found = []
        for index in range(start, min(end, len(self._frames))):
            if self._seqs[index] != before:
                found.append(self._frames[index])
                before = self._seqs[index]
        return found

    def joined(
        self, position: int, stop: int, most_bytes: int, *, changes_only: bool = False
    ) -> tuple[Piece, int]:
        """The frames from `position` on in one piece, and the position after them: not beyond
        `stop`, and no more than `most_bytes` unless a single frame is larger. Readers that ask for
        the same get the same object.

        Raises:
            Overflow: some of them have left the ring.
        """
        self._check(position)
        end = bisect_right(
            self._ends, self._bytes_before(position) + most_bytes, lo=position - self._first
        )
        end = min(max(end + self._first, position + 1), stop, self.head)
        piece = self._joined.get((position, end, changes_only))
        if piece is None:
            found = (
                self.changes(position, end)
                if changes_only
                else self.since(position, end - position)
            )
            piece = Piece(b"".join(found), len(found))
            if len(self._joined) >= MOST_JOINED:
                self._joined.clear()
            self._joined[position, end, changes_only] = piece
        return piece, end

    def forget_joined(self) -> None:
        """Lets go of what was joined for readers that asked for the same."""
        self._joined.clear()

    def covers(self, seq: int) -> bool:
        """Whether no change after `seq` has left the ring."""
        return seq >= self._gone_seq

    def after(self, seq: int) -> int:
        """The position of the first change after `seq`, which has to be covered."""
        return self._first + bisect_right(self._seqs, seq, lo=self._tail - self._first)

    def _check(self, position: int) -> None:
        if position < self._tail:
            raise Overflow

    def _bytes_before(self, position: int) -> int:
        if position <= self._first:
            return self._before_first
        return self._ends[min(position, self.head) - self._first - 1]

    def _too_long(self) -> bool:
        kept = self.head - self._tail
        return kept > 1 and (
            kept > self._max_frames or self.bytes_behind(self._tail) > self._max_bytes
        )

    def _compact(self) -> None:
        # Deleting from the front of a list moves the rest: worth it only for many at once.
        gone = self._tail - self._first
        if gone > 64 and gone * 2 > len(self._frames):
            self._before_first = self._ends[gone - 1]
            del self._frames[:gone]
            del self._ends[:gone]
            del self._seqs[:gone]
            self._first = self._tail
