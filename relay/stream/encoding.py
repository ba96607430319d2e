"""Messages of both formats, encoded once for all clients, as the frames that go over the wire.

`rows` is a bare row and nothing else; `relay.v1` has a type in each message. Each message is one
WebSocket text frame; what is sent to many clients at once is such frames one after the other.
Compressed frames serve every client, since no compressor belongs to a connection. A frame by itself
refers to nothing before it. The frames of an initial state are one stream of DEFLATE, each of which
refers to the ones before it: rows are alike, and become a sixth of their size where a frame by
itself becomes two thirds. Clients that keep nothing of earlier messages get each of these frames by
itself. A window of 4 KB makes both as small as one of 32 KB does, within a twentieth, and is the
one that all clients accept.
"""

import enum
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from relay.stream.change import Change, encode
from relay.stream.filters import Filter

PIECE_BYTES: Final = 64 * 1024
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
    """Return the frame header for a payload of that size, with that first byte."""
    if size < _TWO_BYTES:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, _TWO_BYTES)) + size.to_bytes(2, "big")
    return bytes((first, _EIGHT_BYTES)) + size.to_bytes(8, "big")


def payload_of(frame: bytes) -> bytes:
    """Return the payload of a single frame."""
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


WINDOW_BITS: Final = 12
MEMORY_LEVEL: Final = 5
LEVEL: Final = 6
LEAST_BYTES: Final = 128  # shorter messages hardly become smaller
_COMPRESSED_TEXT: Final = 0xC1
_TAIL: Final = b"\x00\x00\xff\xff"  # which the receiver adds again


def deflated(frame: bytes) -> bytes:
    """Compress a frame, unless that would not make it smaller."""
    payload = payload_of(frame)
    if len(payload) < LEAST_BYTES:
        return frame
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)
    compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    if len(compressed) >= len(payload):
        return frame
    data = compressed.removesuffix(_TAIL)
    return header(_COMPRESSED_TEXT, len(data)) + data


class FrameCompressor:
    """Compresses each frame by itself (no context takeover)."""

    def compress(self, piece: Piece) -> Piece:
        """The next piece, with as many frames."""
        return Piece(b"".join(map(deflated, apart(piece.data))), piece.frames)


class StreamCompressor:
    """Compresses frames as one stream (context takeover of RFC 7692).

    A client has to get all of them in order, and no other compressed frame in between."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)

    def compress(self, piece: Piece) -> Piece:
        """The next piece, with as many frames."""
        found: list[bytes] = []
        for _, begin, end in _bounds(piece.data):
            data = self._compressor.compress(piece.data[begin:end])
            data = (data + self._compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)
            found.append(header(_COMPRESSED_TEXT, len(data)) + data)
        return Piece(b"".join(found), piece.frames)


class Compression(enum.Enum):
    """How the frames of an initial state are compressed for a client."""

    STREAM = "as one stream"
    FRAMES = "each by itself"

    def compressor(self) -> StreamCompressor | FrameCompressor:
        """Return a compressor for one initial state."""
        return StreamCompressor() if self is Compression.STREAM else FrameCompressor()


SUBPROTOCOL: Final = "relay.v1"
HEARTBEAT_SECONDS: Final = 25
_BEFORE_RECORD: Final = b',"record":'
_AFTER_RECORD: Final = b',"old_record":'
PONG: Final = encode({"type": "pong"})
TOKEN_REQUIRED: Final = encode({"type": "token_required"})


class Format(enum.Enum):
    """Message format of a subscription."""

    ROWS = "rows"
    EVENTS = SUBPROTOCOL


class FrameFormat(NamedTuple):
    """Message format, and whether frames are compressed."""

    format: Format
    compressed: bool


def row(change: Change) -> str:
    """A change in the rows format: the row without stamps, or its id and `deleted`."""
    if change.record is None:
        return encode({"id": change.id, "deleted": True})
    return encode(change.record)


def event(change: Change, seq: int) -> str:
    """A change in relay.v1."""
    return with_seq(event_without_seq(change), seq)


def with_seq(event: str, seq: int) -> str:
    """An event of `event_without_seq` and its seq."""
    return f"{event}{seq}}}"


def event_without_seq(change: Change) -> str:
    """A change in relay.v1, up to its seq, which comes last."""
    table = change.endpoint.name
    head = f'"schema":"public","table":"{table}"'
    if change.record is None:
        return (
            f'{{"type":"DELETE",{head},"record":null,"old_record":{{"id":{change.id}}},'
            f'"version":{change.version},"seq":'
        )
    kind, old = ("INSERT", "null") if change.version == 1 else ("UPDATE", f'{{"id":{change.id}}}')
    return (
        f'{{"type":"{kind}",{head},"record":{encode(change.record)},'
        f'"old_record":{old},"version":{change.version},'
        f'"changed_at":{encode(change.changed_at)},"seq":'
    )


def row_of(event: bytes) -> bytes:
    """Convert an event to the rows format; both framed."""
    payload = payload_of(event)
    # What follows has no text that could hold this: quotes in `changed_at` would be escaped.
    end = payload.rindex(_AFTER_RECORD)
    record = payload[payload.index(_BEFORE_RECORD) + len(_BEFORE_RECORD) : end]
    if record == b"null":
        old_record = payload[end + len(_AFTER_RECORD) :].partition(b"}")[0]  # its id alone
        record = old_record + b',"deleted":true}'
    return framed_bytes(record)


def leave_of(event: bytes) -> bytes:
    """What a client gets instead of this event whose filter the row does not match any more; both
    framed."""
    return _leaving(json.loads(payload_of(event)))


def leave(table: str, row_id: int, version: int, seq: int) -> str:
    """The row changed and does not match the client's filter any more."""
    return _message("LEAVE", table=table, id=row_id, version=version, seq=seq)


def may_have_left(version: int) -> bool:
    """Whether an earlier version of a row that does not match a filter can have matched it: an
    update may change any column."""
    return version > 1


def filtered(events: Iterable[bytes], wanted: Filter) -> Iterator[bytes]:
    """Convert events of all rows to what a client with that filter gets; both framed."""
    for frame in events:
        message = json.loads(payload_of(frame))
        if message["record"] is None or wanted.matches(message["record"]):
            yield frame
        elif may_have_left(message["version"]):
            yield _leaving(message)


def formed(event: bytes, form: FrameFormat, *, leaves: bool = False) -> bytes:
    """The event in that form, or what a client gets instead when the row leaves its filter."""
    frame = event
    if leaves:
        frame = leave_of(event)
    elif form.format is Format.ROWS:
        frame = row_of(event)
    return deflated(frame) if form.compressed else frame


def joined(found: Iterable[bytes]) -> Piece:
    """The frames in one piece."""
    frames = [frame for frame in found if frame]
    return Piece(b"".join(frames), len(frames))


def hello(endpoint: str, *, resumed: bool, reason: str | None) -> str:
    """The first message of each connection."""
    members = {"endpoint": endpoint, "resumed": resumed, "reason": reason}
    return _message("hello", **members, heartbeat_seconds=HEARTBEAT_SECONDS)


def synced(cursor: str | None, *, complete: bool) -> str:
    """The state has been sent; `complete` is false when older rows were left out."""
    return _message("synced", cursor=cursor, complete=complete)


def cursor(value: str) -> str:
    """A newer place to resume from."""
    return _message("cursor", cursor=value)


def reset(reason: str) -> str:
    """The client has to discard everything that it holds."""
    return _message("reset", reason=reason)


def status(upstream: str) -> str:
    """How the relay itself is supplied."""
    return _message("status", upstream=upstream)


def authenticated(expires_in: int | None) -> str:
    """Answer to a refreshed token; `expires_in` seconds, None when nothing expires."""
    return _message("authenticated", expires_in=expires_in)


def token_expiring(seconds: int) -> str:
    """The token is good for so much longer; the client can show another one meanwhile."""
    return _message("token_expiring", seconds=seconds)


def _leaving(event: Mapping[str, Any]) -> bytes:
    row_id = (event["record"] or event["old_record"])["id"]
    return framed(leave(event["table"], row_id, event["version"], event["seq"]))


def _message(kind: str, **members: Any) -> str:
    return encode({"type": kind, **members})
