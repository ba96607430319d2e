"""Messages as the bytes that go over the wire: a WebSocket text frame each, as servers send them.

Made once per message; what is sent to many at once is such frames one after the other.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

_TEXT: Final = 0x81  # the only frame of its message
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127


class Piece(NamedTuple):
    """Whole frames, and how many."""

    data: bytes
    frames: int


def framed(text: str) -> bytes:
    """The message as a frame."""
    return framed_bytes(text.encode(errors="replace"))


def framed_bytes(payload: bytes) -> bytes:
    """The message, which is UTF-8 already, as a frame."""
    return header(_TEXT, len(payload)) + payload


def header(first: int, size: int) -> bytes:
    """What comes before a payload of that size, in a frame with that first byte."""
    if size < _TWO_BYTES:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, _TWO_BYTES)) + size.to_bytes(2, "big")
    return bytes((first, _EIGHT_BYTES)) + size.to_bytes(8, "big")


def payload_of(frame: bytes) -> bytes:
    """What is in a single frame."""
    size = frame[1]
    return frame[2 if size < _TWO_BYTES else 4 if size == _TWO_BYTES else 10 :]


def texts(frames: bytes) -> Iterator[str]:
    """The messages in frames that `framed` made."""
    for _, begin, end in _bounds(frames):
        yield frames[begin:end].decode()


def apart(frames: bytes) -> Iterator[bytes]:
    """Each of these frames by itself."""
    for start, _, end in _bounds(frames):
        yield frames[start:end]


def _bounds(frames: bytes) -> Iterator[tuple[int, int, int]]:
    """Where each frame begins, where its payload does, and where both end."""
    start = 0
    while start < len(frames):
        size, begin = frames[start + 1], start + 2
        if size >= _TWO_BYTES:
            begin += 2 if size == _TWO_BYTES else 8
            size = int.from_bytes(frames[start + 2 : begin], "big")
        yield start, begin, begin + size
        start = begin + size


def text(frame: bytes) -> str:
    """The message in a single frame."""
    return next(texts(frame))


def pieces(frames: Iterable[bytes], most_bytes: int) -> Iterator[Piece]:
    """The frames joined to pieces of that size, unless a single one is larger."""
    gathered: list[bytes] = []
    size = 0
    for frame in frames:
        if gathered and size + len(frame) > most_bytes:
            yield Piece(b"".join(gathered), len(gathered))
            gathered, size = [], 0
        gathered.append(frame)
        size += len(frame)
    if gathered:
        yield Piece(b"".join(gathered), len(gathered))
