"""The log of an endpoint: its newest frames, one list for all readers; a reader is a position.

Beside it, what is remembered of the newest changes themselves.
"""

from array import array
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from relay.stream.change import Change
from relay.stream.filters import Values

ENTRY_BYTES: Final = 240  # what an entry takes beside the characters of its frame


class Overflow(Exception):
    """Frames after the reader's position were evicted."""


class Routing(NamedTuple):
    """Filter values that route a change: of the row `now` and `before`.

    None stands for no row: it was deleted, or was not there before.
    """

    now: Values | None
    before: Values | None


DELETION: Final = Routing(None, None)
ANNOUNCEMENT: Final = Routing((), ())  # no change, but a message to all clients of relay.v1
CURSOR_MARK: Final = Routing((), None)  # a cursor for each of them, which depends on its filter
UNKNOWN: Final[Values] = ("any values",)


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Limits of the logs: frames of each, bytes of all together."""

    max_frames: int = 50_000
    max_bytes: int = 32 * 1024 * 1024


class Budget:
    """Byte budget of several logs; beyond it the longest log evicts its oldest frames."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes: Final = max_bytes
        self.used = 0
        self._logs: list[Log] = []

    def share(self, log: "Log") -> None:
        self._logs.append(log)

    def keep(self) -> None:
        """Let go of what is too much; the newest frame of each log stays."""
        while self.used > self.max_bytes:
            longest = max(self._logs, key=lambda log: log.bytes_to_spare)
            if longest.bytes_to_spare == 0:
                return
            longest.drop_oldest()


class Log:
    """The newest frames, within `max_frames` and the budget; positions only grow.

    A frame is a change, which has the next higher `seq` of its endpoint, or an announcement, which
    has none. The log holds each change after `seq`, from `tail` on, the oldest position that can
    still be read.
    """

    def __init__(self, budget: Budget, *, max_frames: int, seq: int = 0) -> None:
        self._budget = budget
        self._max_frames = max_frames
        self._frames: list[bytes] = []
        self._abouts: list[Routing] = []
        self._ends = array("Q")  # bytes ever appended up to and with each frame
        self._seqs = array("Q")  # of the newest change up to and with each frame
        self._seq = seq
        self._gone_seq = seq  # of the newest change that left the log
        self._first = 0  # position of self._frames[0]
        self._before_first = 0  # bytes ever appended before it
        self.tail = 0
        self._bytes = 0
        budget.share(self)

    @property
    def head(self) -> int:
        """The position after the newest frame."""
        return self._first + len(self._frames)

    @property
    def bytes_to_spare(self) -> int:
        """How many bytes of the budget it takes; nothing if it holds one frame only."""
        kept = self.head - self.tail
        return 0 if kept <= 1 else self.bytes_behind(self.tail) + kept * ENTRY_BYTES

    def append(self, frame: bytes, about: Routing = ANNOUNCEMENT, seq: int | None = None) -> None:
        """Add a change, or an announcement without `seq`, and let the oldest go where a limit is
        passed; the newest always stays."""
        self._bytes += len(frame)
        self._seq = self._seq if seq is None else seq
        self._frames.append(frame)
        self._abouts.append(about)
        self._ends.append(self._bytes)
        self._seqs.append(self._seq)
        self._budget.used += len(frame) + ENTRY_BYTES
        while self.head - self.tail > self._max_frames:
            self.drop_oldest()
        self._budget.keep()

    def drop_oldest(self) -> None:
        """Let go of the oldest frame."""
        gone = self.tail - self._first
        size = self._ends[gone] - self._bytes_before(self.tail)
        self._frames[gone] = b""
        self._gone_seq = self._seqs[gone]
        self.tail += 1
        self._budget.used -= size + ENTRY_BYTES
        self._compact()

    def bytes_behind(self, position: int) -> int:
        """Bytes of all that follows `position`, as far as they are still known."""
        return self._bytes - self._bytes_before(position)

    def entries(self, position: int, stop: int) -> Iterator[tuple[bytes, Routing]]:
        """Yield the frames from `position` up to, without, `stop`, with their routing.

        Raises:
            Overflow: Some of them have left the log.
        """
        self._check(position)
        part = slice(position - self._first, max(0, stop - self._first))
        return zip(self._frames[part], self._abouts[part], strict=True)

    def piece_end(self, position: int, stop: int, most_bytes: int) -> int:
        """The position after a piece of no more than `most_bytes`, unless a single frame is larger,
        that begins at `position` and does not go beyond `stop`.

        Raises:
            Overflow: Some of it has left the log.
        """
        self._check(position)
        most = self._bytes_before(position) + most_bytes
        end = self._first + bisect_right(self._ends, most, lo=position - self._first)
        return min(max(end, position + 1), stop, self.head)

    def covers(self, seq: int) -> bool:
        """Whether no change after `seq` has left the log."""
        return seq >= self._gone_seq

    def after(self, seq: int) -> int:
        """The position of the first change after `seq`, which has to be covered."""
        return self._first + bisect_right(self._seqs, seq, lo=self.tail - self._first)

    def _check(self, position: int) -> None:
        if position < self.tail:
            raise Overflow

    def _bytes_before(self, position: int) -> int:
        if position <= self._first:
            return self._before_first
        return self._ends[min(position, self.head) - self._first - 1]

    def _compact(self) -> None:
        # Deleting from the front of a list moves the rest: worth it only for many at once.
        gone = self.tail - self._first
        if gone > 64 and gone * 2 > len(self._frames):
            self._before_first = self._ends[gone - 1]
            del self._frames[:gone]
            del self._abouts[:gone]
            del self._ends[:gone]
            del self._seqs[:gone]
            self._first = self.tail


MOST_RECENT_CHANGES: Final = 1000
MOST_RECENT_BYTES: Final = 4 * 1024 * 1024
MOST_KNOWN: Final = 5_000  # rows whose newest version is known, to tell whom they leave


class RecentChanges:
    """The last changes of an endpoint, to bring a recent read up to date.

    Args:
        seq: Sequence number before the first change.
        most: Changes to keep.
        most_bytes: Roughly, bytes to keep.
    """

    def __init__(
        self, seq: int, most: int = MOST_RECENT_CHANGES, most_bytes: int = MOST_RECENT_BYTES
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._changes: deque[Change] = deque()
        self._bytes = 0
        self._seq = seq  # of the newest

    def append(self, change: Change) -> None:
        """The change with the next seq."""
        self._changes.append(change)
        self._bytes += change.size()
        self._seq += 1
        while len(self._changes) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._changes.popleft().size()

    def since(self, seq: int) -> dict[int, Change] | None:
        """Return the newest change of each id after `seq`; None if some were dropped."""
        count = self._seq - seq
        if not 0 <= count <= len(self._changes):
            return None
        found: dict[int, Change] = {}
        for _, change in zip(range(count), reversed(self._changes), strict=False):
            found.setdefault(change.id, change)
        return found

    def forget(self) -> None:
        """Drop everything: the history is another one."""
        self._changes.clear()
        self._bytes = 0


class KnownVersions:
    """Filter values of the newest versions: LEAVE goes only to clients that may hold the row."""

    def __init__(self) -> None:
        self._newest = OrderedDict[int, tuple[int, Values | None]]()

    def before(self, change: Change, now: Values | None) -> Values | None:
        """Return the values of the version before this change, and note this one."""
        version, values = self._newest.pop(change.id, (0, None))
        self._newest[change.id] = change.version, now
        if len(self._newest) > MOST_KNOWN:
            self._newest.popitem(last=False)
        if change.version > 1 and version != change.version - 1:
            return UNKNOWN  # a client may hold any version that was not published here
        return values

    def forget(self) -> None:
        self._newest.clear()
