"""What clients send, read by the library's sans-I/O parser; it exists only while it is needed."""

import codecs
from typing import Final

from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from relay.clients.compression import inflating

# Messages beyond this never reach the relay's own limit of 4 KiB, which answers with 4501.
MAX_BYTES: Final = 16 * 1024
_utf_8: Final = codecs.getincrementaldecoder("utf-8")


class _Frames(Protocol):
    """The library's parser, but for what it does otherwise than RFC 6455 asks."""

    _text: codecs.IncrementalDecoder | None = None

    def recv_frame(self, frame: Frame) -> None:
        """Judges a frame before it counts."""
        if frame.opcode is Opcode.CLOSE:
            self.cur_size = None  # 5.4: one may come between the fragments of a message
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY) and self.cur_size is None:
            self._text = _utf_8() if frame.opcode is Opcode.TEXT else None
        if frame.opcode in (Opcode.TEXT, Opcode.CONT) and self._text is not None:
            # 8.1: as soon as it is found, and not when the message is complete or too long.
            self._text.decode(frame.data, frame.fin)
        super().recv_frame(frame)


class Incoming:
    """The frames of one client, in order; what there is to answer is in `answer`.

    `ended` tells how the connection ends once the client, or an error of it, has ended it.
    """

    __slots__ = ("_parts", "_protocol", "_text", "answer", "controls", "ended")

    def __init__(self, *, compressed: bool) -> None:
        self._protocol = _Frames(Side.SERVER, max_size=MAX_BYTES)
        if compressed:
            self._protocol.extensions = [inflating()]
        self._parts: list[bytes] = []
        self._text = False
        self.answer = b""
        self.controls = 0  # pings, pongs and parts of messages since somebody took count
        self.ended: str | None = None

    @property
    def between_messages(self) -> bool:
        """Whether nothing has come of the next message."""
        protocol = self._protocol
        return (
            protocol.state is State.OPEN
            and not self._parts
            and protocol.cur_size is None
            and not protocol.reader.buffer
        )

    def receive(self, data: bytes) -> list[str | bytes]:
        """The messages that are complete now."""
        self._protocol.receive_data(data)
        messages: list[str | bytes] = []
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and self.ended is None:
                self._take(event, messages)
        self._collect()
        if self._protocol.parser_exc is not None and self.ended is None:
            self.ended = f"{_code(self._protocol.close_sent)}: {self._protocol.parser_exc}"
        return messages

    def close(self, code: int, reason: str) -> bytes:
        """The frame that begins the closing handshake, and what was to be answered before; no such
        frame when the client has ended the connection with the same bytes."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
        self._collect()
        answer, self.answer = self.answer, b""
        return answer

    def _take(self, frame: Frame, messages: list[str | bytes]) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.ended = f"client closed with {_code(self._protocol.close_rcvd)}"
        elif frame.opcode in (Opcode.PING, Opcode.PONG):
            self.controls += 1
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._text = frame.opcode is Opcode.TEXT
            if frame.data:
                self._parts.append(bytes(frame.data))
            if frame.fin:
                self._complete(messages)
            else:
                self.controls += 1

    def _complete(self, messages: list[str | bytes]) -> None:
        whole = b"".join(self._parts)
        self._parts.clear()
        messages.append(whole.decode() if self._text else whole)

    def _collect(self) -> None:
        self.answer += b"".join(self._protocol.data_to_send())


def _code(close: Close | None) -> int:
    return 1006 if close is None else int(close.code)
