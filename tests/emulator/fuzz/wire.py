"""A connection that sends any bytes and reads what HTTP answers."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from io import BufferedReader

SECONDS = 20


@dataclass(frozen=True)
class Answer:
    """A response; status 0 when the server hung up without one."""

    status: int
    body: bytes = b""


class Wire:
    """Keeps one connection and makes a new one when the server closed it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._reader: BufferedReader | None = None

    def ask(self, request: bytes, *, damaged: bool = False) -> Answer:
        """The response to `request`; after a damaged one nothing more is sent."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, SECONDS)
            self._reader = self._socket.makefile("rb")
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(request)
            if damaged:
                self._socket.shutdown(socket.SHUT_WR)
            answer = self._answer(has_body=not request.startswith(b"HEAD "))
            if not damaged and answer.status:
                return answer
            self.close()
            return answer
        self.close()
        return Answer(0)

    def close(self) -> None:
        if self._reader is not None and self._socket is not None:
            self._reader.close()
            self._socket.close()
        self._socket = self._reader = None

    def _answer(self, *, has_body: bool) -> Answer:
        assert self._reader is not None
        line = self._reader.readline()
        if not line:
            return Answer(0)
        status, length, closes = int(line.split()[1]), None, False
        while (header := self._reader.readline()) not in {b"\r\n", b""}:
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            closes |= name.lower() == b"connection" and value.strip().lower() == b"close"
        body = b""
        if has_body and status not in {204, 304} and status >= 200:
            body = self._reader.read() if length is None else self._reader.read(length)
        if closes:
            self.close()
        return Answer(status, body)
