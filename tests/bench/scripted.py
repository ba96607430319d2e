"""A WebSocket server that sends what a test wants, byte by byte, to the load generator."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench import build

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SECONDS = 15

Script = Callable[[socket.socket, int], None]  # the connection and its number


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, compressed: bool = False) -> bytes:
    """A frame as a server sends it."""
    size = len(payload)
    head = bytes([fin << 7 | compressed << 6 | opcode])
    if size < 126:
        return head + bytes([size]) + payload
    if size < 65536:
        return head + b"\x7e" + struct.pack(">H", size) + payload
    return head + b"\x7f" + struct.pack(">Q", size) + payload


def row(n: int, padding: int = 0, t: int | None = None) -> bytes:
    """A row with its number and time."""
    stamp = time.monotonic_ns() if t is None else t
    return b'{"n":%d,"t":%d,"p":"%s"}' % (n, stamp, b"x" * padding)


def stay(connection: socket.socket) -> None:
    """Keeps the connection until the client ends it."""
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            pass


@dataclass
class Scripted:
    """The running server: its port, and the request of each connection with its source address."""

    port: int
    requests: list[tuple[bytes, str]] = field(default_factory=list)


@contextmanager
def serving(script: Script, status: bytes = b"101 Switching Protocols") -> Iterator[Scripted]:
    """Runs the script for each connection, on a thread of its own, after the handshake."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        served = Scripted(listener.getsockname()[1])
        threads: list[threading.Thread] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, (host, _) = listener.accept()
                    arguments = connection, host, len(threads)
                    threads.append(threading.Thread(target=one, args=arguments))
                    threads[-1].start()

        def one(connection: socket.socket, host: str, number: int) -> None:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(SECONDS)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                request = _request(connection)
                # Before the answer, after which the client may begin its next connection.
                served.requests.append((request, host))
                _accept(connection, request, status)
                script(connection, number)

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield served
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def load(port: int, *options: str) -> tuple[dict[str, Any], dict[str, Any], int]:
    """What the load generator said last and first, and its exit status."""
    command = [str(build.WSLOAD), "-p", str(port), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[-1], lines[0], done.returncode


def received(connection: socket.socket) -> tuple[int, bytes]:
    """Opcode and payload of the next frame of the client, which is masked and short."""
    head = _exactly(connection, 2)
    assert head[1] & 0x80, "not masked"
    size = head[1] & 0x7F
    mask, content = _exactly(connection, 4), _exactly(connection, size)
    return head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(content))


def _exactly(connection: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        piece = connection.recv(count - len(content))
        if not piece:
            raise OSError("closed")
        content += piece
    return content


def _request(connection: socket.socket) -> bytes:
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        request += _exactly(connection, 1)
    return request


def _accept(connection: socket.socket, request: bytes, status: bytes) -> None:
    key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 RFC 6455 wants it
    head = b"HTTP/1.1 " + status + b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    connection.sendall(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
