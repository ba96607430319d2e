"""HTTP connections of uvicorn with the limits that it lacks: timeouts, sizes, pipelining.

uvicorn times only the pause between two requests, and any byte ends that: a client could hold
connections by sending a byte now and then, or by reading nothing. And it parses all that one read
brought, which holds up everybody else when that is a thousand requests or headers.
"""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from relay.connections.registry import ConnectionRegistry, Timed

HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 12.0  # a little more than the routes, which answer
LOOKS_AT_AN_ANSWER: Final = 6  # ten seconds each
MAX_HEAD_BYTES: Final = 32 * 1024
# Bodies are small: who sends one in so many parts wants to be parsed for long.
MOST_BODY_PARTS: Final = 1000
MOST_WAITING: Final = 16  # requests of one connection before the first of them is answered
PIECE_BYTES: Final = 2048  # what is parsed before somebody asks whether it was too much


class HttpConnection(HttpToolsProtocol):
    """One HTTP connection until it is upgraded or ends; `slot` is its place in the wheel."""

    def __init__(self, sockets: ConnectionRegistry, slot: set[Timed], **given: Any) -> None:
        super().__init__(**given)
        self._sockets = sockets
        self._slot = slot
        self._head_bytes = 0
        self._reads_head = True
        self._reads_body = False
        self._looks = 0
        self._body_parts = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._sockets.wheel.forget(self, self._slot)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse a part of a request."""
        for at in range(0, len(data), PIECE_BYTES):
            if self.parser is None or self.transport.is_closing():
                return
            self._parse(data[at : at + PIECE_BYTES])

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if len(self.pipeline) > MOST_WAITING or self._body_parts > MOST_BODY_PARTS:
            self.transport.abort()
        elif self._reads_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("The head of the request is too long.")

    def on_body(self, body: bytes) -> None:
        self._body_parts += 1
        super().on_body(body)

    def on_message_begin(self) -> None:
        self._body_parts = 0
        if not self._reads_head:
            self._reads_head, self._head_bytes, self._looks = True, 0, 0
            self._set_timeout(HEAD_SECONDS)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._reads_head, self._reads_body = False, True
        self._set_timeout(BODY_SECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._reads_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It has been answered, as far as the client takes it."""
        if not self._reads_body:
            self._set_timeout(HEAD_SECONDS)
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """It is a handshake, which has to wait for the answers to the requests before it: what the
        client leaves unread would count as taken once the connection is another protocol's."""
        if self._owes_an_answer():
            self.transport.abort()
            return
        self._sockets.wheel.forget(self, self._slot)
        super().handle_websocket_upgrade()
        # It refers back to this object: without it both go at once, not with the next collection.
        self.parser = None  # type: ignore[assignment]

    def timed_out(self) -> None:
        """Abort when a request takes too long; its answer may take longer."""
        answers = self._owes_an_answer()
        if self._reads_head or self._reads_body or not answers or self._looks >= LOOKS_AT_AN_ANSWER:
            self.transport.abort()
        else:
            self._looks += 1
            self._set_timeout(HEAD_SECONDS)

    def _owes_an_answer(self) -> bool:
        # The cycle is that of the newest request, which is answered last.
        answered = self.cycle is None or self.cycle.response_complete
        return not answered or self.transport.get_write_buffer_size() > 0

    def _set_timeout(self, seconds: float) -> None:
        self._slot = self._sockets.wheel.put(self, seconds, self._slot)
