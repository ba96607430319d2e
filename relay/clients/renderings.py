"""What was read for resuming clients, in the format of each, made while the client takes it.

A replay is a place and nothing else: what comes next is made when the client has taken what came
before, so that a client which leaves costs nothing more. It is made in the chunks of the read,
which are kept within one budget, so that those who ask for the same share them.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final

from relay.changes.deflate import deflated
from relay.changes.filters import Filter
from relay.changes.frames import filtered
from relay.changes.groups import Group
from relay.changes.snapshot import Snapshot
from relay.changes.wire import Piece, pieces
from relay.clients.missed import Chunk, Missed
from relay.clients.state import PIECE_BYTES

MOST_BYTES: Final = 16 * 1024 * 1024
_OVERHEAD_BYTES: Final = 200

Pieces = tuple[Piece, ...]
# Filter, whether frames are compressed, serial of the chunk, and for whom if not for everybody.
_Key = tuple[Filter, bool, int, Snapshot | None]

_NOTHING: Final = (Piece(b"", 0),)  # so that others get their turn


class Renderings:
    """The chunks that were rendered lately."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept = OrderedDict[_Key, Pieces]()
        self.size = 0  # in bytes

    def missed(self, group: Group, missed: Missed, since: Snapshot) -> Iterator[Piece]:
        """What the group wants of what was read and `since` does not show, with empty pieces where
        that is nothing.

        Raises:
            Overflow: the rest had to make room for other reads.
        """
        number, index = group.wanted.endpoint.number, 0
        while index < len(chunks := missed.of(number)):
            yield from self._rendered(group, missed, chunks[index], since)
            index += 1

    def forget(self) -> None:
        """The database has another history."""
        self._kept.clear()
        self.size = 0

    def _rendered(self, group: Group, missed: Missed, chunk: Chunk, since: Snapshot) -> Pieces:
        # Most chunks are the same for everybody: `since` shows nothing that is in them.
        own = None if chunk.least_tx >= since.xmax else since
        key = (group.wanted, group.compressed, chunk.serial, own)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        events = missed.events(group.wanted.endpoint.number, chunk, since)
        found = self._kept[key] = _joined(group, events)
        self.size += _size(found)
        while self.size > self._most_bytes:
            self.size -= _size(self._kept.popitem(last=False)[1])
        return found


def _joined(group: Group, events: Iterable[bytes]) -> Pieces:
    wanted = events if group.wanted.is_everything else filtered(events, group.wanted)
    frames = map(deflated, wanted) if group.compressed else wanted
    return tuple(pieces(frames, PIECE_BYTES)) or _NOTHING


def _size(made: Pieces) -> int:
    return _OVERHEAD_BYTES + sum(len(piece.data) for piece in made)
